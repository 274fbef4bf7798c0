#require obstore

Segments over ssh come from the object store that the server announces

  $ cat >> $HGRCPATH << EOF
  > [ui]
  > ssh = "$PYTHON" "$RUNTESTDIR/dummyssh"
  > [extensions]
  > wireprotov2 =
  > EOF
  $ mkdir store
  $ cat > small.py << EOF
  > from hgext3rd.wireprotov2.segments import cut
  > cut.LEAST_CHANGESETS = 2
  > EOF
  $ cat > publish.py << EOF
  > import functools, http.server, sys
  > class Handler(http.server.SimpleHTTPRequestHandler):
  >     def log_message(self, format, *args):
  >         with open('store.log', 'a') as log:
  >             log.write('%s %s\n' % args[:2])
  > handler = functools.partial(Handler, directory='store')
  > http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), handler).serve_forever()
  > EOF
  $ "$PYTHON" publish.py $HGPORT1 > /dev/null 2>&1 &
  $ echo $! > $DAEMON_PIDS
  $ "$PYTHON" $TESTDIR/helpers/wait_for.py $HGPORT1
  $ hg init server
  $ cat >> server/.hg/hgrc << EOF
  > [extensions]
  > small = $TESTTMP/small.py
  > [wireprotov2]
  > cacher = objectstore
  > cacher.identity = test
  > cacher.objectstore.url = file://$TESTTMP/store
  > cacher.objectstore.redirect = yes
  > cacher.objectstore.public-url = http://127.0.0.1:$HGPORT1/
  > EOF
  $ cd server
  $ for n in 0 1 2; do
  >     echo $n > a
  >     hg commit -q -A -m $n -d "$n 0"
  > done
  $ hg phase --public -r 'all()'
  $ cd ..
  $ fetched() {
  >     sed 's/[0-9a-f]\{40\}/KEY/' store.log | sort
  >     rm -f store.log
  > }
  $ hg admin::wire-warm -R server
  2 segments built, 0 were there already
  $ hg clone -q -U ssh://user@dummy/server one
  $ hg -R one log -T '{rev}\n'
  2
  1
  0
  $ fetched
  GET /bodies/KEY HTTP/1.1 200
  GET /bodies/KEY HTTP/1.1 200

If the store has lost them, the server sends them

  $ rm store/bodies/*
  $ hg clone -q -U ssh://user@dummy/server two 2>&1 | sort
  (http://$LOCALIP:$HGPORT1/bodies/*: HTTP error 404; fetching from the server itself) (glob)
  (http://$LOCALIP:$HGPORT1/bodies/*: HTTP error 404; fetching from the server itself) (glob)
  $ hg -R two verify -q
  $ fetched
  404 File not found
  404 File not found
  GET /bodies/KEY HTTP/1.1 404
  GET /bodies/KEY HTTP/1.1 404
