#require serve

Replicas are told of each push, and pull

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > wireprotov2 =
  > [phases]
  > publish = no
  > [experimental]
  > evolution = all
  > EOF
  $ hg init primary
  $ cd primary
  $ echo a > a
  $ hg commit -qAm a
  $ hg phase --public .
  $ cat >> .hg/hgrc << EOF
  > [web]
  > push_ssl = no
  > allow-push = *
  > [replicas]
  > eu = http://localhost:$HGPORT1/
  > EOF
  $ cd ..
  $ hg init replica
  $ cat >> replica/.hg/hgrc << EOF
  > [web]
  > push_ssl = no
  > allow-push = *
  > [replicas]
  > source = http://localhost:$HGPORT/
  > EOF
  $ start() {
  >   hg -R $1 serve -p $2 -d --pid-file $1.pid -E $1.log -A $1.access
  >   cat $1.pid >> $DAEMON_PIDS
  > }
  $ until_true() {
  >   "$PYTHON" "$TESTDIR/helpers/until.py" "$@"
  > }
  $ replicas() {
  >   hg -R primary admin::replicas "$@" | sed -e 's/20..-..-.. ..:..:.. +0000/DATE/g'
  > }

Nothing was pushed yet

  $ replicas
  eu: lacks 1 changesets, not asked yet
  $ start primary $HGPORT
  $ start replica $HGPORT1

A push is told without anybody waiting for it

  $ hg clone -q http://localhost:$HGPORT/ client
  $ cd client
  $ echo b > b
  $ hg commit -qAm b
  $ hg push -q
  $ cd ..
  $ until_true hg -R primary admin::replicas
  $ replicas
  eu: up to date, confirmed DATE
  $ hg -R replica log -T '{rev} {desc} {phase}\n'
  1 b draft
  0 a public
  $ hg -R primary admin::replicas -T json
  [
   {
    "attempt": [*, 0], (glob)
    "behind": null,
    "current": true,
    "error": "",
    "failures": 0,
    "missing": 0,
    "name": "eu",
    "next": null,
    "success": [*, 0], (glob)
    "url": "http://localhost:$HGPORT1/"
   }
  ]

With replicas.wait, a push waits. Phases, bookmarks and obsolescence markers
follow; secret and hidden changesets stay.

  $ cat >> primary/.hg/hgrc << EOF
  > wait = 60
  > EOF
  $ hg -R client book -r 1 mark
  $ hg -R client push -qB mark
  [1]
  $ hg -R replica bookmarks
     mark                      1:d2ae7f538514
  $ hg -R primary phase --public 1
  $ hg -R replica log -T '{rev} {desc} {phase}\n'
  1 b public
  0 a public
  $ hg -R primary bookmark --delete mark
  $ hg -R replica bookmarks
  no bookmarks set
  $ cd primary
  $ hg update -q
  $ echo s > s
  $ hg commit -qAm secret --secret
  $ hg update -q 1
  $ echo c > c
  $ hg commit -qAm amended
  $ hg commit -qAm 'will be hidden' --amend
  $ echo d > d
  $ hg commit -qAm d
  $ cd ..
  $ replicas
  eu: up to date, confirmed DATE
  $ hg -R replica log --hidden -T '{desc} {phase}\n'
  d draft
  will be hidden draft
  amended draft
  b public
  a public

A replica that is away, and comes back
--------------------------------------

  $ killdaemons.py replica.pid
  $ cat >> primary/.hg/hgrc << EOF
  > wait = 0.5
  > EOF
  $ cd client
  $ echo e > e
  $ hg commit -qAm e
  $ hg push -f
  pushing to http://localhost:$HGPORT/
  searching for changes
  remote: adding changesets
  remote: adding manifests
  remote: adding file changes
  remote: added 1 changesets with 1 changes to 1 files (+1 heads)
  remote: warning: replica eu does not have this yet: * (glob)
  $ cd ..
  $ replicas
  eu: lacks 1 changesets, last success: DATE; failed * times since DATE: * (glob)
  $ hg -R primary admin::replicas -T '{missing} {current} {if(next, "next")}\n'
  1 False next
  [1]

It is tried again, without a push

  $ start replica $HGPORT1
  $ until_true hg -R primary admin::replicas
  $ hg -R replica log -r tip -T '{desc}\n'
  e

Without a process that tries again, a cron job does

  $ killdaemons.py replica.pid
  $ cat >> primary/.hg/hgrc << EOF
  > wait = 0
  > EOF
  $ echo f > primary/f
  $ hg -R primary commit -qAm f --config extensions.wireprotov2=!
  $ replicas
  eu: lacks 1 changesets, last success: DATE
  $ replicas --sync | sed 's/: [^:]*$//'
  eu: lacks 1 changesets, last success: DATE; failed 1 times since DATE
  $ start replica $HGPORT1
  $ replicas --sync
  eu: up to date, confirmed DATE
  $ hg -R replica log -r tip -T '{desc}\n'
  f

Pushes in a row are told together: while one process works and one waits, others
end

  $ cat >> replica/.hg/hgrc << EOF
  > [hooks]
  > pretxnclose.slow = until test -e $TESTTMP/go; do sleep 0.1; done
  > EOF
  $ killdaemons.py replica.pid
  $ start replica $HGPORT1
  $ : > replica.access
  $ for n in 1 2 3; do
  >   echo $n > primary/f
  >   hg -R primary commit -qm "f $n"
  > done
  $ touch go
  $ until_true hg -R primary admin::replicas
  $ hg -R replica log -r tip -T '{desc}\n'
  f 3
  $ n=$(grep -c amalgam-follow replica.access); test $n -le 2 || echo told $n times

Attempts at the same time do no harm

  $ echo more > primary/f
  $ hg -R primary commit -qm more --config extensions.wireprotov2=!
  $ for n in 1 2; do
  >   hg -R primary admin::replicas --sync -q & pids="$pids $!"
  > done; wait $pids
  $ replicas
  eu: up to date, confirmed DATE
  $ hg -R replica verify -q

A state that was damaged is written anew

  $ echo damaged > primary/.hg/replicas/eu.json
  $ replicas
  eu: lacks 10 changesets, not asked yet
  $ replicas --sync
  eu: up to date, confirmed DATE

Failures that are reported
--------------------------

A URL where nothing is, a server that is no replica, a replica that may not be told,
one that cannot reach its source, and one that refuses what it pulls

  $ hg init other
  $ start other $HGPORT2
  $ sync() {
  >   replicas --sync "$@" | sed 's/.*since DATE: //'
  > }
  $ sync --config replicas.eu=http://localhost:$HGPORT2/nothing
  HTTP Error 404: Not Found
  $ sync --config replicas.eu=http://localhost:$HGPORT2/
  not a replica: it lacks the extension wireprotov2 or the option replicas.source
  $ restart() {
  >   killdaemons.py replica.pid
  >   hg -R replica serve -p $HGPORT1 -d --pid-file replica.pid -E replica.log "$@"
  >   cat replica.pid >> $DAEMON_PIDS
  > }
  $ echo unsent > primary/f
  $ hg -R primary commit -qm unsent --config extensions.wireprotov2=!
  $ restart --config web.allow-push=nobody
  $ sync
  authorization failed
  $ restart --config replicas.source=http://localhost:1/
  $ sync
  replica: * (glob)
  $ restart --config hooks.pretxnchangegroup=false
  $ sync
  replica: pretxnchangegroup hook exited with status 1
  $ hg -R primary admin::replicas nowhere
  abort: there is no replica 'nowhere'
  [10]
  $ hg -R primary admin::replicas --config replicas.a/b=http://localhost/
  config error: invalid name of a replica: 'a/b'
  (use letters, digits, "-", "_" and ".")
  [30]

A replica over ssh, and one by its path

  $ sync --config replicas.eu=ssh://user@dummy/replica \
  >   --config ui.ssh="\"$PYTHON\" \"$RUNTESTDIR/dummyssh\""
  eu: up to date, confirmed DATE
  $ echo local > primary/f
  $ hg -R primary commit -qm local --config extensions.wireprotov2=!
  $ sync --config replicas.eu=../replica
  eu: up to date, confirmed DATE
  $ hg -R replica log -r tip -T '{desc}\n'
  local

A replica that is behind says so to a client that asks for what the primary has

  $ cat > ask.py << EOF
  > import urllib.request, zlib
  > url = 'http://localhost:$HGPORT1/?cmd=getbundle&bundlecaps=HG20%2Cbundle2%3DHG20%250Achangegroup%253D02&heads=' + '1' * 40
  > with urllib.request.urlopen(url) as answer:
  >     print(b'unknown revision 1111' in zlib.decompress(answer.read()))
  > EOF
  $ "$PYTHON" ask.py
  True
  $ cat replica.log primary.log
