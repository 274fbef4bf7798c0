An extension of Mercurial provides a cacher: the example in the documentation

  $ . $TESTDIR/helpers/serve.sh
  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > blackbox =
  > wireprotov2 =
  > simplecache = $TESTDIR/../docs/examples/simplecache.py
  > [blackbox]
  > track = wireprotov2-cache
  > [wireprotov2]
  > cacher = simple
  > EOF
  $ hg init server
  $ echo content > server/file
  $ hg -R server commit -qAm first -u test
  $ node=`hg -R server log -r 0 -T '{node}' | sed 's/../\\\\x&/g'`
  $ ask() {
  >   hg debugwireprotov2 --api exp-http-v2-0002 http://$LOCALIP:$HGPORT/ \
  >     > /dev/null << EOF
  > command changesetdata
  >     nodes eval:[b'$node']
  >     fields eval:{b'revision'}
  > EOF
  > }
  $ lines() {
  >   hg -R server blackbox -l 100 | grep -v '> serve' | sed 's/.*> //;s/[0-9a-f]\{40\}/KEY/'
  >   rm server/.hg/blackbox.log
  > }

The second response comes from the cacher

  $ serve -R server
  $ ask; ask
  $ lines
  cacher constructed for changesetdata
  cache miss for KEY
  storing cache entry for KEY
  cacher constructed for changesetdata
  cache hit for KEY
  $ killdaemons.py

With admit-after, the second response is the first one that is kept

  $ serve -R server --config wireprotov2.cacher.admit-after=2
  $ ask; ask; ask
  $ lines
  cacher constructed for changesetdata
  cache miss for KEY
  not storing cache entry for KEY yet
  cacher constructed for changesetdata
  cache miss for KEY
  storing cache entry for KEY
  cacher constructed for changesetdata
  cache hit for KEY
  $ killdaemons.py

Wrong options of the cacher, or no such extension: one line in the log, and no
client notices

  $ cat error.log
  $ serve -R server --config wireprotov2.cacher.simple.entries=many
  $ ask
  $ killdaemons.py
  $ sed 's/.*: //' error.log; rm error.log
  wireprotov2.cacher.simple.entries is not a number
  $ serve -R server --config extensions.simplecache=!
  $ ask
  $ killdaemons.py
  $ sed 's/.*: \([a-z]* are not\)/\1/' error.log; rm error.log
  responses are not cached: unknown cacher: simple
  $ hg -R server admin::wire-warm --config extensions.simplecache=!
  warning: responses are not cached: unknown cacher: simple
  abort: there is no cache to fill
  (set wireprotov2.cacher to one that serving processes share, such as directory)
  [255]

Two extensions that provide a cacher of the same name

  $ hg -R server id --config extensions.other=$TESTDIR/../docs/examples/simplecache.py
  \*\*\* failed to import extension "other" from *simplecache.py: there is a cacher named simple already (glob)
  42efcbe0b392 tip
