Shallow clones with the remotefilelog extension, which keeps files of its own in
the store and sends a selection of files with the first version of streams.

  $ cat >> $HGRCPATH <<RC
  > [extensions]
  > sqlitestore =
  > [storage]
  > new-repo-backend = sqlite
  > [ui]
  > ssh = "$PYTHON" "$RUNTESTDIR/dummyssh"
  > [remotefilelog]
  > cachepath = $TESTTMP/cache
  > reponame = master
  > RC
  $ shallow() {
  >   hg clone -q -U --stream --shallow ssh://user@dummy/$1 $2 --config extensions.remotefilelog= $3 $4
  >   cp $TESTTMP/shallow.rc $2/.hg/hgrc
  > }
  $ cat > shallow.rc <<RC
  > [extensions]
  > remotefilelog =
  > [remotefilelog]
  > fallbackpath = ssh://user@dummy/master
  > RC
  $ bytes() { python3 -c 'import sqlite3, sys; print("%d files, %d manifest" % sqlite3.connect(sys.argv[1] + "/.hg/store/history.sqlite").execute("SELECT coalesce(sum(kind = 0), 0), coalesce(sum(kind), 0) FROM path").fetchone())' $1; }

  $ hg init master
  $ cd master
  $ cat > .hg/hgrc <<RC
  > [extensions]
  > remotefilelog =
  > [remotefilelog]
  > server = yes
  > RC
  $ for i in 1 2; do echo $i > x; echo $i > y; hg commit -qAm $i; done
  $ cd ..

The server sends no file history: the client gets a database of manifests

  $ shallow master one
  $ bytes one
  0 files, 1 manifest
  $ cd one
  $ hg update -q
  $ cat x
  2
  $ echo local > x
  $ hg commit -qm local
  $ cd ..

A clone of the shallow clone gets the files that were committed in it

  $ shallow one two
  $ ls two/.hg/store/data
  11f6ad8ec52a2984abaafd7c3b516503785c2072
  $ hg -R two update -q
  $ cat two/x
  local

The same if the client would create revlogs by default

  $ shallow one three --config storage.new-repo-backend=revlogv1
  $ bytes three
  0 files, 1 manifest
  $ hg -R three update -q
  $ cat three/x
  local

If the server sends the history of some files, it sends the whole database

  $ shallow master part --config remotefilelog.includepattern=y
  $ bytes part
  2 files, 1 manifest
  $ hg -R part cat -r 0 part/y
  1
  $ hg -R part verify -q --config extensions.remotefilelog=
  $ hg clone -q --pull -U ssh://user@dummy/master full
  $ bytes full
  2 files, 1 manifest

A clone from a server with revlogs has no database

  $ hg clone -q -U ssh://user@dummy/master revlogs --pull --config storage.new-repo-backend=revlogv1
  $ cp master/.hg/hgrc revlogs/.hg/hgrc
  $ shallow revlogs four
  $ ls four/.hg/store | grep sqlite
  [1]
  $ hg -R four update -q
  $ cat four/x
  2
  $ rm revlogs/.hg/hgrc
  $ hg clone -q --stream --config devel.legacy.exchange=bundle1 ssh://user@dummy/revlogs oldest
  $ ls oldest/.hg/store | grep sqlite
  [1]
  $ hg -R oldest verify -q
