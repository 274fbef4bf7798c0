Exchange between repositories in SQLite and in revlogs, in all directions.

#require serve

  $ cat >> $HGRCPATH <<'RC'
  > [extensions]
  > sqlitestore =
  > [storage]
  > new-repo-backend = sqlite
  > [ui]
  > ssh = "$PYTHON" "$RUNTESTDIR/dummyssh"
  > [web]
  > push_ssl = no
  > allow_push = *
  > RC
  $ kind() { grep -c sqlitestore-v3 $1/.hg/store/requires $1/.hg/requires | sed -n 's/.*:1$/sqlite/p'; }
  $ same() {
  >   hg -R $1 log -p > $TESTTMP/log1; hg -R $2 log -p > $TESTTMP/log2
  >   cmp $TESTTMP/log1 $TESTTMP/log2 && hg -R $2 verify -q
  > }

A history with copies, merges, an empty file and a large file

  $ hg init source
  $ cd source
  $ python3 -c 'for i in range(20000): print(i * 7919 % 10007)' > big
  $ : > empty
  $ mkdir d
  $ echo 0 > d/f
  $ hg commit -qAm 0
  $ for i in 1 2 3 4 5 6; do
  >   echo $i >> big
  >   echo $i >> d/f
  >   test $i = 3 && hg copy -q big bigcopy
  >   test $i = 4 && hg rename -q d/f d/g && echo 4 > d/f
  >   hg commit -qAm $i
  > done
  $ hg update -q 2
  $ echo branch > branch
  $ hg commit -qAm branch
  $ hg merge -q 6 --tool :other
  $ hg commit -qm merge
  $ hg phase -p .
  $ cd ..
  $ hg clone -q --pull -U source plain --config storage.new-repo-backend=revlogv1
  $ kind plain
  $ same source plain

Clone over HTTP from either kind, and pull in steps

  $ for kind in source plain; do
  >   hg -R $kind serve -p $HGPORT -d --pid-file=hg.pid -E errors.log
  >   cat hg.pid >> $DAEMON_PIDS
  >   hg clone -q -r 3 http://localhost:$HGPORT/ from-$kind
  >   kind from-$kind
  >   hg -R from-$kind pull -q -r 5
  >   hg -R from-$kind pull -q
  >   same $kind from-$kind
  >   killdaemons.py hg.pid
  > done
  sqlite
  sqlite
  $ cat errors.log

Push over ssh, to either kind and back

  $ hg init target
  $ hg -R source push -q ssh://user@dummy/target -r 2
  $ hg -R source push -q ssh://user@dummy/target
  $ same source target
  $ hg init plaintarget --config storage.new-repo-backend=revlogv1
  $ hg -R source push -q ssh://user@dummy/plaintarget
  $ same source plaintarget
  $ cd plaintarget
  $ hg update -q
  $ echo back >> big
  $ hg bookmark -q mark
  $ hg commit -qm back
  $ cd ..
  $ hg -R plaintarget push -q ssh://user@dummy/source -B mark
  $ hg -R source log -r mark -T '{rev} {phase} {bookmarks}\n'
  9 public mark
  $ hg -R source cat -r mark source/big | tail -2
  6
  back

A pull stores a few revisions of known files as rows, and many revisions in
frames

  $ count() { python3 -c 'import sqlite3, sys; db = sqlite3.connect(sys.argv[1] + "/.hg/store/history.sqlite"); print("loose %d, frames %d" % tuple(db.execute("SELECT count(*) FROM " + t).fetchone()[0] for t in ("rev", "frame"))); db.close()' $1; }
  $ hg clone -q --pull -U source counted -r 6
  $ count counted
  loose 0, frames 2
  $ hg -R counted pull -q
  $ count counted
  loose 4, frames 3

A stream clone of a repository in SQLite is a consistent snapshot, also for a
client that would create revlogs by default

  $ hg -R source serve -p $HGPORT -d --pid-file=hg.pid -E errors.log
  $ cat hg.pid >> $DAEMON_PIDS
  $ hg clone -q --stream -U http://localhost:$HGPORT/ streamed
  $ kind streamed
  sqlite
  $ same source streamed
  $ hg clone -q --stream -U http://localhost:$HGPORT/ streamed2 --config storage.new-repo-backend=revlogv1
  $ kind streamed2
  sqlite
  $ same source streamed2
  $ echo more >> streamed/x
  $ hg -R streamed add -q streamed/x
  $ hg -R streamed commit -qm 'on top'
  $ hg -R streamed verify -q

A client without the extension pulls instead

  $ hg clone -q --stream -U http://localhost:$HGPORT/ pulled --config extensions.sqlitestore=! --config storage.new-repo-backend=revlogv1
  warning: stream clone requested but client is missing requirements: sqlitestore-compression=zstd, sqlitestore-v3
  (see https://www.mercurial-scm.org/wiki/MissingRequirement for more information)
  $ ls pulled/.hg/store/data | wc -l | tr -d ' '
  5
  $ killdaemons.py hg.pid
  $ cat errors.log

A stream clone of a repository with revlogs has revlogs, although the client
would create repositories in SQLite by default

  $ hg -R plain serve -p $HGPORT -d --pid-file=hg.pid -E errors.log
  $ cat hg.pid >> $DAEMON_PIDS
  $ hg clone -q --stream http://localhost:$HGPORT/ plainstreamed
  $ kind plainstreamed
  $ ls plainstreamed/.hg/store | grep sqlite
  [1]
  $ same plain plainstreamed
  $ killdaemons.py hg.pid

Stream bundles

  $ hg -R source debugcreatestreamclonebundle v1.hg
  writing * bytes for 3 files (glob)
  bundle requirements: generaldelta, revlog-compression-zstd, revlogv1, sparserevlog, sqlitestore-compression=zstd, sqlitestore-v3
  $ hg init unbundled
  $ hg -R unbundled debugapplystreamclonebundle v1.hg
  3 files to transfer, * KB of data (glob)
  stream-cloned 3 files / * (glob)
  $ hg -R source bookmark -q -d mark
  $ same source unbundled

A local clone copies the database and does not link it

  $ hg clone -q -U source local
  $ kind local
  sqlite
  $ same source local
  >>> import os
  >>> os.stat('local/.hg/store/history.sqlite').st_nlink
  1
  $ cd local
  $ hg update -q
  $ echo local >> big
  $ hg commit -qm local
  $ cd ..
  $ hg -R source verify -q

Clone bundles that contain changesets or a stream

  $ hg -R source bundle -q -a --type zstd-v2 full.hg
  $ hg -R source bundle -q -a --type 'none-v2;stream=v2' stream.hg
  $ "$PYTHON" $RUNTESTDIR/dumbhttp.py -p $HGPORT1 --pid http.pid
  $ cat http.pid >> $DAEMON_PIDS
  $ hg -R source serve -p $HGPORT -d --pid-file=hg.pid --config extensions.clonebundles= -E errors.log
  $ cat hg.pid >> $DAEMON_PIDS
  $ echo "http://localhost:$HGPORT1/full.hg BUNDLESPEC=zstd-v2" > source/.hg/clonebundles.manifest
  $ hg clone -U http://localhost:$HGPORT/ bundled 2>&1 | grep bundle
  applying clone bundle from http://localhost:$HGPORT1/full.hg
  finished applying clone bundle
  $ same source bundled
  $ echo "http://localhost:$HGPORT1/stream.hg BUNDLESPEC=none-v2;stream=v2" > source/.hg/clonebundles.manifest
  $ hg clone --stream -U http://localhost:$HGPORT/ bundled2 2>&1 | grep bundle
  applying clone bundle from http://localhost:$HGPORT1/stream.hg
  finished applying clone bundle
  $ same source bundled2
  $ cat errors.log
