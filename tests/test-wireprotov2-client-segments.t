Clones in segments

  $ . $TESTDIR/helpers/awkward_history.sh
  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > wireprotov2 =
  > EOF
  $ awkward_history server
  $ hg -R server phase --public -r 'all()'
  $ cat > small.py << EOF
  > from hgext3rd.wireprotov2.segments import cut
  > cut.LEAST_CHANGESETS = 4
  > EOF
  $ cat >> server/.hg/hgrc << EOF
  > [extensions]
  > small = $TESTTMP/small.py
  > [phases]
  > publish = no
  > [wireprotov2]
  > cacher = directory
  > EOF
  $ hg serve -R server -p $HGPORT -d --pid-file hg.pid -A access.log -E error.log
  $ cat hg.pid >> $DAEMON_PIDS
  $ requests() {
  >     sed -E 's/.*"([A-Z]+) ([^ ]*) .*/\1 \2/' $TESTTMP/access.log | uniq -c | sed 's/^ *//'
  >     : > $TESTTMP/access.log
  > }

Segments hold the history that version 1 sends, in the same order

  $ hg clone -U http://localhost:$HGPORT/ clone
  fetching 18 changesets in 5 segments
  added 18 changesets with 20 changes to 14 files
  new changesets ce2952e8b598:99ebadca1e24
  searching for changes
  no changes found
  $ requests
  1 GET /?cmd=capabilities
  1 POST /api/exp-http-v2-0003/ro/multirequest
  5 POST /api/exp-http-v2-0003/ro/segmentdata
  1 GET /?cmd=batch
  1 POST /api/exp-http-v2-0003/ro/multirequest
  $ hg -R clone verify -q
  17: repository $TESTTMP/clone/sub not found
  $ hg clone -q -U --config wireprotov2.client=no http://localhost:$HGPORT/ v1
  $ same_history v1 clone
  v1 and clone are the same
  $ hg -R clone paths
  default = http://localhost:$HGPORT/
  $ grep -c '^default' clone/.hg/hgrc
  1
  $ ls clone/.hg | grep wireprotov2
  [1]

Segments that arrive at the same time are applied together, if they are large

  $ hg -R server admin::wire-warm
  2 segments built, 0 were there already
  $ cat > together.py << EOF
  > from hgext3rd.wireprotov2.pull import ahead, delivery
  > delivery.LEAST_TOGETHER = 0
  > ahead.PATIENCE = 60
  > EOF
  $ hg clone -U http://localhost:$HGPORT/ together \
  >     --config extensions.together=$TESTTMP/together.py \
  >     --config hooks.txnclose='echo transaction' \
  >     --config hooks.incoming='echo changeset' | uniq -c | sed 's/^ *//'
  1 fetching 18 changesets in 2 segments
  1 added 18 changesets with 20 changes to 14 files
  1 new changesets ce2952e8b598:99ebadca1e24
  1 searching for changes
  1 no changes found
  1 transaction
  18 changeset
  1 transaction
  $ same_history v1 together
  v1 and together are the same
  $ hg -R together verify -q
  17: repository $TESTTMP/together/sub not found

Drafts are in no segment; an ordinary pull fetches them

  $ hg -R server update -q 16
  $ echo more > server/more
  $ hg -R server commit -q -A -m more -d '40 0'
  $ hg clone -q -U http://localhost:$HGPORT/ drafts
  $ hg -R drafts log -r 'draft()' -T '{desc}\n'
  more

A pull of one changeset takes three requests, as in version 1. The list of segments
comes with the heads

  $ : > access.log
  $ hg -R clone pull -q
  $ requests
  1 GET /?cmd=capabilities
  2 POST /api/exp-http-v2-0003/ro/multirequest

Every segment has a transaction of its own and its hooks

  $ hg clone -q -U http://localhost:$HGPORT/ hooked \
  >     --config hooks.changegroup='echo $HG_SOURCE $HG_BUNDLE2'
  pull 1
  pull 1
  pull
  $ hg clone -q -U http://localhost:$HGPORT/ refused \
  >     --config hooks.pretxnchangegroup="test ! -e $TESTTMP/once && touch $TESTTMP/once"
  transaction abort!
  rollback completed
  (kept 16 changesets in $TESTTMP/refused; 'hg pull' there continues)
  abort: pretxnchangegroup hook exited with status 1
  [40]
  $ cd refused
  $ hg verify -q
  $ : > $TESTTMP/access.log
  $ hg pull
  pulling from http://localhost:$HGPORT/
  fetching 2 changesets in 1 segments
  added 2 changesets with 3 changes to 3 files
  new changesets d02c81d412b3:99ebadca1e24
  searching for changes
  adding changesets
  adding manifests
  adding file changes
  adding remote bookmark early
  added 1 changesets with 1 changes to 1 files (+1 heads)
  new changesets a5afecffb634 (1 drafts)
  (run 'hg heads .' to see heads, 'hg merge' to merge)
  $ requests
  1 GET /?cmd=capabilities
  1 POST /api/exp-http-v2-0003/ro/multirequest
  1 POST /api/exp-http-v2-0003/ro/segmentdata
  1 GET /?cmd=batch
  1 POST /api/exp-http-v2-0003/ro/multirequest
  $ cd ..
  $ cat error.log
