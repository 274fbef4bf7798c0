#require obstore

Clients fetch segments directly from an object store

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > blackbox =
  > wireprotov2 =
  > [blackbox]
  > track = wireprotov2-cache
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
  >             credentials = self.headers.get('Authorization')
  >             log.write('%s %s %s\n' % (args[0], args[1], credentials))
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
  $ hg serve -R server -p $HGPORT -d --pid-file hg.pid -E error.log
  $ cat hg.pid >> $DAEMON_PIDS
  $ events() {
  >     sed 's/.*> //; s/[0-9a-f]\{40\}/KEY/g; s/:[0-9]*\/bodies/:PORT\/bodies/' \
  >         server/.hg/blackbox.log | grep -e segmentdata -e redirect -e cache \
  >         | sort
  >     rm server/.hg/blackbox.log
  > }
  $ fetched() {
  >     sed 's/[0-9a-f]\{40\}/KEY/' store.log | sort
  >     rm -f store.log
  > }

Capabilities announce the redirect target

  $ "$PYTHON" $TESTDIR/helpers/wire_call.py http://localhost:$HGPORT/ capabilities \
  >     | grep -o "'redirect': {.*}\]}" | sed "s/$HGPORT1/PORT/"
  'redirect': {'hashes': ['sha256', 'sha1'], 'targets': [{'name': 'objectstore', 'protocol': 'http', 'uris': ['http://$LOCALIP:PORT']}]}

Segments that were built ahead never pass through the server. The store does not
get the credentials of the user

  $ hg admin::wire-warm -R server
  2 segments built, 0 were there already
  $ hg clone -q -U http://u:p@localhost:$HGPORT/ one
  $ hg -R one log -T '{rev}\n'
  2
  1
  0
  $ events
  cache hit for KEY
  cache hit for KEY
  cacher constructed for segmentdata
  cacher constructed for segmentdata
  sending content redirect for KEY to http://$LOCALIP:PORT/bodies/KEY
  sending content redirect for KEY to http://$LOCALIP:PORT/bodies/KEY
  $ fetched
  GET /bodies/KEY HTTP/1.1 200 None
  GET /bodies/KEY HTTP/1.1 200 None

If a store lost its bodies, the server fills it again

  $ rm store/bodies/*
  $ hg clone -q -U http://localhost:$HGPORT/ two 2>&1 | sort
  (http://$LOCALIP:$HGPORT1/bodies/51f298c6cb7b5509ce74fe9a70792b4541c378d6: HTTP error 404; fetching from the server itself)
  (http://$LOCALIP:$HGPORT1/bodies/675a2b9568d55a2be2012b164232f9b86542d57c: HTTP error 404; fetching from the server itself)
  $ hg -R two log -T '{rev}\n'
  2
  1
  0
  $ fetched
  404 File not found None
  404 File not found None
  GET /bodies/KEY HTTP/1.1 404 None
  GET /bodies/KEY HTTP/1.1 404 None
  $ hg clone -q -U http://localhost:$HGPORT/ three
  $ fetched
  GET /bodies/KEY HTTP/1.1 200 None
  GET /bodies/KEY HTTP/1.1 200 None

The client notices bodies that were changed

  $ for body in store/bodies/*; do
  >     echo changed > $body
  > done
  $ hg clone -q -U http://localhost:$HGPORT/ four 2>&1 | sort
  (http://$LOCALIP:$HGPORT1/bodies/51f298c6cb7b5509ce74fe9a70792b4541c378d6: CBOR text strings are not supported; fetching from the server itself)
  (http://$LOCALIP:$HGPORT1/bodies/675a2b9568d55a2be2012b164232f9b86542d57c: CBOR text strings are not supported; fetching from the server itself)
  $ hg -R four log -T '{rev}\n'
  2
  1
  0
  $ sed 's/.*ignoring/ignoring/' error.log | sort
  ignoring cache entry 51f298c6cb7b5509ce74fe9a70792b4541c378d6: entry has the wrong length
  ignoring cache entry 675a2b9568d55a2be2012b164232f9b86542d57c: entry has the wrong length

#if hg60

Mercurial 6.0 follows redirects, too

  $ rm -r store/*; rm -f store.log
  $ for name in five six; do
  >     HGRCPATH= "$AMALGAM_HG60" clone -q -U \
  >         --config experimental.httppeer.advertise-v2=true \
  >         http://localhost:$HGPORT/ $name
  >     HGRCPATH= "$AMALGAM_HG60" -R $name log -T '{rev}\n'
  > done
  2
  1
  0
  2
  1
  0
  $ sort store.log | sed 's/[0-9a-f]\{40\}/KEY/' | uniq -c
        3 GET /bodies/KEY HTTP/1.1 200 None

#endif
