Repacking the database.

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > sqlitestore =
  > strip =
  > [storage]
  > new-repo-backend = sqlite
  > EOF
  $ cat > digest.sh << 'EOF'
  > # everything a reader can see of all file revisions
  > hg -R "$1" log -G -p -T '{node} {files}\n' | f --sha1
  > EOF
  $ cat > where.sh << 'EOF'
  > hg -R "$1" admin::sqlite-stats \
  >    -T '{revisions} revisions, {loose} loose, {unused} unused\n'
  > EOF

A repository with branches, copies and two files with the same large content

  $ hg init r
  $ cd r
  $ "$PYTHON" << 'EOF'
  > import os, random
  > rng = random.Random(0)
  > os.mkdir('d')
  > big = rng.randbytes(200000)
  > for name in ('big1', 'd/other.bin'):
  >     open(name, 'wb').write(big)
  > open('text', 'w').write(''.join('%d\n' % rng.random() for i in range(3000)))
  > open('d/text', 'w').write('%d\n' % 7 * 3000)
  > EOF
  $ hg commit -qAm 0
  $ for i in 1 2 3 4; do
  >   echo $i >> text; echo $i > d/$i; hg commit -qAm $i
  > done
  $ hg update -q 2
  $ sed 's/^0$/zero/' text > t; mv t text
  $ hg commit -qm branch
  $ hg merge -q 4 --tool :local
  $ hg commit -qm merge
  $ hg copy big1 big2
  $ echo more >> big2
  $ hg commit -qm copy
  $ cd ..
  $ sh where.sh r
  23 revisions, 23 loose, 0 unused
  $ sh digest.sh r > before; cat before
  sha1=* (glob)
  $ hg init chain
  $ cd chain
  $ seq 20000 > text
  $ hg commit -qAm 0
  $ for i in 1 2 3 4 5 6 7 8 9; do
  >   sed "${i}00s/$/ changed/" text > t; mv t text; hg commit -qm $i
  > done
  $ hg bundle -qa -t none-v2 ../loose.hg
  $ cd ..

After a repack, no revision is loose, and the history is the same

  $ hg -R r admin::sqlite-repack
  database repacked (* KB, was * KB) (glob)
  $ sh where.sh r
  23 revisions, 0 loose, 0 unused
  $ hg -R r verify -q
  $ sh digest.sh r | cmp - before

Repacked revisions are sent as deltas, although each is stored as a delta of a
later one

  $ hg -R chain admin::sqlite-repack -q
  $ hg -R chain bundle -qa -t none-v2 packed.hg
  $ "$PYTHON" << 'EOF'
  > import os
  > loose, packed = os.path.getsize('loose.hg'), os.path.getsize('packed.hg')
  > if packed > 2 * loose:
  >     print('%d bytes, from loose revisions %d' % (packed, loose))
  > EOF
  $ hg init received
  $ hg -R received unbundle -q packed.hg
  $ hg -R received verify -q
  $ hg -R chain admin::sqlite-repack -q --max
  $ hg -R chain bundle -qa -t none-v2 most.hg
  $ cmp packed.hg most.hg

The large content is stored once, and its changed copy as a delta

  $ hg -R r admin::sqlite-stats -T '{stored}\n' | "$PYTHON" -c \
  >    "print(float(input()) < 215000)"
  True

A second repack does nothing, unless it uses a higher level of compression

  $ hg -R r admin::sqlite-repack
  nothing to repack
  $ hg -R r admin::sqlite-repack --max
  database repacked (* KB, was * KB) (glob)
  $ hg -R r admin::sqlite-repack --max
  nothing to repack
  $ hg -R r verify -q
  $ sh digest.sh r | cmp - before
  $ hg -R r admin::sqlite-repack --auto
  $ hg -R r admin::sqlite-repack --auto --max
  abort: cannot specify both --max and --auto
  [10]

Commits, clones, annotate and strip work on repacked revisions

  $ cd r
  $ echo 5 >> text
  $ hg commit -qm 5
  $ hg cat -r tip text | tail -1
  5
  $ hg clone -q --pull -U . ../clone
  $ hg -R ../clone verify -q
  $ hg --config storage.new-repo-backend=revlogv1 clone -q --pull -U . ../revlog
  $ hg -R ../revlog verify -q
  $ hg annotate -r tip text | tail -3
  1: 1
  2: 2
  8: 5
  $ hg strip -q --no-backup tip
  $ sh ../digest.sh . | cmp - ../before
  $ hg strip -q --no-backup 4
  $ hg verify -q
  $ sh ../where.sh .
  16 revisions, 2 loose, 9 unused
  $ hg admin::sqlite-repack -q
  $ sh ../where.sh .
  16 revisions, 0 loose, 0 unused
  $ hg verify -q

Rolling back a transaction that is older than the repack does not damage frames

  $ echo 6 > d/6
  $ hg commit -qAm 6
  $ hg admin::sqlite-repack -q
  $ hg rollback -q --config ui.rollback=yes --force
  $ hg verify -q
  $ sh ../where.sh .
  16 revisions, 0 loose, 2 unused
  $ hg commit -qAm 6
  $ hg verify -q

A repack is refused while another one runs, and after an abandoned transaction

  $ cat > held.py << EOF
  > import os, subprocess, sys
  > from mercurial import lock, vfs
  > with lock.lock(vfs.vfs(b'.hg/store'), b'sqlite-repack.lock', timeout=0):
  >     subprocess.call(sys.argv[1:])
  > EOF
  $ "$PYTHON" held.py hg admin::sqlite-repack
  abort: another repack of this repository is running
  (process *) (glob)
  $ touch .hg/store/journal
  $ hg admin::sqlite-repack
  abort: abandoned transaction found
  (run 'hg recover' to clean up transaction)
  [255]
  $ rm .hg/store/journal
  $ hg --config storage.new-repo-backend=revlogv1 init ../plain
  $ hg -R ../plain admin::sqlite-repack
  abort: this repository does not keep its files in SQLite
  (see 'hg help admin::sqlite-convert')
  [255]

A process that opened a file before a repack can read and write it afterwards

  $ cat > reader.py << EOF
  > import subprocess
  > from mercurial import hg, ui as uimod
  > ui = uimod.ui.load()
  > ui.setconfig(b'devel', b'all-warnings', False)
  > repo = hg.repository(ui, b'.')
  > file = repo.file(b'text')
  > file.read(file.node(0))
  > text = repo.file(b'd/text')
  > subprocess.check_call(['hg', 'admin::sqlite-repack', '-q', '--max'])
  > for rev in file:
  >     print(rev, len(file.read(file.node(rev))), file._revlog.deltaparent(rev))
  >     assert file._revlog.revdiff(0, rev) is not None
  > print(len(text.read(text.node(0))))
  > with repo.lock(), repo.transaction(b'test') as tr:
  >     file = repo.file(b'text', writable=True)
  >     node = file.add(b'new\n', {}, tr, 0, file.node(2), file.node(2))
  >     assert file.read(node) == b'new\n'
  > EOF
  $ "$PYTHON" reader.py
  0 6000 -1
  1 6002 0
  2 6004 1
  3 * 2 (glob)
  4 15004 -1
  6000

A repack stops at damaged content

  $ cd ..
  $ hg init bad
  $ cd bad
  $ echo content > a
  $ hg commit -qAm 0
  $ "$PYTHON" << EOF
  > import sqlite3
  > with sqlite3.connect('.hg/store/history.sqlite') as db:
  >     db.execute("UPDATE rev SET data = x'7541'")
  > EOF
  $ hg admin::sqlite-repack
  abort: integrity check failed on a:* (glob)
  (run 'hg verify')
  [50]

When a transaction ends with enough added, a repack is suggested or started

  $ hg init ../auto
  $ cd ../auto
  $ "$PYTHON" -c "for i in range(2000): open('f%d' % i, 'w').write('%d\n' % i)"
  $ rm f0
  $ hg commit -qAm 'one too few'
  $ hg rollback -q
  $ echo 0 > f0
  $ hg commit -qAm many --config storage.sqlite.auto-repack=no
  $ hg rollback -q
  $ hg addremove -q
  $ hg commit -m many
  (run 'hg admin::sqlite-repack' to make the repository smaller and faster)

A transaction without changesets says nothing.

  $ hg phase -r tip --public
  $ hg bookmark book

Once per command, however many transactions it has

  $ for i in 1 2 3; do echo $i >> f$i; hg commit -m $i; done
  (run 'hg admin::sqlite-repack' to make the repository smaller and faster)
  (run 'hg admin::sqlite-repack' to make the repository smaller and faster)
  (run 'hg admin::sqlite-repack' to make the repository smaller and faster)
  $ hg update -q 0
  $ echo new > new
  $ hg add -q new
  $ hg commit -m new
  created new head
  (run 'hg admin::sqlite-repack' to make the repository smaller and faster)
  $ hg graft 1::3 | sed 's/:[0-9a-f].*//'
  grafting 1
  grafting 2
  grafting 3
  (run 'hg admin::sqlite-repack' to make the repository smaller and faster)
  $ cat > commands.py << EOF
  > import struct
  > import subprocess
  > server = subprocess.Popen(
  >     ['hg', 'serve', '--cmdserver', 'pipe'],
  >     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
  > def read():
  >     channel, length = struct.unpack('>cI', server.stdout.read(5))
  >     return channel, server.stdout.read(length)
  > read()
  > for rev in ('1', '2'):
  >     args = '\0'.join(['graft', '-f', rev]).encode()
  >     server.stdin.write(b'runcommand\n' + struct.pack('>I', len(args)) + args)
  >     server.stdin.flush()
  >     channel = b''
  >     while channel != b'r':
  >         channel, data = read()
  >         if channel in b'oe':
  >             print(data.decode(), end='')
  > EOF
  $ hg update -q 0
  $ "$PYTHON" commands.py | sed 's/:[0-9a-f].*//'
  grafting 1
  (run 'hg admin::sqlite-repack' to make the repository smaller and faster)
  grafting 2
  (run 'hg admin::sqlite-repack' to make the repository smaller and faster)
  $ cd ..
  $ rm -r auto
  $ hg init auto
  $ cd auto
  $ "$PYTHON" -c "for i in range(2000): open('f%d' % i, 'w').write('%d\n' % i)"
  $ hg commit -qAm many --config storage.sqlite.auto-repack=no
  $ hg strip -q --no-backup --keep tip
  $ hg addremove -q
  $ hg commit -m many --config storage.sqlite.auto-repack=maybe
  config error: invalid value for storage.sqlite.auto-repack: 'maybe'
  (use one of: yes, suggest, no)
  [30]
  $ hg strip -q --no-backup --keep tip
  $ hg addremove -q
  $ hg commit -m many --config storage.sqlite.auto-repack=yes
  $ for i in `seq 600`; do
  >   sh ../where.sh . | grep -q ' 0 loose' && break
  >   sleep 1
  > done
  $ sh ../where.sh .
  2001 revisions, 0 loose, 0 unused
