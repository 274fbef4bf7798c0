#require gunicorn

API requests to a WSGI server with several processes of several threads each

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > wireprotov2 =
  > EOF
  $ hg init repos/one
  $ echo a > repos/one/a
  $ hg -R repos/one commit -q -A -m 0
  $ hg init repos/two
  $ cat > web.conf << EOF
  > [collections]
  > repos = repos
  > [web]
  > allow-pull = yes
  > EOF
  $ cat > app.py << EOF
  > from mercurial import demandimport
  > demandimport.enable()
  > from mercurial.hgweb import hgweb
  > application = hgweb(b'web.conf')
  > EOF
  $ gunicorn --workers 2 --threads 4 --bind 127.0.0.1:$HGPORT --daemon \
  >   --pid hg.pid --error-logfile error.log app:application
  $ "$PYTHON" $TESTDIR/helpers/wait_for.py $HGPORT hg.pid
  $ cat hg.pid >> $DAEMON_PIDS
  $ url=http://127.0.0.1:$HGPORT
  $ "$PYTHON" $TESTDIR/helpers/send_together.py 16 $url/one
  16: 200, complete
  $ "$PYTHON" $TESTDIR/helpers/send_together.py 16 $url/two capabilities
  16: 200, complete
  $ hg clone -q -U $url/one copy
  $ hg -R copy log -T '{rev} {desc}\n'
  0 0

A WSGI server also takes request bodies without a length. A body that ends within
a wire frame is an error.

  $ cat > raw.py << EOF
  > import http.client, os
  > media = 'application/mercurial-exp-framing-0006'
  > body = b'\x0c\0\0\1\0\1\1\x11\xa1DnameEheads'
  > def ask(data, **fields):
  >     conn = http.client.HTTPConnection('127.0.0.1:' + os.environ['HGPORT'])
  >     conn.request(
  >         'POST', '/one/api/exp-http-v2-0003/ro/heads', data,
  >         {'Accept': media, 'Content-Type': media, **fields},
  >     )
  >     answer = conn.getresponse()
  >     print(answer.status, len(answer.read()) > 50)
  > ask(iter([body[:9], body[9:]]))
  > ask(iter([body[:9]]))
  > ask(body[:9])
  > EOF
  $ HGPORT=$HGPORT "$PYTHON" raw.py
  200 True
  400 False
  400 False
  $ grep -c 'wireprotov2: .*bad request: data ends inside a frame' error.log
  2
  $ grep Traceback error.log
  [1]
