Clone bundles and segments

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > wireprotov2 =
  > EOF
  $ hg init server
  $ for n in 1 2 3 4 5 6 7 8 9; do
  >     echo $n > server/f
  >     hg -R server commit -qA -m c$n -d "$n 0"
  > done
  $ hg -R server phase --public tip
  $ cat > small.py << EOF
  > import os
  > from hgext3rd.wireprotov2.segments import cut
  > cut.LEAST_CHANGESETS = int(os.environ.get('LEAST', 4))
  > from mercurial import extensions
  > from hgext3rd.wireprotov2.server import wsgi
  > REFUSE = os.environ.get('REFUSE')
  > seen = []
  > def handle(ours, orig, rctx, req, res, checkperm):
  >     path = req.dispatchpath or b''
  >     if path.endswith(b'segmentdata'):
  >         seen.append(path)
  >     if not (REFUSE and path.startswith(b'api/') and len(seen) >= int(REFUSE)):
  >         return ours(orig, rctx, req, res, checkperm)
  >     res.status = b'403 no'
  >     res.headers[b'Content-Type'] = b'text/plain'
  >     res.setbodybytes(b'no')
  >     return True
  > def uisetup(ui):
  >     extensions.wrapfunction(wsgi, 'handlewsgirequest', handle)
  > EOF
  $ mkdir bundles
  $ hg -R server bundle -q -a -t gzip-v2 bundles/some.hg -r 7
  $ cat > server/.hg/hgrc << EOF
  > [extensions]
  > clonebundles =
  > small = $TESTTMP/small.py
  > EOF
  $ echo "http://localhost:$HGPORT1/some.hg BUNDLESPEC=gzip-v2" > server/.hg/clonebundles.manifest
  $ "$PYTHON" -m http.server --bind 127.0.0.1 --directory bundles $HGPORT1 > files.log 2>&1 &
  $ echo $! >> $DAEMON_PIDS
  $ "$PYTHON" "$TESTDIR/helpers/wait_for.py" $HGPORT1
  $ start() {
  >     LEAST=$1 REFUSE=$2 hg serve -R ${3-server} -p $HGPORT -d --pid-file hg.pid -A access.log -E error.log
  >     cat hg.pid >> $DAEMON_PIDS
  >     : > access.log
  > }
  $ stop() {
  >     "$RUNTESTDIR/killdaemons.py" hg.pid
  > }
  $ requests() {
  >     sed -E 's/.*"([A-Z]+) ([^ ]*) .*/\1 \2/' $TESTTMP/access.log | sort -u
  >     : > $TESTTMP/access.log
  > }

From a server with segments, a clone takes these: it can be continued when it is
interrupted, and after a clone bundle it could not. It does not even ask for the
list of clone bundles.

  $ start 4
  $ hg clone -U http://localhost:$HGPORT/ segments
  fetching 9 changesets in 3 segments
  added 9 changesets with 9 changes to 1 files
  new changesets * (glob)
  searching for changes
  no changes found
  $ requests
  GET /?cmd=batch
  GET /?cmd=capabilities
  POST /api/exp-http-v2-0003/ro/multirequest
  POST /api/exp-http-v2-0003/ro/segmentdata
  $ hg -R segments verify -q

Clone bundles are used for what needs no segments

  $ hg clone -q -U http://localhost:$HGPORT/ v1 --config wireprotov2.client=no
  $ requests | grep clonebundles
  GET /?cmd=clonebundles_manifest

--stream is what the user asked for

  $ hg clone -U --stream http://localhost:$HGPORT/ stream
  no compatible clone bundles available on server; falling back to regular clone
  (you may want to report this to the server operator)
  streaming all changes
  * files to transfer, * of data (glob)
  stream-cloned * files / * in * seconds (*) (glob)
  $ requests
  GET /?cmd=batch
  GET /?cmd=capabilities
  GET /?cmd=clonebundles_manifest
  GET /?cmd=getbundle
  $ stop

A server that has no segments, as its history is shorter than one

  $ hg clone -q -U --pull server young
  $ cp server/.hg/hgrc server/.hg/clonebundles.manifest young/.hg/
  $ start 100 '' young
  $ hg clone -U http://localhost:$HGPORT/ short
  applying clone bundle from http://localhost:$HGPORT1/some.hg
  adding changesets
  adding manifests
  adding file changes
  added 8 changesets with 8 changes to 1 files
  finished applying clone bundle
  searching for changes
  adding changesets
  adding manifests
  adding file changes
  added 1 changesets with 1 changes to 1 files
  new changesets * (glob)
  8 local changesets published
  $ requests | grep -v batch
  GET /?cmd=capabilities
  GET /?cmd=clonebundles_manifest
  POST /api/exp-http-v2-0003/ro/multirequest
  $ hg -R short verify -q
  $ ls short/.hg | grep wireprotov2
  [1]
  $ stop

A server that refuses version 2 from the first segment on: the clone is one of
version 1, with the clone bundle

  $ start 4 1
  $ hg clone -U http://localhost:$HGPORT/ first --config wireprotov2.connections=1
  fetching 9 changesets in 3 segments
  warning: falling back to wire protocol version 1: http://localhost:$HGPORT/api/exp-http-v2-0003: HTTP error 403: no
  applying clone bundle from http://localhost:$HGPORT1/some.hg
  adding changesets
  adding manifests
  adding file changes
  added 8 changesets with 8 changes to 1 files
  finished applying clone bundle
  searching for changes
  adding changesets
  adding manifests
  adding file changes
  added 1 changesets with 1 changes to 1 files
  new changesets * (glob)
  8 local changesets published
  $ requests | grep -v batch
  GET /?cmd=capabilities
  GET /?cmd=clonebundles_manifest
  GET /?cmd=getbundle
  POST /api/exp-http-v2-0003/ro/multirequest
  POST /api/exp-http-v2-0003/ro/segmentdata
  $ hg -R first verify -q
  $ stop

From the second segment on: what came stays, and version 1 brings the rest

  $ start 4 2
  $ hg clone -U http://localhost:$HGPORT/ second --config wireprotov2.connections=1
  fetching 9 changesets in 3 segments
  added 4 changesets with 4 changes to 1 files
  new changesets * (glob)
  warning: falling back to wire protocol version 1: http://localhost:$HGPORT/api/exp-http-v2-0003: HTTP error 403: no
  searching for changes
  adding changesets
  adding manifests
  adding file changes
  added 5 changesets with 5 changes to 1 files
  new changesets * (glob)
  $ requests | grep -v batch
  GET /?cmd=capabilities
  GET /?cmd=getbundle
  POST /api/exp-http-v2-0003/ro/multirequest
  POST /api/exp-http-v2-0003/ro/segmentdata
  $ hg -R second verify -q
  $ ls second/.hg | grep wireprotov2
  [1]
  $ cat error.log
