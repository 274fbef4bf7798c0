The directory cacher, segments on the wire, hg admin::wire-warm

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > blackbox =
  > wireprotov2 =
  > [blackbox]
  > track = wireprotov2-cache
  > EOF
  $ send() {
  >     hg debugwireprotov2 http://localhost:$HGPORT/ \
  >         | sed -n -e '/^response/,$p' -e '/^abort/p'
  > }
  $ start() {
  >     hg serve -R server -p $HGPORT -d --pid-file hg.pid -E error.log "$@"
  >     cat hg.pid > $DAEMON_PIDS
  > }
  $ events() {
  >     sed 's/.*> //' server/.hg/blackbox.log
  >     rm server/.hg/blackbox.log
  > }
  $ hg init server
  $ cd server
  $ cat >> .hg/hgrc << EOF
  > [wireprotov2]
  > cacher = directory
  > cacher.identity = test
  > EOF
  $ echo a > a
  $ hg commit -q -A -m 0 -d '0 0'
  $ echo b >> a
  $ hg commit -q -m 1 -d '1 0'
  $ hg phase --public -r 'all()'
  $ cd ..

The list of segments is not cached. A segment is, and survives a restart

  $ start
  $ send << EOF
  > command segments
  > EOF
  response: gen[
    {
      b'cgversion': b'02',
      b'changesets': 2,
      b'spans': [],
      b'totalitems': 1,
      b'version': 1
    },
    {
      b'changesets': 2,
      b'estimate': 864,
      b'final': False,
      b'heads': [
        b'\xf8M*\xd1\xdb\x12\xca\x12\x98W\x9c>\x7f\xbf$\x0eJ\x97*\xcc'
      ],
      b'name': b'+u=}\xd9\xc8^\x14\xbd\xb9\xbe\x97\x9f6V\xfbg3\xa4\xb7'
    }
  ]
  $ get_segment() {
  >     "$PYTHON" $TESTDIR/helpers/get_segment.py http://localhost:$HGPORT/ "$@"
  > }
  $ get_segment one.hg
  2 changesets, changegroup 02, application/x-mercurial-pack
  $ killdaemons.py
  $ start
  $ get_segment two.hg
  2 changesets, changegroup 02, application/x-mercurial-pack
  $ cmp one.hg two.hg
  $ events
  cacher constructed for segmentdata
  cache miss for 708c60b1fb151906b090ce5fd14b640e7a085d6c
  storing cache entry for 708c60b1fb151906b090ce5fd14b640e7a085d6c
  cacher constructed for segmentdata
  cache hit for 708c60b1fb151906b090ce5fd14b640e7a085d6c
  $ hg init copy
  $ hg -R copy unbundle one.hg
  adding changesets
  adding manifests
  adding file changes
  added 2 changesets with 2 changes to 1 files
  new changesets f7b1eb17ad24:f84d2ad1db12
  (run 'hg update' to get a working copy)

A request for an unknown segment is an error, and is not cached

  $ send << EOF
  > command segmentdata
  >     name eval:b'\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa'
  > EOF
  abort: unknown segment: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
  $ send << EOF
  > command segmentdata
  >     name eval:1
  > EOF
  abort: argument name must be of type bytes
  $ events
  cacher constructed for segmentdata
  cache miss for 3b43cb74510758c0a245e6ea3398407473653b28
  cacher exiting due to error
  $ find server/.hg/cache/wireprotov2/entries -type f | wc -l
  1

admin::wire-warm replaces weakly compressed segments, once

  $ hg -R server admin::wire-warm
  1 segments built, 0 were there already
  $ hg -R server admin::wire-warm
  0 segments built, 1 were there already
  $ hg -R server admin::wire-warm -T '{built} {present} {size}\n'
  0 1 0
  $ get_segment three.hg
  2 changesets, changegroup 02, application/x-mercurial-pack
  $ cmp -s one.hg three.hg
  $ hg -R copy unbundle -q three.hg
  $ events
  cacher constructed for segmentdata
  cache hit for 708c60b1fb151906b090ce5fd14b640e7a085d6c

A hook builds new segments before a client asks for them

  $ cat >> server/.hg/hgrc << EOF
  > [hooks]
  > txnclose.warm = hg admin::wire-warm
  > [web]
  > push_ssl = no
  > allow-push = *
  > EOF
  $ killdaemons.py
  $ start
  $ hg -R copy up -q tip
  $ echo c >> copy/a
  $ hg -R copy commit -m 2 -d '2 0'
  $ hg -R copy push -q http://localhost:$HGPORT/
  $ get_segment four.hg
  3 changesets, changegroup 02, application/x-mercurial-pack
  $ events
  cacher constructed for segmentdata
  cache hit for 602a02a99819d3345ef96534fa5ab27c718a61bc

A damaged entry is logged and replaced

  $ for entry in `find server/.hg/cache/wireprotov2/entries -type f`; do
  >     echo damage >> $entry
  > done
  $ get_segment five.hg
  3 changesets, changegroup 02, application/x-mercurial-pack
  $ get_segment six.hg
  3 changesets, changegroup 02, application/x-mercurial-pack
  $ events
  cacher constructed for segmentdata
  ignoring cache entry 602a02a99819d3345ef96534fa5ab27c718a61bc: entry has the wrong length
  cache miss for 602a02a99819d3345ef96534fa5ab27c718a61bc
  storing cache entry for 602a02a99819d3345ef96534fa5ab27c718a61bc
  cacher constructed for segmentdata
  cache hit for 602a02a99819d3345ef96534fa5ab27c718a61bc
  $ cat error.log
  $LOCALIP - - [*] HG error:  wireprotov2: $LOCALIP: ignoring cache entry 602a02a99819d3345ef96534fa5ab27c718a61bc: entry has the wrong length (glob)
  $ rm error.log
  $ killdaemons.py

A cache that cannot be read or written makes no difference to clients

  $ start --config wireprotov2.cacher.directory.path=$TESTTMP/one.hg
  $ get_segment seven.hg
  3 changesets, changegroup 02, application/x-mercurial-pack
  $ cmp four.hg seven.hg
  $ grep -v '^ *$' error.log
  $LOCALIP - - [*] HG error:  wireprotov2: $LOCALIP: cacher is not available: cannot read cache entry: Not a directory (glob)
  $ killdaemons.py
  $ rm error.log

  $ start --config wireprotov2.cacher=nonsense
  $ get_segment eight.hg
  3 changesets, changegroup 02, application/x-mercurial-pack
  $ cmp seven.hg eight.hg
  $ cat error.log
  $LOCALIP - - [*] HG error:  wireprotov2: $LOCALIP: responses are not cached: unknown cacher: nonsense (glob)
  $LOCALIP - - [*] HG error:  wireprotov2: $LOCALIP: responses are not cached: unknown cacher: nonsense (glob)
  $ killdaemons.py

admin::wire-warm needs a cache that outlives the process

  $ hg -R server admin::wire-warm --config wireprotov2.cacher=none
  abort: there is no cache to fill
  (set wireprotov2.cacher to one that serving processes share, such as directory)
  [255]
  $ hg -R server admin::wire-warm --config wireprotov2.cacher=memory
  abort: there is no cache to fill
  (set wireprotov2.cacher to one that serving processes share, such as directory)
  [255]
  $ hg -R server admin::wire-warm --config wireprotov2.cacher=redis
  warning: responses are not cached: wireprotov2.cacher.redis.url is not set
  abort: there is no cache to fill
  (set wireprotov2.cacher to one that serving processes share, such as directory)
  [255]
  $ hg -R server admin::wire-warm \
  >     --config wireprotov2.cacher.directory.path=$TESTTMP/one.hg
  abort: cannot read cache entry: Not a directory
  [255]
