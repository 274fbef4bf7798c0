#require serve

Requests that the server refuses, and its limits.

  $ cat > request.py << EOF
  > import http.client, sys
  > method, path = sys.argv[1:3]
  > body = sys.argv[3].encode() if len(sys.argv) > 3 else None
  > if path == 'big':
  >     import hashlib
  >     body = bytes(3000000)
  >     path = '/.hg/lfs/objects/' + hashlib.sha256(body).hexdigest()
  > fields = {'Content-Type': 'application/vnd.git-lfs+json'}
  > c = http.client.HTTPConnection('localhost', $HGPORT)
  > c.request(method, path, body, fields)
  > r = c.getresponse()
  > print(r.status, r.getheader('Retry-After') or '', r.read().decode()[:90])
  > EOF
  $ serve() {
  >   hg --config extensions.lfsserver= --config web.push_ssl=no \
  >     --config web.allow-push=* -R server serve -d -p $HGPORT --pid-file=hg.pid \
  >     -A access.log -E errors.log "$@"
  >   cat hg.pid >> $DAEMON_PIDS
  > }
  $ hg init server

A full disk, simulated by a limit for file sizes (in blocks of 512 bytes)

  $ (ulimit -f 2000; serve)
  $ "$PYTHON" request.py PUT big
  507  {"message":"there is not enough space left for the object"}
  $ find server/.hg/store/lfs -type f
  $ killdaemons.py

Too many concurrent transfers: one client is slow, so another client has to try
again later. The server answers requests that transfer no content.

  $ serve --config lfsserver.max-transfers=1
  $ cat > slow.py << EOF
  > import socket, subprocess, sys, time
  > s = socket.create_connection(('localhost', $HGPORT))
  > s.sendall(b'PUT /.hg/lfs/objects/' + b'1' * 64 + b' HTTP/1.1\r\nHost: x\r\n'
  >           b'Content-Length: 1000000\r\n\r\n' + b'x' * 100)
  > import pathlib
  > objects = pathlib.Path('server/.hg/store/lfs/objects')
  > while not list(objects.glob('*/.upload-*')):
  >     time.sleep(0.05)
  > run = lambda *args: subprocess.call([sys.executable, 'request.py', *args])
  > run('PUT', 'big')
  > run('GET', '/info/lfs/locks')
  > s.close()
  > # The slot of the client that disconnected is free a little later.
  > while True:
  >     again = [sys.executable, 'request.py', 'PUT', 'big']
  >     said = subprocess.check_output(again).decode()
  >     if not said.startswith('429'):
  >         break
  >     time.sleep(0.05)
  > print(said, end='')
  > print(list(objects.glob('*/.upload-*')))
  > EOF
  $ "$PYTHON" slow.py
  429 1 {"message":"too many concurrent transfers (the limit is 1)"}
  200  {"locks":[]}
  201  
  []
  $ killdaemons.py

Locks are disabled

  $ serve --config lfsserver.locks=no
  $ "$PYTHON" request.py GET /info/lfs/locks
  404  {"message":"file locks are disabled on this server"}
  $ "$PYTHON" request.py POST /info/lfs/locks/verify '{}'
  404  {"message":"file locks are disabled on this server"}
  $ killdaemons.py

LFS is disabled

  $ serve --config lfsserver.serve=no
  $ "$PYTHON" request.py GET /info/lfs/locks | cut -c 1-4
  400 
  $ killdaemons.py

A store that cannot be reached

#if obstore
  $ serve --config lfsserver.store=s3://bucket/x --config lfsserver.store:region=x \
  >   --config lfsserver.store:endpoint=http://localhost:$HGPORT1 \
  >   --config lfsserver.store:access_key_id=x \
  >   --config lfsserver.store:secret_access_key=x
  $ "$PYTHON" request.py GET /.hg/lfs/objects/`printf '%064d' 1`
  503  {"message":"the blob store failed"}
  $ "$PYTHON" request.py GET /info/lfs/locks
  200  {"locks":[]}
  $ killdaemons.py
  $ serve --config lfsserver.store=gopher://bucket
  $ "$PYTHON" request.py GET /.hg/lfs/objects/`printf '%064d' 1`
  503  {"message":"the blob store cannot be opened"}
  $ killdaemons.py
#endif

A file in place of the lock database

  $ rm -f server/.hg/store/lfs/locks.sqlite
  $ echo nonsense nonsense nonsense nonsense > server/.hg/store/lfs/locks.sqlite
  $ serve
  $ "$PYTHON" request.py GET /info/lfs/locks
  503  {"message":"the lock database cannot be used"}
  $ cat server/.hg/store/lfs/locks.sqlite
  nonsense nonsense nonsense nonsense
  $ killdaemons.py

A repository that the server cannot write: downloads work, uploads fail

#if no-root unix-permissions
  $ rm server/.hg/store/lfs/locks.sqlite
  $ chmod -R a-w server
  $ serve
  $ "$PYTHON" request.py GET /.hg/lfs/objects/`"$PYTHON" -c "import hashlib; print(hashlib.sha256(bytes(3000000)).hexdigest())"` | cut -c 1-4
  200 
  $ "$PYTHON" request.py PUT /.hg/lfs/objects/`printf '%064d' 1` x
  503  {"message":"the blob store failed"}
  $ chmod -R u+w server
#endif
  $ grep -v aborted errors.log | sed -e 's/.* failed: //' -e 's/: Error performing.*//'
  there is not enough space left for the object
  Generic S3 error (obstore !)
  the blob store cannot be opened: Generic URL error: Unable to recognise URL "gopher://bucket" (obstore !)
  the lock database cannot be used: file is not a database
  [Errno 13] Permission denied: '$TESTTMP/server/.hg/store/lfs/objects/11' (glob) (no-root unix-permissions !)
