#require serve s3 redis

hg admin::doctor tries the cache and the store of large files, and finds what is
wrong with them.

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
  > [wireprotov2]
  > cacher.identity = repo
  > [experimental]
  > lfs.disableusercache = yes
  > EOF
  $ hg init repo
  $ cd repo

Redis
-----

It does not run. The password is not shown.

  $ redis="--config wireprotov2.cacher=redis --config wireprotov2.cacher.redis.url=redis://:secretword@localhost:$HGPORT/0"
  $ hg admin::doctor -q $redis
  problem cache: the cache does not work: redis: Error 111 connecting to localhost:$HGPORT. Connection refused.
          change: check that Redis runs at wireprotov2.cacher.redis.url with that login, and has maxmemory-policy allkeys-lru
  [1]
  $ hg admin::doctor -T json $redis | grep -c secretword
  0
  [1]

It runs, and the trial leaves nothing

  $ redis-server --port $HGPORT --bind 127.0.0.1 --save '' --daemonize yes \
  >     --requirepass secretword --pidfile $TESTTMP/redis.pid > /dev/null
  $ "$PYTHON" "$TESTDIR/helpers/wait_for.py" $TESTTMP/redis.pid $HGPORT
  $ cat $TESTTMP/redis.pid >> $DAEMON_PIDS
  $ hg admin::doctor $redis | grep cache
  ok      cache: the cacher redis writes, reads and removes
  $ cli="redis-cli --no-auth-warning -a secretword -p $HGPORT"
  $ $cli dbsize
  0

The password is wrong, it is full, and it is read-only

  $ hg admin::doctor -q --config wireprotov2.cacher=redis \
  >     --config wireprotov2.cacher.redis.url=redis://:wrongword@localhost:$HGPORT/0
  problem cache: the cache does not work: redis: invalid username-password pair or user is disabled.
          change: check that Redis runs at wireprotov2.cacher.redis.url with that login, and has maxmemory-policy allkeys-lru
  [1]
  $ $cli config set maxmemory 1 > /dev/null
  $ hg admin::doctor -q $redis
  problem cache: the cache does not work: redis: command not allowed when used memory > 'maxmemory'.
          change: check that Redis runs at wireprotov2.cacher.redis.url with that login, and has maxmemory-policy allkeys-lru
  [1]
  $ $cli config set maxmemory 0 > /dev/null
  $ $cli replicaof localhost 1 > /dev/null
  $ hg admin::doctor -q $redis
  problem cache: the cache does not work: redis: You can't write against a read only replica.
          change: check that Redis runs at wireprotov2.cacher.redis.url with that login, and has maxmemory-policy allkeys-lru
  [1]
  $ $cli replicaof no one > /dev/null

No name for the repository

  $ hg admin::doctor -q $redis --config wireprotov2.cacher.identity=
  warning cache-identity: the cache is shared by machines, and the repository has no name
          change: set wireprotov2.cacher.identity in the hgrc of the repository to the same on all machines, or ignore this with one machine

No URL, and a wrong one

  $ hg admin::doctor -q --config wireprotov2.cacher=redis
  problem cache: responses are not cached: wireprotov2.cacher.redis.url is not set
          change: correct wireprotov2.cacher and its options
  [1]
  $ hg admin::doctor -q --config wireprotov2.cacher=redis --config wireprotov2.cacher.redis.url=localhost
  problem cache: responses are not cached: bad redis URL: Redis URL must specify one of the following schemes (redis://, rediss://, unix://)
          change: correct wireprotov2.cacher and its options
  [1]

A server that takes connections and says nothing

  $ "$PYTHON" "$TESTDIR/helpers/doctor_servers.py" silent $HGPORT2 >> $DAEMON_PIDS
  $ hg admin::doctor -q --config wireprotov2.cacher=redis \
  >     --config wireprotov2.cacher.redis.url=redis://localhost:$HGPORT2/0
  problem cache: the cache does not work: redis: Timeout reading from socket
          change: check that Redis runs at wireprotov2.cacher.redis.url with that login, and has maxmemory-policy allkeys-lru
  [1]
  $ killdaemons.py

An object store
---------------

  $ AWS_ACCESS_KEY_ID=keyofaccess AWS_SECRET_ACCESS_KEY=keyofsecret AWS_REGION=us-east-1
  $ AWS_ALLOW_HTTP=true AWS_ENDPOINT=http://127.0.0.1:$HGPORT
  $ export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION AWS_ALLOW_HTTP AWS_ENDPOINT
  $ cache="--config wireprotov2.cacher=objectstore --config wireprotov2.cacher.objectstore.url=s3://bucket/cache"
  $ large="--config lfsserver.store=s3://bucket/large --config lfsserver.store:endpoint=$AWS_ENDPOINT"

Nobody answers

  $ hg admin::doctor -q $cache
  problem cache: the cache does not work: object store: Generic S3 error: Error performing PUT * (glob)
          change: check wireprotov2.cacher.objectstore.url, that the bucket exists, and the keys and the endpoint in the environment of the server
  [1]
  $ hg admin::doctor -q --config wireprotov2.cacher=directory $large
  problem lfs-store: the store of large files does not work: the blob store failed: Generic S3 error: Error performing HEAD * (glob)
          change: check lfsserver.store and its options, that the bucket exists, and the keys
  [1]

The bucket does not exist

  $ "$PYTHON" -m moto.server -H 127.0.0.1 -p $HGPORT > ../moto.log 2>&1 &
  $ echo $! > ../moto.pid
  $ "$PYTHON" "$TESTDIR/helpers/wait_for.py" ../moto.pid $HGPORT
  $ cat ../moto.pid >> $DAEMON_PIDS
  $ hg admin::doctor -q $cache
  problem cache: the cache does not work: object store: Object at location * not found: Error performing PUT * (glob)
          change: check wireprotov2.cacher.objectstore.url, that the bucket exists, and the keys and the endpoint in the environment of the server
  [1]
  $ hg admin::doctor -q --config wireprotov2.cacher=directory $large
  problem lfs-store: the store of large files does not work: the blob store failed: the bucket does not exist: * (glob)
          change: check lfsserver.store and its options, that the bucket exists, and the keys
  [1]

It does

  $ curl() {
  >     "$PYTHON" -c 'import sys, urllib.request as u; sys.stdout.write(u.urlopen(u.Request(sys.argv[2], method=sys.argv[1])).read().decode())' "$@"
  > }
  $ curl PUT $AWS_ENDPOINT/bucket
  $ hg admin::doctor $cache $large | grep -E '(cache|store):'
  ok      cache: the clock of the object store agrees with the one here
  ok      cache: the cacher objectstore writes, reads and removes
  ok      lfs-store: the clock of the store of large files agrees with the one here
  ok      lfs-store: the store of large files writes, reads and deletes
  $ hg admin::doctor $cache --config wireprotov2.cacher.objectstore.redirect=yes | grep cache:
  ok      cache: clients can fetch from the store
  ok      cache: the clock of the object store agrees with the one here
  ok      cache: the cacher objectstore writes, reads and removes
  $ hg admin::doctor -T json $cache $large | grep -cE 'keyof|Signature'
  0
  [1]
  $ curl GET $AWS_ENDPOINT/bucket?list-type=2 | grep -c '<Key>'
  0
  [1]

Clients cannot reach the public URL, or get something else there

  $ public="$cache --config wireprotov2.cacher.objectstore.redirect=yes"
  $ hg admin::doctor -q $public --config wireprotov2.cacher.objectstore.public-url=http://localhost:$HGPORT1
  problem cache: clients cannot fetch from the store: Connection refused
          change: check wireprotov2.cacher.objectstore.public-url
  [1]
  $ hg admin::doctor -q $public --config wireprotov2.cacher.objectstore.public-url=$AWS_ENDPOINT/elsewhere
  problem cache: clients cannot fetch from the store: 404 NOT FOUND
          change: let everybody read below the public URL, or check the clock and the keys that sign links
  [1]
  $ hg admin::doctor -q --config wireprotov2.cacher=directory $large \
  >     --config lfsserver.store:public-endpoint=http://127.0.0.1:$HGPORT1
  problem lfs-store: signed links do not work: Connection refused
          change: set store:public-endpoint to what clients can reach
  [1]

Clocks
------

A store and a server whose clocks are ten minutes slow

  $ killdaemons.py
  $ "$PYTHON" "$TESTDIR/helpers/doctor_servers.py" late $HGPORT >> $DAEMON_PIDS
  $ hg admin::doctor -q $public
  problem cache: the clock of the object store is * seconds behind the one here (glob)
          change: synchronise the clocks of all machines by NTP
  [1]
  $ hg admin::doctor -q --config wireprotov2.cacher=directory $large
  problem lfs-store: the clock of the store of large files is * seconds behind the one here (glob)
          change: synchronise the clocks of all machines by NTP
  [1]
  $ hg admin::doctor --config wireprotov2.cacher=directory http://localhost:$HGPORT/ | grep -A1 address
  ok      address: http://localhost:$HGPORT/ answers
  problem address: the clock of localhost:$HGPORT is * seconds behind the one here (glob)
          change: synchronise the clocks of all machines by NTP
