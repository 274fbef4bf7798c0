Manifests are in the database

  $ cat >> $HGRCPATH << RC
  > [extensions]
  > sqlitestore =
  > strip =
  > [storage]
  > new-repo-backend = sqlite
  > RC
  $ directories() {
  >   python3 - $1 << EOF
  > import sqlite3, sys
  > db = sqlite3.connect(sys.argv[1] + '/.hg/store/history.sqlite')
  > for path, in db.execute('SELECT path FROM path WHERE kind = 1 ORDER BY 1'):
  >     print("'%s'" % path.decode())
  > EOF
  > }
  $ manifests() { find $1/.hg/store -name '*manifest*' -o -name meta; }
  $ hg init flat
  $ cd flat
  $ mkdir -p dir/sub
  $ for i in 0 1 2 3; do
  >   echo $i >> f
  >   echo $i > dir/sub/g$i
  >   hg commit -qAm $i -d "$i 0"
  > done
  $ manifests .
  $ directories .
  ''

Debug commands

  $ hg debugindex -m
     rev linkrev       nodeid    p1-nodeid    p2-nodeid
       0       0 ce0517fecde3 000000000000 000000000000
       1       1 f8e16f140780 ce0517fecde3 000000000000
       2       2 949bc3f7be49 f8e16f140780 000000000000
       3       3 519c86724414 949bc3f7be49 000000000000
  $ hg debugdata -m 1
  dir/sub/g0\x00362fef284ce2ca02aecc8de6d5e8a1c3af0556fe (esc)
  dir/sub/g1\x00b8e02f6433738021a065f94175c7cd23db5f05be (esc)
  f\x00125144f7e028acd36d441fcf0ad560aba114a08a (esc)
  $ hg debugdeltachain -m
  abort: the history of '00manifest' is not in a revlog
  (see 'hg help admin::sqlite-stats')
  [10]

Hooks in other processes see the manifest of a pending changeset, and an abort
removes it

  $ echo pending > f
  $ hg commit -m pending --config 'hooks.pretxncommit.a=hg files -r tip f && hg debugindex -m | wc -l' --config hooks.pretxncommit.b=false
  f
  6
  transaction abort!
  rollback completed
  abort: pretxncommit.b hook exited with status 1
  [40]
  $ hg debugindex -m | wc -l
  5
  $ hg commit -qm 4 -d '4 0'

Rollback and strip

  $ hg debugindex -m | wc -l
  6
  $ hg rollback -q --config ui.rollback=yes
  $ hg debugindex -m | wc -l
  5
  $ hg commit -qm 4 -d '4 0'
  $ hg update -q 2
  $ echo branch > h
  $ hg commit -qAm branch -d '5 0'
  $ hg strip -q --no-backup 3
  $ hg debugindex -m | wc -l
  5
  $ hg verify -q
  $ hg files -r tip
  dir/sub/g0
  dir/sub/g1
  dir/sub/g2
  f
  h
  $ cd ..

A server that goes on running sees new manifests, and those of a stripped
repository

  $ cat > served.py << EOF
  > import os, subprocess
  > from mercurial import hg, ui as uimod
  > from mercurial import extensions
  > ui = uimod.ui.load()
  > extensions.loadall(ui)
  > repo = hg.repository(ui, b'flat')
  > def show():
  >     repo.invalidate()
  >     print(len(repo.manifestlog.getstorage(b'')), sorted(repo[b'tip'].manifest().keys())[-1].decode())
  > show()
  > for script in ('echo x > flat/x; hg -R flat commit -qAm x flat/x', 'hg -R flat strip -q --no-backup tip'):
  >     subprocess.check_call(script, shell=True)
  >     show()
  > EOF
  $ "$PYTHON" served.py 2> /dev/null
  4 h
  5 x
  4 h

Bundles, and unions with both kinds of repositories

  $ hg clone -q -r 1 flat part
  $ hg -R flat bundle -q --base 1 -r tip bundle.hg
  $ hg -R part incoming bundle.hg -T '{rev} {files}\n' -q
  2 dir/sub/g2 f
  3 h
  $ hg -R bundle:part+bundle.hg files -r tip
  part/dir/sub/g0
  part/dir/sub/g1
  part/dir/sub/g2
  part/f
  part/h
  $ hg clone -q flat revlogs --pull --config storage.new-repo-backend=revlogv1
  $ hg -R revlogs verify -q
  $ manifests revlogs
  revlogs/.hg/store/00manifest.i
  $ for union in part+flat part+revlogs revlogs+flat; do
  >   hg -R union:$union manifest -r tip --debug | tail -1
  > done
  ea45c3f7d4153b2e662a08822f6542d250b61ba9 644   h
  ea45c3f7d4153b2e662a08822f6542d250b61ba9 644   h
  ea45c3f7d4153b2e662a08822f6542d250b61ba9 644   h

A repack stores them together, and stored deltas are used in both directions

  $ hg -R flat admin::sqlite-repack -q
  $ hg -R flat verify -q
  $ hg clone -q --pull -U flat repacked
  $ hg -R repacked verify -q
  $ hg -R repacked debugindex -m
     rev linkrev       nodeid    p1-nodeid    p2-nodeid
       0       0 ce0517fecde3 000000000000 000000000000
       1       1 f8e16f140780 ce0517fecde3 000000000000
       2       2 949bc3f7be49 f8e16f140780 000000000000
       3       3 8a25bb464fe2 949bc3f7be49 000000000000
  $ hg -R flat status --change 2
  M f
  A dir/sub/g2
  $ hg -R flat status --rev 0:2
  M f
  A dir/sub/g1
  A dir/sub/g2

Trees

  $ hg init trees --config experimental.treemanifest=yes
  $ cd trees
  $ hg pull -q ../flat 2>&1 | head -1
  $ mkdir -p dir/sub other
  $ for i in 0 1 2 3; do
  >   echo $i >> dir/f
  >   echo $i > dir/sub/g$i
  >   echo $i > other/h
  >   hg commit -qAm $i -d "$i 0"
  > done
  $ manifests .
  $ directories .
  ''
  'dir/'
  'dir/sub/'
  'other/'
  $ hg debugindex --dir dir/sub | wc -l
  5
  $ hg admin::sqlite-stats -T '{files} {manifests}\n'
  8 4
  $ hg verify
  checking changesets
  checking manifests
  checking directory manifests
  crosschecking files in changesets and manifests
  checking files
  checking dirstate
  checked 8 changesets with 16 changes to 8 files
  $ hg admin::sqlite-repack -q
  $ hg verify -q
  $ hg strip -q --no-backup 2
  $ hg debugindex --dir dir/sub | wc -l
  5
  $ hg verify -q
  $ hg admin::sqlite-convert -q --to revlog
  $ hg verify -q
  $ manifests . | sort
  ./.hg/store/00manifest.i
  ./.hg/store/meta
  ./.hg/store/meta/dir/00manifest.i
  ./.hg/store/meta/dir/sub/00manifest.i
  ./.hg/store/meta/other/00manifest.i
  $ cat .hg/store/fncache | grep meta | sort
  meta/dir/00manifest.i
  meta/dir/sub/00manifest.i
  meta/other/00manifest.i
  $ hg admin::sqlite-convert -q
  $ hg verify -q
  $ manifests .
  $ grep meta .hg/store/fncache
  [1]

Narrow clones have the directories of their narrowspec

  $ cat > ../narrow.rc << EOF
  > [extensions]
  > narrow =
  > [experimental]
  > narrow = yes
  > treemanifest = yes
  > [ui]
  > ssh = "$PYTHON" "$RUNTESTDIR/dummyssh"
  > EOF
  $ narrow() { HGRCPATH="$HGRCPATH:$TESTTMP/narrow.rc" hg "$@"; }
  $ narrow clone -q --narrow ssh://user@dummy/trees ../narrow --include dir/sub
  $ directories ../narrow
  ''
  'dir/'
  'dir/sub/'
  $ narrow -R ../narrow tracked -q --addinclude other ssh://user@dummy/trees
  $ directories ../narrow
  ''
  'dir/'
  'dir/sub/'
  'other/'
  $ narrow -R ../narrow verify -q
  $ narrow -R ../narrow tracked -q --removeinclude other ssh://user@dummy/trees
  $ directories ../narrow
  ''
  'dir/'
  'dir/sub/'
  $ narrow -R ../narrow verify -q

Damage: the directory and the revision are named

  $ echo more > dir/sub/more
  $ hg commit -qAm more -d '9 0'
  $ "$PYTHON" - << EOF
  > import sqlite3
  > db = sqlite3.connect('.hg/store/history.sqlite')
  > (directory,) = db.execute("SELECT id FROM path WHERE path = CAST('dir/sub/' AS BLOB)").fetchone()
  > db.execute("UPDATE rev SET data = 'x' WHERE id = (SELECT max(id) FROM rev WHERE id >> 32 = ?)", (directory,))
  > db.commit()
  > db.close()
  > EOF
  $ rm -r .hg/wcache
  $ hg verify -q 2>&1 | head -5
   dir/sub/@6: reading delta d6976f801747: damaged revision 4 of meta/dir/sub/00manifest: unknown chunk type 'x'
   dir/sub/more@6: in changeset but not in manifest
  not checking dirstate because of previous errors
  2 integrity errors encountered!
  (first damaged changeset appears to be 6)
