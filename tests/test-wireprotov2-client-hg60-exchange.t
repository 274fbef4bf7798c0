#require hg60

Markers, phases, bookmarks and closed branches, with Mercurial 6.0 at either end

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > wireprotov2 =
  > [experimental]
  > evolution = all
  > [phases]
  > publish = no
  > [web]
  > push_ssl = no
  > allow-push = *
  > EOF
  $ old() {
  >     "$AMALGAM_HG60" --config extensions.wireprotov2=! \
  >         --config experimental.httppeer.advertise-v2=true "$@"
  > }
  $ state='{node|short} {phase} {branch} {bookmarks} {desc} {extras % "{key}={value} "}\n'
  $ old init server
  $ cd server
  $ commit() {
  >     echo $1 > $1
  >     old commit -q -A -d "1 0" -m "$@"
  > }
  $ commit a
  $ old branch -q side
  $ commit b
  $ old commit -q --close-branch -d '2 0' -m close
  $ old update -q default
  $ commit c
  $ old phase --public -r 'all()'
  $ commit d
  $ old bookmark -r 1 mark
  $ old commit -q --amend -d '3 0' -m 'd amended'
  $ commit e
  $ old phase --secret --force -r .
  $ cd ..

A client with the extension and a server with Mercurial 6.0

  $ HGRCPATH= PYTHONPATH= "$AMALGAM_HG60" serve -R server -p $HGPORT -d \
  >     --pid-file hg.pid -A access.log -E error.log \
  >     --config experimental.web.apiserver=true \
  >     --config experimental.web.api.http-v2=true \
  >     --config experimental.evolution=all --config phases.publish=no \
  >     --config web.push_ssl=no --config web.allow-push=\*
  $ cat hg.pid > $DAEMON_PIDS
  $ hg clone -q -U http://localhost:$HGPORT/ ours
  $ grep -q 'POST /api' access.log
  $ hg -R ours log -T "$state" -G
  o  8be2746a32cb draft default  d amended amend_source=36ec24a0fdfbebb9918e367d9211e2c3e2de94cd branch=default
  |
  o  fb3085a26840 public default  c branch=default
  |
  | _  f11e4fbc5029 public side  close branch=side close=1
  | |
  | o  42b53db478a1 public side mark b branch=side
  |/
  o  8580ff50825a public default  a branch=default
  
  $ hg -R ours debugobsolete | wc -l | tr -d ' '
  1
  $ hg -R ours verify -q

Pushes and pulls in both directions after that

  $ old -R server bookmark -f -r 3 mark
  $ old -R server phase --public -r 'desc("d amended")'
  $ hg -R ours pull -q -B mark
  $ hg -R ours update -q 'desc("d amended")'
  $ echo f > ours/f
  $ hg -R ours commit -q -A -d '4 0' -m f
  $ hg -R ours bookmark -r . ours
  $ hg -R ours push -q -B ours
  $ hg -R ours commit -q --amend -d '5 0' -m 'f amended'
  $ hg -R ours push -q --force
  $ old -R server log -T "$state" -r 'not secret()' > theirs.log
  $ hg -R ours log -T "$state" | sort > ours.log
  $ sort theirs.log | cmp - ours.log
  $ hg -R ours debugobsolete | wc -l | tr -d ' '
  2
  $ cat error.log

A client with Mercurial 6.0 and a server with the extension

  $ killdaemons.py
  $ hg serve -R ours -p $HGPORT1 -d --pid-file hg.pid -A access.log -E error.log
  $ cat hg.pid > $DAEMON_PIDS
  $ : > access.log
  $ old clone -q -U http://$LOCALIP:$HGPORT1/ theirs
  $ grep -q 'POST /api' access.log
  $ old -R theirs log -T "$state" | sort | cmp - ours.log
  $ old -R theirs verify -q
  $ cat error.log
