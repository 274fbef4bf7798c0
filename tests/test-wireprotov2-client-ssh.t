Clones and pulls in segments over ssh

  $ . $TESTDIR/helpers/awkward_history.sh
  $ cat >> $HGRCPATH << EOF
  > [ui]
  > ssh = "$PYTHON" "$RUNTESTDIR/dummyssh"
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
  $ url=ssh://user@dummy/server
  $ sent() {
  >   hg --debug --config wireprotov2.connections=1 "$@" 2>&1 | grep -e '^sending' -e '^running' \
  >     | sed 's/^running.*/connecting/; s/ command$//'
  > }

A clone takes segments, over one connection

  $ hg clone -U $url clone
  fetching 18 changesets in 5 segments
  added 18 changesets with 20 changes to 14 files
  new changesets ce2952e8b598:99ebadca1e24
  searching for changes
  no changes found
  $ hg clone -q -U $url v1 --config wireprotov2.client=no
  $ same_history v1 clone
  v1 and clone are the same
  $ hg -R clone verify -q
  17: repository $TESTTMP/clone/sub not found
  $ ls clone/.hg | grep wireprotov2
  [1]
  $ hg -R clone paths
  default = ssh://user@dummy/server
  $ sent clone -U $url debug
  connecting
  sending hello
  sending between
  sending protocaps
  sending segments, heads
  sending wireprotov2
  sending capabilities
  sending wireprotov2
  sending segmentdata
  sending wireprotov2
  sending segmentdata
  sending wireprotov2
  sending segmentdata
  sending wireprotov2
  sending segmentdata
  sending wireprotov2
  sending segmentdata
  sending wireprotov2
  sending batch
  sending getbundle

Each segment has a transaction of its own and its hooks. What a hook refuses can
be pulled later

  $ hg clone -q -U $url hooked \
  >     --config hooks.changegroup='echo $HG_SOURCE $HG_BUNDLE2 $HG_URL'
  pull 1 ssh://user@dummy/server
  pull 1 ssh://user@dummy/server
  pull 1 ssh://user@dummy/server
  pull 1 ssh://user@dummy/server
  pull 1 ssh://user@dummy/server
  $ hg clone -q -U $url refused \
  >     --config hooks.pretxnchangegroup="test ! -e $TESTTMP/once && touch $TESTTMP/once"
  transaction abort!
  rollback completed
  (kept * changesets in $TESTTMP/refused; 'hg pull' there continues) (glob)
  abort: pretxnchangegroup hook exited with status 1
  [40]
  $ hg -R refused verify -q
  $ hg -R refused pull -q
  $ same_history v1 refused
  v1 and refused are the same

A pull takes the segments that are missing, also with -r. A small pull sends as
many commands as with version 1

  $ nodes() {
  >   hg -R $1 log -T '{node} {phase}\n' | sort > $1.nodes
  > }
  $ nodes v1
  $ hg init old
  $ hg -R old pull -q -r 5 server
  $ cp -R old old1
  $ sent -R old pull $url
  connecting
  sending hello
  sending between
  sending protocaps
  sending segments, heads, known
  sending wireprotov2
  sending capabilities
  sending wireprotov2
  sending segmentdata
  sending wireprotov2
  sending segmentdata
  sending wireprotov2
  sending segmentdata
  sending wireprotov2
  sending segmentdata
  sending wireprotov2
  sending segmentdata
  sending wireprotov2
  sending getbundle
  $ nodes old
  $ diff v1.nodes old.nodes
  $ sent -R old pull $url
  connecting
  sending hello
  sending between
  sending protocaps
  sending segments, heads, known
  sending wireprotov2
  sending getbundle
  $ sent -R old pull $url --config wireprotov2.client=no
  connecting
  sending hello
  sending between
  sending protocaps
  sending batch
  sending getbundle
  $ sent -R old1 pull $url $(hg -R server heads -T '-r {node} ')
  connecting
  sending hello
  sending between
  sending protocaps
  sending batch
  sending segments, heads, known
  sending wireprotov2
  sending changesetdata
  sending wireprotov2
  sending capabilities
  sending wireprotov2
  sending segmentdata
  sending wireprotov2
  sending segmentdata
  sending wireprotov2
  sending segmentdata
  sending wireprotov2
  sending segmentdata
  sending wireprotov2
  sending getbundle
  $ nodes old1
  $ diff v1.nodes old1.nodes
  5d4
  < 484908098454d0df02d6ca87c173681a850d716d public
  12d10
  < add36bb06dc0453f701f66e134253acf9de78775 public
  [1]

Everybody else sees what they saw before

  $ sent clone -U $url stock --config extensions.wireprotov2=!
  connecting
  sending hello
  sending between
  sending protocaps
  sending batch
  sending getbundle
  $ hg -R stock verify -q
  17: repository $TESTTMP/stock/sub not found
  $ sent clone -U $url off --config wireprotov2.client=no
  connecting
  sending hello
  sending between
  sending protocaps
  sending batch
  sending getbundle
  $ hg clone -q -U server plain
  $ cat >> plain/.hg/hgrc << EOF
  > [wireprotov2]
  > serve = no
  > EOF
  $ sent clone -U ssh://user@dummy/plain fromplain
  connecting
  sending hello
  sending between
  sending protocaps
  sending batch
  sending getbundle
  $ cat >> plain/.hg/hgrc << EOF
  > serve = yes
  > [extensions]
  > wireprotov2 = !
  > EOF
  $ sent clone -U ssh://user@dummy/plain fromstock
  connecting
  sending hello
  sending between
  sending protocaps
  sending batch
  sending getbundle

Secret changesets are in no segment, neither are hidden ones. Users with limited
access get none at all

  $ hg -R server update -q 16
  $ echo secret > server/secret
  $ hg -R server commit -q -A -m secret -d '40 0' --secret
  $ hg clone -q -U $url public
  $ hg -R public log -r 'desc(secret)'
  $ cat >> server/.hg/hgrc << EOF
  > [extensions]
  > narrow =
  > [narrowacl]
  > default.includes = f
  > EOF
  $ hg clone -U $url limited --narrow --include path:f \
  >   --config extensions.narrow= 2>&1 | grep -v devel-warn
  requesting all changes
  adding changesets
  adding manifests
  adding file changes
  added 18 changesets with 1 changes to 1 files (+2 heads)
  new changesets ce2952e8b598:99ebadca1e24
  $ sed -i '/narrow =/,$d' server/.hg/hgrc

A connection that breaks is made again. What has arrived is not sent again

  $ cat >> $HGRCPATH << EOF
  > [wireprotov2]
  > retry.delay = 0
  > EOF
  $ cutting() {
  >   printf '%s\n' $1 > cuts
  >   shift
  >   hg --config ui.ssh="\"$PYTHON\" $TESTDIR/helpers/cutting_ssh.py $TESTTMP/cuts $TESTTMP/cut.log" "$@"
  > }
  $ cutting '2000 1500 3000' clone -U $url broken
  fetching 18 changesets in 5 segments
  (ssh://user@dummy/server: connection lost: the response is incomplete; trying again in 0.0 seconds)
  (ssh://user@dummy/server: connection lost: the response is incomplete; trying again in 0.0 seconds)
  (ssh://user@dummy/server: connection lost: the response is incomplete; trying again in 0.0 seconds)
  added 18 changesets with 20 changes to 14 files
  new changesets ce2952e8b598:99ebadca1e24
  searching for changes
  no changes found
  $ cat cut.log
  cut after 2000 bytes
  cut after 1500 bytes
  cut after 3000 bytes
  whole
  $ same_history v1 broken
  v1 and broken are the same

Without further attempts, what was applied is kept, and "hg pull" continues

  $ for bytes in 700 2000 3200 4000 5000 6000; do
  >   rm -rf resumed
  >   cutting $bytes clone -q -U $url resumed --config wireprotov2.retry=0 \
  >     --config wireprotov2.connections=1
  >   hg -R resumed verify -q | grep -v 'repository .*/sub not found'
  >   hg -R resumed pull -q
  >   same_history v1 resumed
  > done
  warning: falling back to wire protocol version 1: ssh://user@dummy/server: connection lost: the response is incomplete
  17: repository $TESTTMP/resumed/sub not found
  v1 and resumed are the same
  warning: falling back to wire protocol version 1: ssh://user@dummy/server: connection lost: the response is incomplete
  17: repository $TESTTMP/resumed/sub not found
  v1 and resumed are the same
  (kept * changesets in $TESTTMP/resumed; 'hg pull' there continues) (glob)
  abort: ssh://user@dummy/server: connection lost: the response is incomplete
  (this may be an intermittent network failure; try again later)
  v1 and resumed are the same
  (kept * changesets in $TESTTMP/resumed; 'hg pull' there continues) (glob)
  abort: ssh://user@dummy/server: connection lost: the response is incomplete
  (this may be an intermittent network failure; try again later)
  v1 and resumed are the same
  (kept * changesets in $TESTTMP/resumed; 'hg pull' there continues) (glob)
  abort: ssh://user@dummy/server: connection lost: the response is incomplete
  (this may be an intermittent network failure; try again later)
  v1 and resumed are the same
  (kept * changesets in $TESTTMP/resumed; 'hg pull' there continues) (glob)
  abort: ssh://user@dummy/server: connection lost: the response is incomplete
  (this may be an intermittent network failure; try again later)
  v1 and resumed are the same

An abandoned response does not disturb version 1

  $ cat > damage.py << EOF
  > from hgext3rd.wireprotov2.pull import listing
  > listing.VERSION = 0
  > EOF
  $ sent clone -U $url unknown --config extensions.damage=damage.py
  connecting
  sending hello
  sending between
  sending protocaps
  sending segments, heads
  sending wireprotov2
  sending batch
  sending getbundle
  $ same_history v1 unknown
  v1 and unknown are the same

A server computes a limited number of segments at a time, and of bundles. Clients
wait as long as it asks

  $ cp -R server busy
  $ rm -r busy/.hg/cache
  $ cat >> busy/.hg/hgrc << EOF
  > [wireprotov2]
  > limit.computing = 1
  > limit.waiting = 0
  > EOF
  $ cat > hold.py << EOF
  > import subprocess, sys
  > from hgext3rd.wireprotov2.server import slots
  > slot = slots.take(b'busy/.hg/cache/wireprotov2-slots', 1, 0)
  > assert slot is not None
  > sys.exit(subprocess.call(sys.argv[1:]))
  > EOF
  $ busy=ssh://user@dummy/busy
  $ "$PYTHON" hold.py hg clone -qU $busy no --config extensions.wireprotov2=!
  remote: abort: too many clones and pulls at the moment; try again later
  abort: pull failed on remote
  [100]
  $ "$PYTHON" hold.py hg clone -qU $busy no --config wireprotov2.retry=0
  abort: ssh://user@dummy/busy: the server is busy
  (the server is busy; try again later)
  [100]
  $ cat > release.py << EOF
  > # The pause ends when the other process has released the slot.
  > import os, time
  > pause = time.sleep
  > def sleep(seconds):
  >     assert 10 <= seconds <= 12.5, seconds
  >     open('go', 'w').close()
  >     while not os.path.exists('gone'):
  >         pause(0.01)
  > time.sleep = sleep
  > EOF
  $ cat > wait.py << EOF
  > import os, time
  > open('held', 'w').close()
  > while not os.path.exists('go'):
  >     time.sleep(0.01)
  > EOF
  $ ("$PYTHON" hold.py "$PYTHON" wait.py; touch gone) &
  $ while [ ! -e held ]; do sleep 0.1; done
  $ hg clone -qU $busy patient --config extensions.release=release.py \
  >   --config wireprotov2.connections=1
  (ssh://user@dummy/busy: the server is busy; trying again in 1?.? seconds, as the server asks) (glob)
  $ wait
  $ same_history v1 patient
  v1 and patient are the same
