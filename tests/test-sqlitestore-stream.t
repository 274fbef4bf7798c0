Stream clones in each version of the format while another process commits, and
sparse checkouts.

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

A changeset is committed when the server begins to send the database

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

A client without the extension prints a warning and pulls instead

  $ hg clone --stream -U ssh://user@dummy/source plain --config extensions.sqlitestore=! --config storage.new-repo-backend=revlogv1 2>&1 | grep stream
  warning: stream clone requested but client is missing requirements: sqlitestore-compression=zstd, sqlitestore-v3

Sparse checkouts

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

The first version of streams is a command of its own. The record of the last
transaction comes from the source

  $ cd ..
  $ hg clone -q --stream --config devel.legacy.exchange=bundle1 \
  >   ssh://user@dummy/source oldest
  $ hg verify -q -R oldest
  $ hg cat --cwd oldest -r tip f | tail -1
  meanwhile

The clone may be a repository without a store

  $ hg clone -q --stream --config devel.legacy.exchange=bundle1 \
  >   --config format.usestore=no ssh://user@dummy/source flat
  ignoring 'storage.new-repo-backend=sqlite' because it is incompatible with disabled 'format.usestore' config
  $ hg verify -q -R flat
  $ hg cat --cwd flat -r tip f | tail -1
  meanwhile
  $ echo more >> flat/f
  $ hg -R flat commit -qm more
  $ hg verify -q -R flat

A transaction does not open the database of an empty repository, because a
stream may be about to replace it

  $ hg init empty
  $ cat > within.py <<EOF
  > with repo.lock(), repo.transaction(b'x'):
  >     print(sorted(n for n in os.listdir(repo.store.rawvfs.base) if b'sqlite' in n))
  > EOF
  $ hg -R empty debugshell -c "import os; exec(open('within.py').read())"
  [b'history.sqlite']
