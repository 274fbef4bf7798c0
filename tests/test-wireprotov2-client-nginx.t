#require nginx

nginx in front of a server that everybody may read from. As hgweb's instructions
recommend, it demands a login for all methods but GET. Pushes of version 1 are
the only POST requests there; in version 2, reads are POST requests as well.

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > wireprotov2 =
  > EOF
  $ PATH=$PATH:/usr/sbin
  $ cat > small.py << EOF
  > from hgext3rd.wireprotov2.segments import cut
  > cut.LEAST_CHANGESETS = 4
  > EOF
  $ hg init server
  $ cat > server/.hg/hgrc << EOF
  > [extensions]
  > small = $TESTTMP/small.py
  > [web]
  > allow-push = *
  > push_ssl = no
  > EOF
  $ for n in 1 2 3 4 5 6 7 8 9; do
  >     echo $n > server/f
  >     hg -R server commit -qA -m c$n -d "$n 0"
  > done
  $ hg -R server phase --public tip
  $ hg serve -R server -p $HGPORT1 -a 127.0.0.1 -d --pid-file hg.pid -A access.log -E error.log
  $ cat hg.pid >> $DAEMON_PIDS
  $ echo 'user:{PLAIN}secret' > passwords
  $ cat > nginx.conf << EOF
  > pid $TESTTMP/nginx.pid;
  > error_log $TESTTMP/nginx.error.log;
  > user $(id -un) $(id -gn);
  > events {}
  > http {
  >     access_log $TESTTMP/nginx.access.log;
  >     client_body_temp_path $TESTTMP/nginx-body;
  >     proxy_temp_path $TESTTMP/nginx-proxy;
  >     fastcgi_temp_path $TESTTMP/nginx-fastcgi;
  >     uwsgi_temp_path $TESTTMP/nginx-uwsgi;
  >     scgi_temp_path $TESTTMP/nginx-scgi;
  >     server {
  >         listen 127.0.0.1:$HGPORT;
  >         location / {
  >             proxy_pass http://127.0.0.1:$HGPORT1;
  >             proxy_set_header Host \$http_host;
  >             limit_except GET {
  >                 auth_basic "Pushes";
  >                 auth_basic_user_file $TESTTMP/passwords;
  >             }
  >         }
  >     }
  >     # The same, with what docs/operating.rst recommends
  >     server {
  >         listen 127.0.0.1:$HGPORT2;
  >         location / {
  >             proxy_pass http://127.0.0.1:$HGPORT1;
  >             proxy_set_header Host \$http_host;
  >             limit_except GET {
  >                 auth_basic "Pushes";
  >                 auth_basic_user_file $TESTTMP/passwords;
  >             }
  >         }
  >         location ~ /api/[^/]+/ro/ {
  >             proxy_pass http://127.0.0.1:$HGPORT1;
  >             proxy_set_header Host \$http_host;
  >         }
  >     }
  > }
  > EOF
  $ nginx -c "$TESTTMP/nginx.conf" -p "$TESTTMP" 2>/dev/null
  $ "$PYTHON" "$TESTDIR/helpers/wait_for.py" nginx.pid $HGPORT $HGPORT1 $HGPORT2
  $ cat nginx.pid >> $DAEMON_PIDS
  $ requests() {
  >     sed -E 's/.*"([A-Z]+) ([^ ]*) .*/\1 \2/' $TESTTMP/access.log | sort | uniq -c | sed 's/^ *//'
  >     : > $TESTTMP/access.log
  > }
  $ : > access.log

Without credentials, reads use version 1. Nobody is asked for a password, with a
terminal or without.

  $ hg clone -U http://localhost:$HGPORT/ anonymous
  warning: falling back to wire protocol version 1: http://localhost:$HGPORT/api/exp-http-v2-0003: HTTP error 401: Unauthorized
  requesting all changes
  adding changesets
  adding manifests
  adding file changes
  added 9 changesets with 9 changes to 1 files
  new changesets f414be661830:707397bebdbd
  $ requests
  1 GET /?cmd=batch
  1 GET /?cmd=capabilities
  1 GET /?cmd=getbundle
  $ hg clone -q -U http://localhost:$HGPORT/ terminal --config ui.interactive=yes \
  >     --config ui.formatted=yes < /dev/null
  warning: falling back to wire protocol version 1: http://localhost:$HGPORT/api/exp-http-v2-0003: HTTP error 401: Unauthorized
  $ hg -R terminal verify -q
  $ hg -R terminal incoming http://localhost:$HGPORT/ --config ui.interactive=yes
  comparing with http://localhost:$HGPORT/
  searching for changes
  no changes found
  [1]
  $ hg clone -q -U -r 3 http://localhost:$HGPORT/ some --config ui.interactive=yes
  warning: falling back to wire protocol version 1: http://localhost:$HGPORT/api/exp-http-v2-0003: HTTP error 401: Unauthorized
  $ hg -R some pull -q --config ui.interactive=yes
  warning: falling back to wire protocol version 1: http://localhost:$HGPORT/api/exp-http-v2-0003: HTTP error 401: Unauthorized
  $ hg -R some log -r tip -T '{desc}\n'
  c9

The same holds for wrong credentials, which version 1 does not send

  $ hg clone -q -U http://user:wrong@localhost:$HGPORT/ wrong
  warning: falling back to wire protocol version 1: http://localhost:$HGPORT/api/exp-http-v2-0003: HTTP error 401: Unauthorized
  $ hg -R wrong verify -q

With credentials, reads use version 2

  $ : > access.log
  $ hg clone -q -U http://user:secret@localhost:$HGPORT/ in-url
  $ requests
  1 GET /?cmd=batch
  1 GET /?cmd=capabilities
  2 POST /api/exp-http-v2-0003/ro/multirequest
  3 POST /api/exp-http-v2-0003/ro/segmentdata
  $ cat >> $HGRCPATH << EOF
  > [auth]
  > x.prefix = http://localhost:$HGPORT
  > x.username = user
  > x.password = secret
  > EOF
  $ hg clone -q -U http://localhost:$HGPORT/ in-auth
  $ requests | grep -c segmentdata
  1
  $ cd in-auth
  $ hg update -q
  $ echo pushed >> f
  $ hg commit -m pushed
  $ hg push -q
  $ cd ..
  $ hg -R server log -r tip -T '{desc}\n'
  pushed

What version 1 cannot do needs a login

  $ hg clone -q --depth 1 http://localhost:$HGPORT/ shallow
  $ hg clone -q --depth 1 http://localhost:$HGPORT/ none --config auth.x.prefix=elsewhere
  abort: http://localhost:$HGPORT/api/exp-http-v2-0003: HTTP error 401: Unauthorized
  ('hg help config.auth' explains how to configure a login)
  [100]

A proxy that lets read requests of version 2 pass makes all that unnecessary

  $ : > access.log
  $ hg clone -q -U http://localhost:$HGPORT2/ open
  $ requests | grep segmentdata
  3 POST /api/exp-http-v2-0003/ro/segmentdata
  $ cd open
  $ hg update -q
  $ echo again >> f
  $ hg commit -m again
  $ hg push -q
  abort: http authorization required for http://localhost:$HGPORT2/
  [255]
  $ cat ../error.log
