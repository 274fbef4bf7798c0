API requests to "hg serve": many at once, several repositories, clients that
stall, and invalid HTTP

  $ . $TESTDIR/helpers/serve.sh
  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > wireprotov2 =
  > EOF
  $ hg init server
  $ cd server
  $ "$PYTHON" -c "import os; open('big', 'wb').write(os.urandom(30000000))"
  $ echo a > a
  $ hg commit -q -A -m 0
  big: up to 90 MB of RAM may be required to manage this file
  (use 'hg revert big' to cancel the pending addition)
  $ cd ..
  $ send_together() {
  >   "$PYTHON" $TESTDIR/helpers/send_together.py "$@"
  > }
  $ url=http://$LOCALIP:$HGPORT

A server that has just started gets eight requests at the same moment

  $ for i in 1 2 3; do
  >   serve -R server
  >   send_together 8 $url/
  >   killdaemons.py
  > done
  8: 200, complete
  8: 200, complete
  8: 200, complete
  $ serve -R server
  $ send_together 8 $url/ capabilities
  8: 200, complete
  $ killdaemons.py
  $ cat error.log

Several repositories: one with the extension, one without it, and one that nobody
may read

  $ hg init other
  $ cat > other/.hg/hgrc << EOF
  > [extensions]
  > wireprotov2 = !
  > EOF
  $ hg init unreadable
  $ cat > unreadable/.hg/hgrc << EOF
  > [web]
  > deny_read = *
  > EOF
  $ cat > web.conf << EOF
  > [paths]
  > a/server = $TESTTMP/server
  > other = $TESTTMP/other
  > unreadable = $TESTTMP/unreadable
  > EOF
  $ serve --web-conf web.conf
  $ send_together 8 $url/a/server
  8: 200, complete
  $ "$PYTHON" -c "import sys, urllib.request as r
  > print(r.urlopen(sys.argv[1]).read().decode())" $url/a/server/api
  APIs can be accessed at /api/<name>, where <name> can be one of the following:
  
  exp-http-v2-0002
  exp-http-v2-0003
  $ send_together 1 $url/other
  1: 400, incomplete
  $ send_together 1 $url/unreadable
  1: 401, incomplete
  $ send_together 1 $url/none
  1: 404, incomplete
  $ hg debugwireprotov2 $url/a/server << EOF | tail -3
  > command known
  >     nodes eval:[]
  > EOF
  response: gen[
    b''
  ]
  $ killdaemons.py
  $ cat error.log

A server below a path prefix

  $ serve -R server --prefix pre
  $ send_together 1 $url/pre
  1: 200, complete
  $ killdaemons.py

The server closes the connection of a client that stops sending or reading for
limit.idle-time seconds

  $ serve -R server --config wireprotov2.limit.idle-time=2
  $ cat > stall.py << EOF
  > import os, socket, time
  > node = bytes.fromhex(os.environ['NODE'])
  > media = b'application/mercurial-exp-framing-0006'
  > payload = (
  >     b'\xa2DnameHfiledataDargs\xa3DpathCbigEnodes\x81T' + node +
  >     b'Ffields\x81Hrevision'
  > )
  > body = len(payload).to_bytes(3, 'little') + b'\1\0\1\1\x11' + payload
  > head = b'''POST /api/exp-http-v2-0003/ro/filedata HTTP/1.1\r
  > Host: localhost\r
  > Accept: %s\r
  > Content-Type: %s\r
  > Content-Length: %d\r
  > \r
  > ''' % (media, media, len(body))
  > def send(data):
  >     sock = socket.create_connection(
  >         (os.environ['LOCALIP'], int(os.environ['HGPORT']))
  >     )
  >     sock.settimeout(600)
  >     sock.sendall(data)
  >     return sock
  > def read(sock):
  >     data = b''
  >     while True:
  >         try:
  >             part = sock.recv(1000000)
  >         except ConnectionResetError:
  >             part = b''
  >         if not part:
  >             return data
  >         data += part
  > sock = send(head + body[:-5])
  > print(read(sock).partition(b'\r\n')[0].decode())
  > # This machine may be so slow that the server gives up an honest client. So
  > # such clients try again.
  > first = b''
  > while not first.startswith(b'HTTP/1.1 200'):
  >     sock = send(head + body)
  >     first = sock.recv(10000)
  > print(first.partition(b'\r\n')[0].decode())
  > # The server logs when it gives up a client that does not read.
  > while 'idle for 2 seconds' not in open('error.log').read():
  >     time.sleep(0.1)
  > print(len(first + read(sock)) < 25000000)
  > # A client that reads gets all of it. Then it sends no further request, and
  > # the server closes the connection.
  > while len(read(send(head + body))) < 30000000:
  >     pass
  > EOF
  $ export NODE=`hg -R server debugindex big --debug | sed -n '2s/^ *0 *[-0-9]* *0 *\([0-9a-f]*\).*/\1/p'`
  $ LOCALIP=$LOCALIP HGPORT=$HGPORT NODE=$NODE "$PYTHON" stall.py
  HTTP/1.1 408 Request Timeout
  HTTP/1.1 200 OK
  True
  $ sed 's/.*\] //' error.log | sort -u
  HG error:  wireprotov2: $LOCALIP: bad request: request was not received in time
  Request timed out: TimeoutError('timed out')
  wireprotov2: connection closed: the client was idle for 2 seconds

Clients that disconnect leave nothing in the log, in the middle of an answer as
well as between two requests

  $ killdaemons.py
  $ rm error.log
  $ hg serve -p $HGPORT --pid-file hg.pid -E error.log -R server 2> stderr.log > stdout.log &
  $ "$PYTHON" $TESTDIR/helpers/wait_for.py $HGPORT hg.pid
  $ cat hg.pid >> $DAEMON_PIDS
  $ cat > leave.py << EOF
  > import os, pathlib, socket, struct
  > exec(pathlib.Path('stall.py').read_text().partition('def read')[0])
  > status = f'/proc/{pathlib.Path("hg.pid").read_text().strip()}/task'
  > def leave(data, reset):
  >     sock = send(data)
  >     assert sock.recv(1000)
  >     if reset:
  >         sock.setsockopt(
  >             socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)
  >         )
  >     sock.close()
  >     # One thread watches all connections.
  >     while os.path.exists(status) and len(os.listdir(status)) > 2:
  >         time.sleep(0.1)
  > v1 = b'GET /?cmd=%s HTTP/1.1\r\nHost: x\r\n\r\n'
  > for reset in (False, True):
  >     leave(head + body, reset)
  >     leave(v1 % b'stream_out', reset)
  >     leave(v1 % b'capabilities', reset)
  > EOF
  $ LOCALIP=127.0.0.1 HGPORT=$HGPORT NODE=$NODE "$PYTHON" leave.py
  $ cat error.log stderr.log

A client with an invalid request gets an error before the server closes the
connection

  $ cat > raw.py << EOF
  > import os, socket, sys
  > media = 'application/mercurial-exp-framing-0006'
  > head = 'POST /api/exp-http-v2-0003/ro/heads HTTP/%s\r\nHost: x\r\n'
  > head += 'Accept: %s\r\nContent-Type: %s\r\n' % (media, media)
  > body = b'\x0c\0\0\1\0\1\1\x11\xa1DnameEheads'
  > def ask(fields, data=b'', version='1.1'):
  >     sock = socket.create_connection(
  >         (os.environ['LOCALIP'], int(os.environ['HGPORT']))
  >     )
  >     sock.settimeout(600)
  >     sock.sendall((head % version + fields + '\r\n').encode())
  >     try:
  >         sock.sendall(data)
  >         answer = b''
  >         while True:
  >             part = sock.recv(65536)
  >             if not part:
  >                 break
  >             answer += part
  >         end = 'closed'
  >     except ConnectionError as e:
  >         end = type(e).__name__
  >     line = answer.partition(b'\r\n')[0].decode()
  >     count = answer.count(b'HTTP/1.')
  >     print('%s; %d; %s' % (line, count, end))
  > for value in ('abc', '-5', '', '1e3', '5, 5', '٣', '9' * 30):
  >     ask('Content-Length: %s\r\n' % value)
  > ask('Content-Length: 20\r\nContent-Length: 20\r\n', body)
  > ask('Content-Length: 99999999999999\r\n')
  > ask('Content-Length: 99999999\r\n', bytes(5000000))
  > ask('')
  > ask('Transfer-Encoding: chunked\r\n', b'14\r\n' + body + b'\r\n0\r\n\r\n')
  > ask('Content-Length: 20\r\n', body, '1.0')
  > ask('Content-Length: 20\r\nConnection: close\r\n', body)
  > # A valid request, followed by something that is not a request.
  > ask('Content-Length: 20\r\n', body + b'garbage\r\n\r\n')
  > EOF
  $ rm error.log
  $ killdaemons.py
  $ serve -R server
  $ LOCALIP=$LOCALIP HGPORT=$HGPORT "$PYTHON" raw.py
  HTTP/1.1 400 Bad Request; 1; closed
  HTTP/1.1 400 Bad Request; 1; closed
  HTTP/1.1 400 Bad Request; 1; closed
  HTTP/1.1 400 Bad Request; 1; closed
  HTTP/1.1 400 Bad Request; 1; closed
  HTTP/1.1 400 Bad Request; 1; closed
  HTTP/1.1 400 Bad Request; 1; closed
  HTTP/1.1 400 Bad Request; 1; closed
  HTTP/1.1 413 Request Entity Too Large; 1; closed
  HTTP/1.1 413 Request Entity Too Large; 1; closed
  HTTP/1.1 411 Length Required; 1; closed
  HTTP/1.1 411 Length Required; 1; closed
  HTTP/1.1 200 OK; 1; closed
  HTTP/1.1 200 OK; 1; closed
  HTTP/1.1 200 OK; 1; closed
  $ sed 's/.*\] //' error.log | sort | uniq -c
  *2 HG error:  wireprotov2: $LOCALIP: bad request: client MUST send Content-Length header (glob)
  *2 HG error:  wireprotov2: $LOCALIP: bad request: request is larger than 67108864 bytes (glob)
  *1 code 400, message Bad request syntax ('garbage') (glob)
  *8 wireprotov2: bad request: no valid Content-Length (glob)
