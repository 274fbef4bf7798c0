#require serve nginx gunicorn

hg admin::doctor asks a server through nginx, which has something wrong.

  $ PATH=$PATH:/usr/sbin
  $ cat > disk.py << EOF
  > # The disk that the tests run on shall have no influence.
  > from hgext3rd.amalgam.doctor import filesystems
  > filesystems.MOUNTS = r'$TESTTMP/mountinfo'
  > filesystems.FEW = 0
  > EOF
  $ echo '21 1 8:1 / / rw - ext4 /dev/sda1 rw' > mountinfo
  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > wireprotov2 =
  > lfs =
  > lfsserver =
  > disk = $TESTTMP/disk.py
  > [lfs]
  > track = size(">1kB")
  > [wireprotov2]
  > cacher = directory
  > metrics = yes
  > [experimental]
  > lfs.disableusercache = yes
  > EOF
  $ hg init repo
  $ cd repo
  $ "$PYTHON" -c 'print("large\n" * 1000)' > large
  $ hg commit -qAm large
  $ hg phase --public tip
  $ cd ..
  $ cat > hgweb.conf << EOF
  > [paths]
  > / = $TESTTMP/repo
  > EOF
  $ cp "$TESTDIR/../docs/deploy/hgweb.wsgi.py" hgweb_wsgi.py
  $ HGWEB_CONFIG=$TESTTMP/hgweb.conf "$PYTHON" -m gunicorn --worker-class gthread --threads 4 \
  >     --bind 127.0.0.1:$HGPORT1 --pid gunicorn.pid --daemon --log-file gunicorn.log \
  >     hgweb_wsgi:application
  $ "$PYTHON" "$TESTDIR/helpers/wait_for.py" gunicorn.pid $HGPORT1
  $ cat gunicorn.pid >> $DAEMON_PIDS
  $ openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 \
  >     -subj /CN=localhost -addext subjectAltName=DNS:localhost 2> /dev/null

Start nginx with the directives of standard input, look, and stop it

  $ look() {
  >     cat > directives
  >     cat > nginx.conf << END
  > pid $TESTTMP/nginx.pid;
  > error_log $TESTTMP/nginx.error.log;
  > user $(id -un) $(id -gn);
  > events {}
  > http {
  >     access_log off;
  >     client_body_temp_path $TESTTMP/nginx-body;
  >     proxy_temp_path $TESTTMP/nginx-proxy;
  >     proxy_cache_path $TESTTMP/nginx-cache keys_zone=cache:1m;
  >     fastcgi_temp_path $TESTTMP/nginx-fastcgi;
  >     uwsgi_temp_path $TESTTMP/nginx-uwsgi;
  >     scgi_temp_path $TESTTMP/nginx-scgi;
  >     server {
  >         listen 127.0.0.1:$HGPORT $tls;
  >         $common
  >         location / {
  >             proxy_pass http://127.0.0.1:$HGPORT1;
  >             proxy_http_version 1.1;
  >             proxy_set_header Host \$http_host;
  > $(cat directives)
  >         }
  >     }
  > }
  > END
  >     rm -rf nginx-cache
  >     nginx -c "$TESTTMP/nginx.conf" -p "$TESTTMP" 2> /dev/null
  >     "$PYTHON" "$TESTDIR/helpers/wait_for.py" nginx.pid $HGPORT
  >     hg -R repo admin::doctor -q $scheme://localhost:$HGPORT/ "$@"
  >     kill $(cat nginx.pid)
  >     while [ -e nginx.pid ]; do sleep 0.1; done
  > }
  $ scheme=http
  $ good='client_max_body_size 0; large_client_header_buffers 16 16k;'

As docs/deploy/nginx.conf has it

  $ common=$good
  $ look --config wireprotov2.metrics=no << EOF
  > proxy_request_buffering off;
  > proxy_buffering off;
  > EOF

The defaults of nginx

  $ common=
  $ look --config wireprotov2.metrics=no < /dev/null
  warning headers: header fields of 40 kB are refused: 400 Bad Request
          change: nginx: large_client_header_buffers 16 16k
  problem requests: a request with a body of 2 MB is refused: 413 Request Entity Too Large
          change: nginx: client_max_body_size 0 (the server has limits itself)
  problem lfs-requests: the proxy refuses large uploads: 413 Request Entity Too Large
          change: nginx: client_max_body_size 0 (lfsserver.max-object-size is the limit of the server)

A limit of 1 MB for requests, and none for header fields

  $ common='client_max_body_size 1m; large_client_header_buffers 16 16k;'
  $ look --config wireprotov2.metrics=no < /dev/null
  problem requests: a request with a body of 2 MB is refused: 413 Request Entity Too Large
          change: nginx: client_max_body_size 0 (the server has limits itself)
  problem lfs-requests: the proxy refuses large uploads: 413 Request Entity Too Large
          change: nginx: client_max_body_size 0 (lfsserver.max-object-size is the limit of the server)
  $ common='client_max_body_size 0; large_client_header_buffers 4 2k;'
  $ look --config wireprotov2.metrics=no << EOF
  > proxy_request_buffering off;
  > EOF
  problem headers: header fields of 10 kB are refused: 400 Bad Request
          change: nginx: large_client_header_buffers 16 16k

Uploads are collected

  $ common=$good
  $ look --timeout 10 --config wireprotov2.metrics=no < /dev/null
  warning lfs-requests: the proxy collects uploads before the server sees them
          change: nginx: proxy_request_buffering off

Only GET is allowed without a login

  $ touch passwords
  $ look --config wireprotov2.metrics=no << EOF
  > limit_except GET { auth_basic Pushes; auth_basic_user_file $TESTTMP/passwords; }
  > EOF
  problem requests: a read by POST gets 401 Unauthorized, and clients fall back to version 1
          change: let the proxy pass POST below /api/NAME/ro/ for all who may read (nginx: a location ~ /api/[^/]+/ro/)
  problem lfs-requests: requests of LFS get 401 Unauthorized
          change: let the proxy pass POST to /.git/info/lfs for all who may read, and all methods to /.hg/lfs

A login for everything, which the command gets from [auth]

  $ echo 'user:{PLAIN}secret' > passwords
  $ login='auth_basic All; auth_basic_user_file passwords; proxy_request_buffering off;'
  $ echo "$login" | look --config wireprotov2.metrics=no
  warning address: http://localhost:$HGPORT/ demands a login (401 Unauthorized)
          change: give a login in the section [auth] to look behind it
  $ echo "$login" | look --config auth.x.prefix=http://localhost:$HGPORT \
  >     --config auth.x.username=user --config auth.x.password=secret

The metrics are for everybody

  $ look << EOF
  > proxy_request_buffering off;
  > EOF
  warning metrics: everybody who can reach the server can read its metrics
          change: demand a login, or limit /api/metrics to the scraper in nginx

A proxy that does not know the headers of the handshake

  $ look --config wireprotov2.metrics=no << EOF
  > proxy_request_buffering off;
  > proxy_set_header X-HgUpgrade-1 "";
  > EOF
  problem handshake: the server answers in version 1 to clients that ask for 2
          change: let the proxy pass X-HgUpgrade-1 and X-HgProto-1, and enable the extension in the configuration of the server

A cache that does not respect Vary, and one that removes it

  $ look --config wireprotov2.metrics=no << EOF
  > proxy_request_buffering off;
  > proxy_cache cache;
  > proxy_ignore_headers Vary Cache-Control;
  > proxy_cache_valid 200 1m;
  > EOF
  problem handshake: a cache gives answers of one version to clients of the other
          change: let the cache in front of the server respect Vary, or cache nothing with cmd=capabilities
  $ look --config wireprotov2.metrics=no << EOF
  > proxy_request_buffering off;
  > proxy_hide_header Vary;
  > EOF
  warning handshake: the proxy removes the field Vary
          change: pass it on: other caches need it

Ranges are lost, or content is compressed

  $ look --config wireprotov2.metrics=no << EOF
  > proxy_request_buffering off;
  > proxy_set_header Range "";
  > EOF
  warning lfs-links: downloads cannot be resumed: a range gets 200 OK
          change: let the proxy pass Range, If-Range and Content-Range
  $ look --config wireprotov2.metrics=no << EOF
  > proxy_request_buffering off;
  > gzip on; gzip_types *; gzip_proxied any;
  > EOF
  warning lfs-links: the proxy compresses large files, which cannot be resumed then
          change: switch compression off for application/octet-stream

LFS is blocked

  $ look --config wireprotov2.metrics=no << EOF
  > proxy_request_buffering off;
  > location ~ /\. { return 403; }
  > EOF
  problem lfs-requests: requests of LFS get 403 Forbidden
          change: let the proxy pass POST to /.git/info/lfs for all who may read, and all methods to /.hg/lfs

Another address

  $ look --config wireprotov2.metrics=no << EOF
  > return 301 https://hg.example.com\$request_uri;
  > EOF
  problem address: http://localhost:$HGPORT/ redirects to another address
          change: give clients the address https://hg.example.com/

HTTPS
-----

The server does not know of it

  $ scheme=https
  $ tls="ssl; ssl_certificate $TESTTMP/cert.pem; ssl_certificate_key $TESTTMP/key.pem"
  $ look --config wireprotov2.metrics=no --config web.cacerts=cert.pem << EOF
  > proxy_request_buffering off;
  > EOF
  problem https: hgweb does not know that clients use HTTPS, and refuses pushes
          change: let the proxy set X-Forwarded-Proto, and the WSGI server believe it (nginx: proxy_set_header X-Forwarded-Proto $scheme)
  problem lfs-links: links of LFS begin with http: and clients use https:
          change: let the proxy set X-Forwarded-Proto (nginx: proxy_set_header X-Forwarded-Proto $scheme), name it in lfsserver.trusted-proxies, or set web.baseurl

It is told

  $ look --config wireprotov2.metrics=no --config web.cacerts=cert.pem << EOF
  > proxy_request_buffering off;
  > proxy_set_header X-Forwarded-Proto \$scheme;
  > EOF

A certificate that nobody has signed

  $ look --config wireprotov2.metrics=no << EOF
  > proxy_set_header X-Forwarded-Proto \$scheme;
  > EOF
  problem address: https://localhost:$HGPORT/ does not answer: *certificate verify failed* (glob)
          change: start the server, and check the address and the certificate
