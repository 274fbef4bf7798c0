Stream clones while others commit, each generation of the format; sparse
checkouts.

  $ cat >> $HGRCPATH <<RC
  > [extensions]
  > sqlitestore =
  > [storage]
  > new-repo-backend = sqlite
  > [ui]
  > ssh = "$PYTHON" "$RUNTESTDIR/dummyssh"
  > RC

  $ hg init source
  $ cd source
  $ mkdir dir
  $ for i in 1 2 3; do
  >   echo $i > f
  >   echo $i > dir/$i
  >   hg commit -qAm $i
  > done
  $ cd ..

A changeset is committed when the first part of the database has been sent

  $ cat > meanwhile.py <<EOF
  > import subprocess
  > from mercurial import encoding
  > from hgext3rd.sqlitestore.integration import storeentries
  > orig = storeentries.DatabaseEntry.get_streams
  > def get_streams(self, *args, **kwargs):
  >     def commit_first(chunks):
  >         with open('source/f', 'ab') as file:
  >             file.write(b'meanwhile\n')
  >         subprocess.check_call(
  >             ['hg', '-R', 'source', 'commit', '-qm', 'meanwhile'],
  >             env={**encoding.environ, b'HGRCPATH': b'$HGRCPATH.plain'},
  >         )
  >         yield from chunks
  >     return [
  >         (name, commit_first(chunks), size)
  >         for name, chunks, size in orig(self, *args, **kwargs)
  >     ]
  > def extsetup(ui):
  >     storeentries.DatabaseEntry.get_streams = get_streams
  > EOF
  $ cp $HGRCPATH $HGRCPATH.plain
  $ cat >> source/.hg/hgrc <<EOF
  > [extensions]
  > meanwhile = $TESTTMP/meanwhile.py
  > EOF
  $ clone() {
  >   hg clone --debug --stream -U ssh://user@dummy/source $1 | grep -o 'part: "stream[^"]*"'
  >   hg -R $1 log -r 'last(all())' -T '{rev} {desc}\n'
  >   hg -R $1 verify -q
  >   hg -R $1 cat -r tip $1/f | tail -1
  >   grep -c sqlitestore $1/.hg/store/requires
  >   hg -R $1 pull -q
  >   hg -R $1 verify -q
  >   hg -R source log -r tip -T '{rev}\n'
  > }
  $ clone two
  part: "stream2"
  2 3
  3
  2
  3
  $ cat >> $HGRCPATH <<EOF
  > [experimental]
  > stream-v3 = yes
  > EOF
  $ clone three
  part: "stream3-exp"
  3 meanwhile
  meanwhile
  2
  4

Who cannot read it is told, and gets a pull

  $ hg clone --stream -U ssh://user@dummy/source plain --config extensions.sqlitestore=! --config storage.new-repo-backend=revlogv1 2>&1 | grep stream
  warning: stream clone requested but client is missing requirements: sqlitestore-compression=zstd, sqlitestore-v2

Sparse

  $ hg clone -q --pull two sparse
  $ cd sparse
  $ cat >> .hg/hgrc <<EOF
  > [extensions]
  > sparse =
  > EOF
  $ hg debugsparse --include dir/1
  $ ls
  dir
  $ ls dir
  1
  $ hg update -q 0
  $ hg update -q tip
  $ echo changed > dir/1
  $ hg commit -qm sparse
  $ hg status
  $ hg cat -r tip f | tail -1
  meanwhile
  $ hg debugsparse --reset
  $ ls dir
  1
  2
  3
  $ hg status
  $ hg verify -q

The oldest kind is a command of its own; the last transaction is the source's

  $ cd ..
  $ hg clone -q --stream --config devel.legacy.exchange=bundle1 \
  >   ssh://user@dummy/source oldest
  $ hg verify -q -R oldest
  $ hg cat --cwd oldest -r tip f | tail -1
  meanwhile

Also to where nothing asks for a store

  $ hg clone -q --stream --config devel.legacy.exchange=bundle1 \
  >   --config format.usestore=no ssh://user@dummy/source flat
  ignoring 'storage.new-repo-backend=sqlite' because it is incompatible with disabled 'format.usestore' config
  $ hg verify -q -R flat
  $ hg cat --cwd flat -r tip f | tail -1
  meanwhile
  $ echo more >> flat/f
  $ hg -R flat commit -qm more
  $ hg verify -q -R flat

The database that a stream is about to replace must not be open

  $ hg init empty
  $ cat > within.py <<EOF
  > with repo.lock(), repo.transaction(b'x'):
  >     print(sorted(n for n in os.listdir(repo.store.rawvfs.base) if b'sqlite' in n))
  > EOF
  $ hg -R empty debugshell -c "import os; exec(open('within.py').read())"
  [b'files.sqlite']
