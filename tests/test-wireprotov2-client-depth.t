#testcases revlog database

Clones with the files of recent changesets only

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > wireprotov2 =
  > sqlitestore =
  > [wireprotov2]
  > on-demand = no
  > EOF
  $ hg init server
  $ cd server
  $ cat >> .hg/hgrc << EOF
  > [web]
  > push_ssl = no
  > allow-push = *
  > EOF
  $ mkdir d
  $ for i in 0 1 2 3 4 5; do
  >     echo $i >> d/a
  >     test $i != 0 || echo same > old
  >     test $i != 2 || hg cp -q old copy
  >     hg commit -q -A -m "r$i" -d "$i 0"
  > done
  $ hg serve -p $HGPORT -d --pid-file ../hg.pid -A ../access.log -E ../error.log
  $ cat ../hg.pid >> $DAEMON_PIDS
  $ cd ..
#if database
  $ cat >> $HGRCPATH << EOF
  > [storage]
  > new-repo-backend = sqlite
  > EOF
#endif

  $ hg help clone | grep depth
      --depth N           fetch the files of this many generations only
  $ hg clone --depth 2 http://localhost:$HGPORT/ shallow
  requesting all changes
  adding changesets
  adding manifests
  adding file changes
  added 6 changesets with 8 changes to 3 files
  new changesets c74daf83a3d4:8abba39dd470
  updating to branch default
  3 files updated, 0 files merged, 0 files removed, 0 files unresolved
  $ cd shallow
  $ grep shallow .hg/store/requires
  wireprotov2-shallow
  $ cat d/a
  0
  1
  2
  3
  4
  5
  $ hg verify
  checking changesets
  checking manifests
  crosschecking files in changesets and manifests
  checking files
  checking dirstate
  checked 6 changesets with 8 changes to 3 files
  data of 4 file revisions is not here, as expected
  $ hg log -T '{rev} {desc}\n' d/a
  5 r5
  4 r4
  3 r3
  2 r2
  1 r1
  0 r0
  $ hg cat -r 4 d/a
  0
  1
  2
  3
  4

Commands that need missing files fail before they change anything

  $ hg update 3
  abort: d/a of changeset 909fc60a2cd3 is not here: wireprotov2.on-demand keeps it from being fetched from http://localhost:$HGPORT/
  [50]
  $ hg update 4 -q
  $ hg cat -r 1 d/a
  abort: d/a of changeset bf64da70d087 is not here: wireprotov2.on-demand keeps it from being fetched from http://localhost:$HGPORT/
  [50]
  $ hg log -p -r 5:3 d/a
  abort: d/a of changeset 909fc60a2cd3 is not here: wireprotov2.on-demand keeps it from being fetched from http://localhost:$HGPORT/
  [50]
  $ hg annotate d/a
  abort: d/a of changeset 909fc60a2cd3 is not here: wireprotov2.on-demand keeps it from being fetched from http://localhost:$HGPORT/
  [50]
  $ hg diff -r 2 -r 4
  abort: d/a of changeset a2bca2057bd2 is not here: wireprotov2.on-demand keeps it from being fetched from http://localhost:$HGPORT/
  [50]
  $ hg archive -r 0 ../archive
  abort: d/a of changeset c74daf83a3d4 is not here: wireprotov2.on-demand keeps it from being fetched from http://localhost:$HGPORT/
  [50]
  $ hg status

Commits, pulls and pushes work

  $ hg update -q
  $ echo local >> d/a
  $ hg commit -m local
  $ hg push -q
  $ hg -R ../server verify -q
  $ hg --cwd ../server cat -r tip d/a | tail -1
  local
  $ cd ../server
  $ hg update -q 1
  $ echo branched >> d/a
  $ hg commit -q -m branched
  $ echo more >> d/a
  $ hg commit -q -m more
  $ cd ../shallow
  $ hg pull
  pulling from http://localhost:$HGPORT/
  searching for changes
  adding changesets
  adding manifests
  adding file changes
  added 2 changesets with 2 changes to 1 files (+1 heads)
  new changesets 44218f606843:136b856a6208
  (run 'hg heads' to see heads, 'hg merge' to merge)
  $ hg verify -q
  $ hg update -C tip
  1 files updated, 0 files merged, 1 files removed, 0 files unresolved
  $ cat d/a
  0
  1
  branched
  more
  $ ls
  d
  old

A pull with a larger depth fetches more files

  $ hg pull --depth 4
  pulling from http://localhost:$HGPORT/
  searching for changes
  no changes found
  fetched data of 3 file revisions
  $ hg update -C 3
  2 files updated, 0 files merged, 0 files removed, 0 files unresolved
  $ cat d/a
  0
  1
  2
  3
  $ hg verify
  checking changesets
  checking manifests
  crosschecking files in changesets and manifests
  checking files
  checking dirstate
  checked 9 changesets with 11 changes to 3 files
  data of 1 file revisions is not here, as expected
  $ hg clone -q -U . ../copy-before
  $ hg pull -q --depth 100
  $ hg verify -q

Now that no files are missing, it is an ordinary repository

  $ grep shallow .hg/requires .hg/store/requires
  [1]
  $ ls .hg/store | grep shallow
  [1]
  $ hg --config extensions.wireprotov2=! verify -q
  $ hg --config extensions.wireprotov2=! cat -r 0 d/a
  0
  $ hg rollback
  no rollback information available
  [1]
  $ hg clone -q -U --config extensions.wireprotov2=! . ../copy-after
  $ hg -R ../copy-after --config extensions.wireprotov2=! verify -q
  $ grep shallow ../copy-before/.hg/store/requires
  wireprotov2-shallow
  $ hg pull -q --depth 100
  $ hg annotate -r 5 d/a
  0: 0
  1: 1
  2: 2
  3: 3
  4: 4
  5: 5
  $ hg clone -q -U --pull . ../all
  $ hg -R ../all verify -q
  $ cd ..

Invalid uses of the option are refused

  $ hg clone --depth 0 http://localhost:$HGPORT/ none
  abort: depth must be a positive number
  [10]
  $ hg clone --depth 2 server none
  abort: the server cannot limit the depth of what it sends
  (this requires wire protocol version 2)
  [255]
  $ hg clone --depth 2 http://localhost:$HGPORT/ none --config wireprotov2.client=no
  abort: the server cannot limit the depth of what it sends
  (this requires wire protocol version 2)
  [255]
  $ hg -R server pull --depth 2 http://localhost:$HGPORT/
  pulling from http://localhost:$HGPORT/
  (this repository has the files of all its changesets)
  searching for changes
  no changes found
  2 local changesets published
  $ hg clone -q --depth 2 http://localhost:$HGPORT/ another
  $ hg clone -q --pull another another2
  abort: cannot send changesets without the data of their files: d/a of changeset c74daf83a3d4 is not here: wireprotov2.on-demand keeps it from being fetched from http://localhost:$HGPORT/
  [255]
  $ hg -R another --config extensions.wireprotov2=! log
  abort: repository requires features unknown to this Mercurial: wireprotov2-shallow
  (see https://mercurial-scm.org/wiki/MissingRequirement for more information)
  [255]
  $ hg clone -q another copy
  $ hg --cwd copy cat -r 0 d/a
  abort: d/a of changeset c74daf83a3d4 is not here: wireprotov2.on-demand keeps it from being fetched from $TESTTMP/another
  [50]
  $ hg -R copy verify -q
  $ ls -d none
  ls: cannot access 'none': No such file or directory
  [2]
  $ cat error.log
