Operations without a version 2 command, and servers whose version 2 is broken

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > wireprotov2 =
  > [wireprotov2]
  > retry = 1
  > retry.delay = 0.01
  > [experimental]
  > evolution = all
  > EOF
  $ requests() {
  >     sed -E 's/.*"([A-Z]+) ([^ ]*) .*/\1 \2/' access.log
  >     : > access.log
  > }
  $ hg init server
  $ cd server
  $ cat > .hg/hgrc << EOF
  > [web]
  > push_ssl = no
  > allow-push = *
  > [phases]
  > publish = no
  > EOF
  $ for n in 0 1 2; do
  >     echo $n > f
  >     hg commit -qA -d "$n 0" -m "c$n"
  > done
  $ hg commit -q --amend -m 'c2 amended' -d '3 0'
  $ cd ..

Obsolescence markers come with the same pull, in one version 1 request

  $ cat > auth.py << EOF
  > import base64
  > from mercurial.hgweb import common
  > def check(hgweb, req, op):
  >     given = req.headers.get(b'Authorization', b'')
  >     if given != b'Basic ' + base64.b64encode(b'user:pass'):
  >         headers = [(b'WWW-Authenticate', b'Basic Realm="x"')]
  >         raise common.ErrorResponse(
  >             common.HTTP_UNAUTHORIZED, b'who', headers
  >         )
  > def extsetup(ui):
  >     common.permhooks.insert(0, check)
  > EOF
  $ hg serve -R server -p $HGPORT -d --pid-file hg.pid -A access.log -E error.log \
  >     --config extensions.auth=auth.py
  $ cat hg.pid >> $DAEMON_PIDS
  $ hg clone -q -U http://user:pass@localhost:$HGPORT/ clone
  $ requests | grep -v "cmd=capabilities"
  POST /api/exp-http-v2-0003/ro/multirequest
  POST /api/exp-http-v2-0003/ro/multirequest
  GET /?cmd=getbundle
  $ hg -R clone log -T '{rev} {phase} {desc}\n'
  2 draft c2 amended
  1 draft c1
  0 draft c0
  $ hg -R clone debugobsolete | wc -l | tr -d ' '
  1

The client asks for a password as usual; a missing password does not cause a
fallback to version 1

  $ hg -R clone pull -q http://localhost:$HGPORT/
  abort: http authorization required for http://localhost:$HGPORT/
  [255]
  $ killdaemons.py
  $ cat error.log

If the API of a server is broken, version 1 is used, with one warning

  $ cat > broken.py << EOF
  > import os
  > from hgext3rd.wireprotov2.server import wsgi
  > from hgext3rd.wireprotov2.proto import cbor
  > from mercurial import extensions
  > FRAMES = b'application/mercurial-exp-framing-0006'
  > ANSWERS = {
  >     'gone': (b'404 Not Found', b'text/plain', b'gone'),
  >     'html': (b'200 OK', b'text/html', b'<html>'),
  >     'noise': (b'200 OK', FRAMES, b'\377' * 100),
  >     'empty': (b'200 OK', FRAMES, b''),
  >     'error': (b'503 Busy', b'text/plain', b'later'),
  > }
  > HELLOS = {
  >     'hello': b'\xa1\x41',
  >     'apis': cbor.encode({b'v1capabilities': b'batch getbundle known',
  >                          b'apis': 5, b'apibase': b'api/'}),
  > }
  > def handle(ours, orig, rctx, req, res, checkperm):
  >     if b'X-HgUpgrade-1' in req.headers and os.environ['BROKEN'] in HELLOS:
  >         res.status = b'200 OK'
  >         res.headers[b'Content-Type'] = b'application/mercurial-cbor'
  >         res.setbodybytes(HELLOS[os.environ['BROKEN']])
  >         return True
  >     if not (req.dispatchpath or b'').startswith(b'api/'):
  >         return ours(orig, rctx, req, res, checkperm)
  >     status, kind, body = ANSWERS[os.environ['BROKEN']]
  >     res.status = status
  >     res.headers[b'Content-Type'] = kind
  >     res.setbodybytes(body)
  >     return True
  > def uisetup(ui):
  >     extensions.wrapfunction(wsgi, 'handlewsgirequest', handle)
  > EOF
  $ try() {
  >     BROKEN=$2 hg serve -R server -p $1 -d --pid-file hg.pid -A access.log \
  >         -E error.log --config extensions.broken=broken.py
  >     cat hg.pid > $DAEMON_PIDS
  >     hg init try-$2
  >     hg -R try-$2 pull -q http://localhost:$1/ 2>&1 \
  >         | sed 's/in [0-9.]* sec/in N sec/'
  >     hg -R try-$2 log -T '{rev} {desc}\n'
  >     killdaemons.py
  > }
  $ try $HGPORT gone
  warning: falling back to wire protocol version 1: http://localhost:$HGPORT/api/exp-http-v2-0003: HTTP error 404: Not Found
  2 c2 amended
  1 c1
  0 c0
  $ try $HGPORT1 empty
  (http://localhost:$HGPORT1/api/exp-http-v2-0003: connection lost: the response is incomplete; trying again in N seconds)
  warning: falling back to wire protocol version 1: http://localhost:$HGPORT1/api/exp-http-v2-0003: connection lost: the response is incomplete
  2 c2 amended
  1 c1
  0 c0

The same happens if responses are malformed and nothing was applied yet

  $ try $HGPORT2 html
  warning: falling back to wire protocol version 1: http://localhost:$HGPORT2/api/exp-http-v2-0003: the response has a wrong type (text/html)
  2 c2 amended
  1 c1
  0 c0
  $ try $HGPORT noise
  warning: falling back to wire protocol version 1: http://localhost:$HGPORT/api/exp-http-v2-0003: frame of 16777215 bytes is larger than 65535
  2 c2 amended
  1 c1
  0 c0
  $ try $HGPORT error
  (http://localhost:$HGPORT/api/exp-http-v2-0003: HTTP error 503: Busy; trying again in N seconds)
  warning: falling back to wire protocol version 1: http://localhost:$HGPORT/api/exp-http-v2-0003: HTTP error 503: Busy
  2 c2 amended
  1 c1
  0 c0

The same happens if the handshake is malformed

  $ try $HGPORT1 hello
  warning: falling back to wire protocol version 1: http://localhost:$HGPORT1/?cmd=capabilities: CBOR data ends inside a value
  2 c2 amended
  1 c1
  0 c0
  $ try $HGPORT2 apis
  warning: falling back to wire protocol version 1: http://localhost:$HGPORT2/: the handshake names no APIs
  2 c2 amended
  1 c1
  0 c0

Large files of lfs keep their flags; --stream copies files as in version 1

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > lfs =
  > [lfs]
  > usercache = $TESTTMP/lfs-cache
  > EOF
  $ hg init large
  $ cd large
  $ echo 'all()' | sed 's/^/[lfs]\ntrack = /' >> .hg/hgrc
  $ echo large > f
  $ hg commit -qA -m large
  $ hg mv f g
  $ hg commit -qm moved
  $ cd ..
  $ hg serve -R large -p $HGPORT -d --pid-file hg.pid -A access.log -E error.log
  $ cat hg.pid >> $DAEMON_PIDS
  $ : > access.log
  $ hg clone -q http://localhost:$HGPORT/ large-v2
  $ requests | grep api
  POST /api/exp-http-v2-0003/ro/multirequest
  POST /api/exp-http-v2-0003/ro/multirequest
  $ hg -R large-v2 verify -q
  $ cat large-v2/g
  large
  $ hg -R large-v2 debugindex g --debug -T '{flags}\n' | tail -1
  8192
  $ hg clone -q -U --stream http://localhost:$HGPORT/ large-stream
  $ requests
  GET /?cmd=capabilities
  GET /?cmd=batch
  GET /?cmd=getbundle
  $ killdaemons.py

Files of largefiles are fetched with version 1

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > lfs = !
  > largefiles =
  > [largefiles]
  > usercache = $TESTTMP/largefiles-cache
  > EOF
  $ hg init big
  $ cd big
  $ echo 1 > small
  $ hg commit -qA -m small
  $ echo big > f
  $ hg add --large f
  $ hg commit -qm big
  $ cd ..
  $ hg serve -R big -p $HGPORT1 -d --pid-file hg.pid -A access.log -E error.log
  $ cat hg.pid >> $DAEMON_PIDS
  $ rm -r largefiles-cache
  $ : > access.log
  $ hg clone -q -r 0 http://localhost:$HGPORT1/ big-v2
  $ hg -R big-v2 pull -q -u
  $ cat big-v2/f
  big
  $ requests | grep -c multirequest
  3
  $ hg -R big-v2 verify -q --large
