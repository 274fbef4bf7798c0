Clone and pull over version 2

  $ . $TESTDIR/helpers/awkward_history.sh
  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > wireprotov2 =
  > EOF
  $ awkward_history server
  $ cat >> server/.hg/hgrc << EOF
  > [web]
  > push_ssl = no
  > allow-push = *
  > [phases]
  > publish = no
  > EOF
  $ hg serve -R server -p $HGPORT -d --pid-file hg.pid -A access.log -E error.log
  $ cat hg.pid >> $DAEMON_PIDS
  $ requests() {
  >     sed -E 's/.*"([A-Z]+) ([^ ]*) .*/\1 \2/' access.log
  >     : > access.log
  > }

A clone asks for the list of segments. This history is shorter than a segment, so
one request gets all of it

  $ hg init one
  $ cat > one/.hg/hgrc << EOF
  > [paths]
  > default = http://localhost:$HGPORT/
  > EOF
  $ hg -R one pull
  pulling from http://localhost:$HGPORT/
  requesting all changes
  adding changesets
  adding manifests
  adding file changes
  adding remote bookmark early
  added 18 changesets with 20 changes to 14 files (+2 heads)
  new changesets ce2952e8b598:99ebadca1e24 (2 drafts)
  (run 'hg heads .' to see heads, 'hg merge' to merge)
  $ requests
  GET /?cmd=capabilities
  POST /api/exp-http-v2-0003/ro/multirequest
  POST /api/exp-http-v2-0003/ro/multirequest

The result is the same as with version 1

  $ hg clone -q -U --config wireprotov2.client=no http://localhost:$HGPORT/ v1
  $ requests
  GET /?cmd=capabilities
  GET /?cmd=batch
  GET /?cmd=getbundle
  $ same_history v1 one
  v1 and one are the same
  $ hg -R one verify -q
  17: repository $TESTTMP/one/sub not found

Several pulls of some revisions each give the same result

  $ for rev in 5 12 15; do
  >     hg clone -q -U -r $rev http://localhost:$HGPORT/ part-$rev
  >     hg clone -q -U -r $rev --config wireprotov2.client=no \
  >         http://localhost:$HGPORT/ part1-$rev
  >     same_history part1-$rev part-$rev
  >     hg -R part-$rev pull -q
  >     hg -R part1-$rev pull -q --config wireprotov2.client=no
  >     same_history part1-$rev part-$rev
  > done
  part1-5 and part-5 are the same
  part1-5 and part-5 are the same
  part1-12 and part-12 are the same
  part1-12 and part-12 are the same
  part1-15 and part-15 are the same
  part1-15 and part-15 are the same
  $ requests | grep -c multirequest
  9

A pull takes three requests, as in version 1. Without new changesets, it still
updates phases and bookmarks

  $ hg -R server phase --public -r 15
  $ hg -R server bookmark -f -r 5 early
  $ hg -R server bookmark -r 6 late
  $ hg -R one incoming
  comparing with http://localhost:$HGPORT/
  searching for changes
  no changes found
  [1]
  $ : > access.log
  $ hg -R one pull
  pulling from http://localhost:$HGPORT/
  searching for changes
  no changes found
  divergent bookmark early stored as early@default
  adding remote bookmark late
  1 local changesets published
  $ requests
  GET /?cmd=capabilities
  POST /api/exp-http-v2-0003/ro/multirequest
  POST /api/exp-http-v2-0003/ro/multirequest

Incoming uses version 2, also to write a bundle

  $ echo new > server/new
  $ hg -R server commit -qA -m new -d '20 0'
  $ hg -R one incoming -T '{node|short} {desc} {files}\n' --bundle in.hg
  comparing with http://localhost:$HGPORT/
  searching for changes
  98a7fd36cb44 new new
  $ requests
  GET /?cmd=capabilities
  GET /?cmd=batch
  POST /api/exp-http-v2-0003/ro/multirequest
  GET /?cmd=listkeys
  $ hg -R one unbundle -q in.hg
  $ hg -R one log -r tip -T '{desc}\n'
  new

Push, outgoing and identify use version 1

  $ hg -R one update -q tip
  $ echo two >> one/new
  $ hg -R one commit -m two -d '21 0'
  $ : > access.log
  $ hg -R one outgoing -q -T '{desc}\n'
  two
  $ hg -R one push -q
  $ hg identify http://localhost:$HGPORT/
  [0-9a-f]{12} (re)
  $ requests | grep api
  [1]
  $ hg -R server log -r tip -T '{desc}\n'
  two

Hooks are called as in any pull

  $ hg -R part-15 pull --config hooks.pretxnchangegroup='echo $HG_SOURCE $HG_URL' \
  >     --config hooks.changegroup='echo changegroup' \
  >     --config hooks.incoming='echo incoming $HG_SOURCE' -q
  pull http://localhost:$HGPORT/
  divergent bookmark early stored as early@default
  changegroup
  incoming pull
  incoming pull
  $ hg -R part-12 pull -q --config hooks.pretxnchangegroup=false
  transaction abort!
  rollback completed
  abort: pretxnchangegroup hook exited with status 1
  [40]
  $ hg -R part-12 verify -q
  17: repository $TESTTMP/part-12/sub not found

Version 2 can be switched off on the server and on the client

  $ killdaemons.py
  $ hg serve -R server -p $HGPORT1 -d --pid-file hg.pid -A access.log -E error.log \
  >     --config wireprotov2.serve=no
  $ cat hg.pid >> $DAEMON_PIDS
  $ : > access.log
  $ hg clone -q -U http://localhost:$HGPORT1/ plain
  $ requests
  GET /?cmd=capabilities
  GET /?cmd=batch
  GET /?cmd=getbundle
  $ same_history server plain
  server and plain are the same
  $ cat error.log
