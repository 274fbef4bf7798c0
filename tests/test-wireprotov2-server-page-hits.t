#require serve prometheus

The page "storage" of hgweb counts what the cache does, as the metrics do

  $ . "$TESTDIR/helpers/serve.sh"
  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > wireprotov2 =
  > [wireprotov2]
  > cacher = memory
  > metrics = yes
  > EOF
  $ hg init one
  $ echo content > one/file
  $ hg -R one commit -qAm one -u test
  $ hg -R one phase --public tip
  $ serve -R one
  $ hg clone -q http://localhost:$HGPORT/ clone1
  $ hg clone -q http://localhost:$HGPORT/ clone2
  $ get-with-headers.py $LOCALIP:$HGPORT raw-storage > page
  $ grep -e '^answered' -e '^computed' -e '^stored' page | sed 's/[1-9][0-9]*$/N/'
  answered by the cache	N
  computed	N
  stored	N
  $ get-with-headers.py $LOCALIP:$HGPORT json-storage | grep -o '"cacheevents": {[^}]*}' | sed 's/[1-9][0-9]*/N/g'
  "cacheevents": {"decline": 0, "error": 0, "hit": N, "miss": N, "redirect": 0, "store": N}
