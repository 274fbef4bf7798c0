#require gunicorn nginx redis

Several servers, set up as docs/operating.rst describes: WSGI workers for a
repository, WSGI workers for its replica, nginx in front of them, and one Redis
as the cache of all. The configuration files are those in docs/deploy with other
paths.

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > sqlitestore =
  > wireprotov2 =
  > [storage]
  > new-repo-backend = sqlite
  > EOF
  $ PATH=$PATH:/usr/sbin
  $ deploy=$TESTDIR/../docs/deploy

The repository, with a rename and a removal, and its replica

  $ hg init primary
  $ cd primary
  $ for n in 1 2 3 4 5; do
  >   "$PYTHON" -c "import random; r = random.Random($n); print('\n'.join(str(r.random()) for i in range(300)))" > file$n
  >   hg commit -qAm "file $n"
  > done
  $ hg mv file1 renamed
  $ hg commit -m rename
  $ hg rm file2
  $ hg commit -m remove
  $ hg phase --public .
  $ cd ..
  $ hg clone -qU primary replica
  $ cat >> primary/.hg/hgrc << EOF
  > [hooks]
  > txnclose.replicate = hg -R $TESTTMP/replica pull -q $TESTTMP/primary
  > [web]
  > push_ssl = no
  > EOF

The servers

  $ redis-server --port $HGPORT1 --bind 127.0.0.1 --save '' --daemonize yes \
  >   --dir "$TESTTMP" --pidfile "$TESTTMP/redis.pid" --logfile redis.log > /dev/null
  $ cp "$deploy/hgweb.wsgi.py" hgweb_wsgi.py
  $ for name in primary replica; do
  >   sed -e "s,/srv/hg/project,$TESTTMP/$name," -e "s,:6379,:$HGPORT1," \
  >     "$deploy/hgweb.conf" > $name.conf
  > done
  $ start() {
  >   HGWEB_CONFIG=$TESTTMP/$1.conf gunicorn --worker-class gthread --workers 2 \
  >     --threads 4 --bind unix:$2 --pid $1.pid --daemon --chdir "$TESTTMP" \
  >     --log-file $1.log hgweb_wsgi:application
  > }
  $ start primary web.sock
  $ start replica replica.sock
  $ cat > nginx.conf << EOF
  > pid $TESTTMP/nginx.pid;
  > error_log $TESTTMP/nginx.error.log;
  > user $(id -un) $(id -gn);
  > events {}
  > http {
  > access_log $TESTTMP/nginx.access.log;
  > client_body_temp_path $TESTTMP/nginx-body;
  > proxy_temp_path $TESTTMP/nginx-proxy;
  > fastcgi_temp_path $TESTTMP/nginx-fastcgi;
  > uwsgi_temp_path $TESTTMP/nginx-uwsgi;
  > scgi_temp_path $TESTTMP/nginx-scgi;
  > EOF
  $ sed -e "s,/run/hg/,$TESTTMP/," -e "s,listen 80,listen 127.0.0.1:$HGPORT," \
  >   "$deploy/nginx.conf" >> nginx.conf
  $ echo '}' >> nginx.conf
  $ nginx -c "$TESTTMP/nginx.conf" -p "$TESTTMP" 2>/dev/null
  $ "$PYTHON" "$TESTDIR/helpers/wait_for.py" web.sock replica.sock $HGPORT $HGPORT1
  $ "$PYTHON" "$TESTDIR/helpers/wait_for.py" redis.pid primary.pid replica.pid nginx.pid
  $ cat redis.pid primary.pid replica.pid nginx.pid >> $DAEMON_PIDS

  $ cache_events() {
  >   cat */.hg/blackbox.log | grep -o 'cache miss\|cache hit\|storing cache entry' | sort | uniq -c
  > }
  $ clear_cache_events() {
  >   rm -f primary/.hg/blackbox.log replica/.hg/blackbox.log
  > }

A response that one server has computed for one clone is in the cache of all
servers

  $ clear_cache_events
  $ hg clone -q http://127.0.0.1:$HGPORT/project one
  $ cache_events | grep -o 'cache miss\|storing cache entry'
  cache miss
  storing cache entry
  $ clear_cache_events
  $ for n in 1 2 3 4; do
  >   hg clone -qU http://127.0.0.1:$HGPORT/project many$n & pids="$pids $!"
  > done; wait $pids
  $ cache_events | grep -v 'cache hit'
  [1]
  $ for n in 1 2 3 4; do
  >   hg -R many$n verify -q && hg -R many$n log -r tip -T '{desc}\n'
  > done
  remove
  remove
  remove
  remove

nginx sends pushes to the primary. Its hook has the replica pull.

  $ cd one
  $ echo more >> file3
  $ hg commit -m 'from a clone'
  $ hg push -q
  $ cd ..
  $ hg -R primary log -r tip -T '{desc}\n'
  from a clone
  $ hg -R replica log -r tip -T '{desc}\n'
  from a clone
  $ for n in 1 2 3 4; do
  >   hg -R many$n pull -q && hg -R many$n log -r tip -T '{desc} {phase}\n'
  > done
  from a clone public
  from a clone public
  from a clone public
  from a clone public

Without Redis the servers compute every response, and clones still work

  $ "$RUNTESTDIR/killdaemons.py" redis.pid
  $ hg clone -qU http://127.0.0.1:$HGPORT/project uncached
  $ hg -R uncached verify -q
  $ hg -R uncached log -r tip -T '{desc}\n'
  from a clone
