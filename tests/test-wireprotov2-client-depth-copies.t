Copies of a clone that has the files of recent changesets only: a copy lacks the
same files, or copying fails

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > wireprotov2 =
  > share =
  > strip =
  > [ui]
  > ssh = "$PYTHON" "$RUNTESTDIR/dummyssh"
  > [wireprotov2]
  > on-demand = no
  > EOF
  $ hg init server
  $ cd server
  $ for i in 0 1 2 3 4; do
  >     echo $i >> f
  >     test $i != 2 || echo $i > g
  >     hg commit -q -A -m "r$i" -d "$i 0"
  > done
  $ hg serve -p $HGPORT -d --pid-file ../hg.pid -E ../error.log
  $ cat ../hg.pid >> $DAEMON_PIDS
  $ cd ..
  $ hg clone -q --depth 1 http://localhost:$HGPORT/ shallow
  $ hg -R shallow pull -q --depth 2
  $ cat > look.sh << EOF
  > (cd \$1/.hg/store && grep shallow requires && find shallow -type f | grep -c .)
  > hg -R \$1 verify -q
  > hg -R \$1 verify | tail -1
  > hg -R \$1 cat -r 3 \$1/f | tail -1
  > hg -R \$1 cat -r 0 \$1/f 2>&1 | head -1
  > EOF
  $ sh look.sh shallow
  wireprotov2-shallow
  4
  data of 3 file revisions is not here, as expected
  3
  abort: f of changeset 1a7fa42d1840 is not here: wireprotov2.on-demand keeps it from being fetched from http://localhost:$HGPORT/

Local clones

  $ hg clone -q shallow copied
  $ sh look.sh copied
  wireprotov2-shallow
  3
  data of 3 file revisions is not here, as expected
  3
  abort: f of changeset 1a7fa42d1840 is not here: wireprotov2.on-demand keeps it from being fetched from $TESTTMP/shallow
  $ hg -R copied pull -q --depth 3 http://localhost:$HGPORT/
  $ hg -R copied cat -r 2 copied/f | tail -1
  2

(the source does not change, although both share hard links)

  $ hg -R shallow update -q 2
  abort: f of changeset 47f7843a30db is not here: wireprotov2.on-demand keeps it from being fetched from http://localhost:$HGPORT/
  [50]
  $ hg -R shallow summary | grep interrupted
  [1]
  $ hg clone -q --pull shallow pulled
  abort: cannot send changesets without the data of their files: f of changeset 1a7fa42d1840 is not here: wireprotov2.on-demand keeps it from being fetched from http://localhost:$HGPORT/
  [255]
  $ ls pulled
  ls: cannot access 'pulled': * (glob)
  [2]
  $ hg share -q shallow shared
  $ hg -R shared cat -r 3 shared/f | tail -1
  3
  $ hg -R shared unshare
  $ sh look.sh shared
  wireprotov2-shallow
  4
  data of 3 file revisions is not here, as expected
  3
  abort: f of changeset 1a7fa42d1840 is not here: wireprotov2.on-demand keeps it from being fetched from http://localhost:$HGPORT/

Clones over HTTP

  $ hg -R shallow serve -p $HGPORT1 -d --pid-file hg.pid -E error1.log
  $ cat hg.pid >> $DAEMON_PIDS
  $ hg clone -q --stream http://localhost:$HGPORT1/ streamed
  $ sh look.sh streamed
  wireprotov2-shallow
  3
  data of 3 file revisions is not here, as expected
  3
  abort: f of changeset 1a7fa42d1840 is not here: wireprotov2.on-demand keeps it from being fetched from http://localhost:$HGPORT1/
  $ hg clone -q --stream http://localhost:$HGPORT1/ none \
  >     --config extensions.wireprotov2=!
  warning: stream clone requested but client is missing requirements: wireprotov2-shallow
  (see https://www.mercurial-scm.org/wiki/MissingRequirement for more information)
  remote: abort: cannot send changesets without the data of their files: f of changeset 1a7fa42d1840 is not here: wireprotov2.on-demand keeps it from being fetched from http://localhost:$HGPORT/
  abort: pull failed on remote
  [100]
  $ hg clone -q http://localhost:$HGPORT1/ none
  warning: falling back to wire protocol version 1: http://localhost:$HGPORT1/api/exp-http-v2-0003: filesdata failed: f of changeset 1a7fa42d1840 is not here: wireprotov2.on-demand keeps it from being fetched from http://localhost:$HGPORT/
  remote: abort: cannot send changesets without the data of their files: f of changeset 1a7fa42d1840 is not here: wireprotov2.on-demand keeps it from being fetched from http://localhost:$HGPORT/
  abort: pull failed on remote
  [100]
  $ hg clone -q ssh://user@dummy/shallow none
  remote: abort: cannot send changesets without the data of their files: f of changeset 1a7fa42d1840 is not here: wireprotov2.on-demand keeps it from being fetched from http://localhost:$HGPORT/
  abort: pull failed on remote
  [100]
  $ hg clone -q --depth 2 http://localhost:$HGPORT1/ deep
  $ hg -R deep verify -q
  $ hg -R deep cat -r 3 deep/f | tail -1
  3
  $ hg clone -q --depth 3 http://localhost:$HGPORT1/ none
  abort: http://localhost:$HGPORT1/api/exp-http-v2-0003: filesdata failed: f of changeset 47f7843a30db is not here: wireprotov2.on-demand keeps it from being fetched from http://localhost:$HGPORT/
  ('--config wireprotov2.client=no' uses version 1)
  [100]

(changesets that have all their files can be cloned)

  $ hg clone -q -r 1 http://localhost:$HGPORT/ behind
  $ hg -R behind pull -q http://localhost:$HGPORT1/
  warning: falling back to wire protocol version 1: http://localhost:$HGPORT1/api/exp-http-v2-0003: filesdata failed: f of changeset 47f7843a30db is not here: wireprotov2.on-demand keeps it from being fetched from http://localhost:$HGPORT/
  remote: abort: cannot send changesets without the data of their files: f of changeset 47f7843a30db is not here: wireprotov2.on-demand keeps it from being fetched from http://localhost:$HGPORT/
  abort: pull failed on remote
  [100]
  $ hg -R behind pull -q -r 2 http://localhost:$HGPORT/
  $ hg -R behind pull -q http://localhost:$HGPORT1/
  $ hg -R behind verify -q
  $ ls -d none
  ls: cannot access 'none': * (glob)
  [2]

Bundles of changesets that lack files are refused

  $ hg -R shallow bundle -q --all all.hg
  abort: cannot send changesets without the data of their files: f of changeset 1a7fa42d1840 is not here: wireprotov2.on-demand keeps it from being fetched from http://localhost:$HGPORT/
  [255]
  $ hg -R shallow bundle -q --base 2 -r tip some.hg
  $ hg -R copied update -q 2
  $ hg -R copied strip -q -r 3 --no-backup
  $ hg -R copied unbundle -q some.hg
  $ hg -R copied verify -q
  $ hg -R copied strip -q -r 1
  abort: f of changeset 1a7fa42d1840 is not here: wireprotov2.on-demand keeps it from being fetched from $TESTTMP/shallow
  [50]
  $ grep -c Traceback error.log error1.log
  error.log:0
  error1.log:0
  [1]
