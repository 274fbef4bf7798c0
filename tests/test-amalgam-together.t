The three extensions work together: the repository keeps the history of files in
SQLite, its server answers version 2 of the wire protocol with a cache, and a
large file is in the LFS store of the server.

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > sqlitestore =
  > wireprotov2 =
  > lfs =
  > [storage]
  > new-repo-backend = sqlite
  > [lfs]
  > track = size(">10kB")
  > usercache = $TESTTMP/usercache
  > [experimental]
  > lfs.disableusercache = yes
  > EOF

  $ hg init server
  $ cat >> server/.hg/hgrc << EOF
  > [extensions]
  > lfsserver =
  > blackbox =
  > [wireprotov2]
  > cacher = directory
  > [blackbox]
  > track = wireprotov2-cache
  > [web]
  > push_ssl = no
  > allow-push = *
  > EOF
  $ cd server
  $ echo small > small
  $ "$PYTHON" -c "import random; open('large', 'wb').write(random.Random(1).randbytes(100000))"
  $ hg commit -qAm 'small and large'
  $ hg mv small moved
  $ hg commit -m move
  $ hg rm moved
  $ hg commit -m remove
  $ hg serve -d -p $HGPORT --pid-file hg.pid -A ../access.log -E ../error.log
  $ cat hg.pid >> $DAEMON_PIDS
  $ cd ..

A clone over version 2 into SQLite has the same history and the large file

  $ hg clone -q http://localhost:$HGPORT/ clone
  $ grep -c '/api/exp-http-v2-0003/ro/' access.log > /dev/null
  $ grep 'cmd=getbundle' access.log
  [1]
  $ hg -R server log -T '{node} {manifest}\n' > expected
  $ hg -R clone log -T '{node} {manifest}\n' | cmp - expected
  $ hg -R clone log -r 'not public()'
  $ ls clone/.hg/store/history.sqlite
  clone/.hg/store/history.sqlite
  $ cmp server/large clone/large
  $ hg -R clone verify -q

The next clone is answered from the cache

  $ rm server/.hg/blackbox.log
  $ hg clone -q http://localhost:$HGPORT/ second
  $ grep -c 'cache hit' server/.hg/blackbox.log > /dev/null
  $ grep 'cache miss' server/.hg/blackbox.log
  [1]

A pushed changeset and its large file reach another clone

  $ cd clone
  $ "$PYTHON" -c "import random; open('large', 'wb').write(random.Random(2).randbytes(100000))"
  $ hg commit -m 'another large'
  $ hg push -q
  $ cd ../second
  $ hg pull -qu
  $ cmp large ../clone/large
  $ hg log -r . -T '{desc} {phase}\n'
  another large public
  $ cd ..
  $ for repo in server clone second; do
  >   hg -R $repo verify -q
  > done

A client without these extensions gets the same history over version 1, and
keeps it in revlogs

  $ cat > plain.rc << EOF
  > [extensions]
  > lfs =
  > [lfs]
  > usercache = $TESTTMP/usercache
  > EOF
  $ HGRCPATH=plain.rc hg clone -q http://localhost:$HGPORT/ plain
  $ cmp plain/large second/large
  $ hg -R second log -T '{node} {phase}\n' > expected
  $ HGRCPATH=plain.rc hg -R plain log -T '{node} {phase}\n' | cmp - expected
  $ cat error.log
