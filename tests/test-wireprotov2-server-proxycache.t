#require gunicorn nginx

A shared cache in front of a server: nginx stores what it may store

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > wireprotov2 =
  > EOF
  $ PATH=$PATH:/usr/sbin
  $ hg init repo
  $ echo a > repo/a
  $ hg -R repo commit -qAm 0
  $ cat > web.conf << EOF
  > [paths]
  > repo = repo
  > EOF
  $ cat > app.py << EOF
  > from mercurial.hgweb import hgweb
  > application = hgweb(b'web.conf')
  > EOF
  $ gunicorn --threads 4 --bind unix:web.sock --daemon --pid hg.pid \
  >   --error-logfile error.log app:application
  $ cat > nginx.conf << EOF
  > pid $TESTTMP/nginx.pid;
  > error_log $TESTTMP/nginx.error.log;
  > user $(id -un) $(id -gn);
  > events {}
  > http {
  > access_log off;
  > client_body_temp_path $TESTTMP/nginx-body;
  > proxy_temp_path $TESTTMP/nginx-proxy;
  > fastcgi_temp_path $TESTTMP/nginx-fastcgi;
  > uwsgi_temp_path $TESTTMP/nginx-uwsgi;
  > scgi_temp_path $TESTTMP/nginx-scgi;
  > proxy_cache_path $TESTTMP/nginx-cache keys_zone=hg:1m;
  > server {
  >     listen 127.0.0.1:$HGPORT;
  >     location / {
  >         proxy_pass http://unix:$TESTTMP/web.sock;
  >         proxy_cache hg;
  >         proxy_cache_valid any 1h;
  >         add_header X-Cache \$upstream_cache_status always;
  >     }
  > }
  > }
  > EOF
  $ "$PYTHON" "$TESTDIR/helpers/wait_for.py" web.sock hg.pid
  $ nginx -c "$TESTTMP/nginx.conf" -p "$TESTTMP" 2>/dev/null
  $ "$PYTHON" "$TESTDIR/helpers/wait_for.py" $HGPORT nginx.pid
  $ cat hg.pid nginx.pid >> $DAEMON_PIDS
  $ url=http://127.0.0.1:$HGPORT/repo

  $ cat > ask.py << EOF
  > import sys, urllib.error, urllib.request
  > fields = dict(f.split(':', 1) for f in sys.argv[2:])
  > try:
  >     answer = urllib.request.urlopen(
  >         urllib.request.Request(sys.argv[1], headers=fields)
  >     )
  > except urllib.error.HTTPError as e:
  >     answer = e
  > print(answer.status, *(
  >     answer.headers.get(name)
  >     for name in ('X-Cache', 'Content-Type', 'Cache-Control', 'Vary')
  > ), sep='; ')
  > EOF
  $ ask() { "$PYTHON" ask.py "$@"; }

The answers of both versions to the handshake have the same address. Only that of
version 1 is stored, and only clients of version 1 get it.

  $ for i in 1 2; do
  >   ask "$url?cmd=capabilities" X-HgUpgrade-1:exp-http-v2-0003 X-HgProto-1:cbor
  >   ask "$url?cmd=capabilities"
  > done
  200; MISS; application/mercurial-cbor; no-store; X-HgUpgrade-1, X-HgProto-1
  200; MISS; application/mercurial-0.1; None; X-HgUpgrade-1, X-HgProto-1
  200; MISS; application/mercurial-cbor; no-store; X-HgUpgrade-1, X-HgProto-1
  200; HIT; application/mercurial-0.1; None; X-HgUpgrade-1, X-HgProto-1

Clients of both versions clone, one after the other

  $ hg clone -q $url new
  $ hg clone -q --config extensions.wireprotov2=! $url old
  $ hg clone -q $url newer
  $ hg -R newer log -T '{rev} {desc}\n'
  0 0

Everything else below api/ depends on permissions and the configuration

  $ for path in api api/unknown api/metrics api/exp-http-v2-0003 \
  >     api/exp-http-v2-0003/ro/heads api/exp-http-v2-0003/ro/heads; do
  >   ask $url/$path
  > done
  200; MISS; text/plain; no-store; None
  404; MISS; text/plain; no-store; None
  404; MISS; text/plain; no-store; None
  200; MISS; text/plain; no-store; None
  405; MISS; text/plain; no-store; None
  405; MISS; text/plain; no-store; None

  $ grep Traceback error.log
  [1]
