Narrow clones from servers without the narrow extension

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
  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > narrow =
  > EOF
  $ hg clone --narrow --include d --exclude d/sub -r 10 http://localhost:$HGPORT/ part
  adding changesets
  adding manifests
  adding file changes
  added 10 changesets with 5 changes to 2 files
  new changesets ce2952e8b598:f2efdf6a99e7
  updating to branch default
  1 files updated, 0 files merged, 0 files removed, 0 files unresolved
  $ grep -c multirequest access.log
  1
  $ cd part
  $ hg verify -q
  $ hg files
  d/a
  $ hg annotate -n d/a
  3: a

The files of a narrow clone can be changed and exchanged

  $ echo more >> d/a
  $ hg commit -m 'in part' -d '30 0'
  $ hg push -q -r . --force
  $ hg --cwd ../server cat -r tip d/a
  a
  more
  $ hg pull -q
  $ hg log -r 'desc("in part") + desc("subrepository")' -T '{desc}: {files}\n'
  in part: d/a
  r17 subrepository: .hgsub .hgsubstate
  $ hg verify -q

Other paths can be added, and removed again

  $ hg cat -r 10 x
  [1]
  $ hg tracked --addinclude x --removeexclude d/sub
  comparing with http://localhost:$HGPORT/
  searching for changes
  adding changesets
  adding manifests
  adding file changes
  added 0 changesets with 2 changes to 2 files
  $ hg tracked
  I path:d
  I path:x
  $ hg verify
  checking changesets
  checking manifests
  crosschecking files in changesets and manifests
  checking files
  checking dirstate
  checked 19 changesets with 9 changes to 4 files
  $ hg files
  d/a
  d/sub/c
  x
  $ hg cat -r 10 x
  x
  $ hg log -T '{rev} {files}\n' d/sub/c x d/b
  3 a d/a l x
  0 a d/b d/sub/c
  $ hg tracked --removeinclude x
  comparing with http://localhost:$HGPORT/
  searching for changes
  looking for local changes to affected paths
  deleting data/x.i
  deleting unwanted files from working copy
  $ hg verify -q
  $ hg tracked --addinclude nowhere -q
  $ hg verify -q
  $ hg tracked --addinclude x -q
  $ hg verify -q
  $ hg cat -r 10 x
  x
  $ cd ..

A narrow clone of limited depth

  $ hg clone -q --narrow --include d --depth 2 http://localhost:$HGPORT/ shallow
  $ cd shallow
  $ hg files
  d/a
  d/sub/c
  $ hg verify
  checking changesets
  checking manifests
  crosschecking files in changesets and manifests
  checking files
  checking dirstate
  checked 19 changesets with 8 changes to 3 files
  data of 2 file revisions is not here, as expected
  $ hg cat -r 0 d/b
  b
  $ hg pull --depth 30
  pulling from http://localhost:$HGPORT/
  searching for changes
  no changes found
  fetched data of 2 file revisions
  $ hg verify
  checking changesets
  checking manifests
  crosschecking files in changesets and manifests
  checking files
  checking dirstate
  checked 19 changesets with 8 changes to 3 files
  $ hg cat -r 0 d/b
  b
  $ cd ..
  $ cat error.log
