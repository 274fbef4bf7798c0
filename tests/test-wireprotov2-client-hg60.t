#require hg60

The server of Mercurial 6.0, the last release with its own version 2

  $ . $TESTDIR/helpers/awkward_history.sh
  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > wireprotov2 =
  > EOF
  $ awkward_history server
  $ cat >> server/.hg/hgrc << EOF
  > [phases]
  > publish = no
  > EOF
  $ serve60() {
  >     port=$1
  >     shift
  >     HGRCPATH= PYTHONPATH= "$AMALGAM_HG60" serve -R server -p $port -d \
  >         --pid-file hg.pid -A access.log -E error.log \
  >         --config experimental.web.apiserver=true \
  >         --config experimental.web.api.http-v2=true "$@"
  >     cat hg.pid >> $DAEMON_PIDS
  > }
  $ requests() {
  >     sed -E 's/.*"([A-Z]+) ([^ ]*) .*/\1 \2/' access.log
  >     : > access.log
  > }
  $ serve60 $HGPORT

This server cannot send only the files that a changeset adds if the changeset
also removes some. A clone requests all files instead

  $ hg clone -U http://localhost:$HGPORT/ whole
  requesting all changes
  adding changesets
  adding manifests
  adding file changes
  added 18 changesets with 20 changes to 14 files (+2 heads)
  new changesets ce2952e8b598:99ebadca1e24 (2 drafts)
  $ requests
  GET /?cmd=capabilities
  POST /api/exp-http-v2-0003/ro/heads
  POST /api/exp-http-v2-0003/ro/changesetdata
  POST /api/exp-http-v2-0003/ro/multirequest
  POST /api/exp-http-v2-0003/ro/manifestdata
  POST /api/exp-http-v2-0003/ro/filesdata
  $ same_history server whole
  server and whole are the same

A pull requests all revisions of the paths that changed, if that is necessary

  $ hg clone -q -U -r 4 http://localhost:$HGPORT/ part
  $ : > access.log
  $ hg -R part pull -q
  $ requests
  GET /?cmd=capabilities
  GET /?cmd=batch
  POST /api/exp-http-v2-0003/ro/multirequest
  POST /api/exp-http-v2-0003/ro/manifestdata
  POST /api/exp-http-v2-0003/ro/filesdata
  POST /api/exp-http-v2-0003/ro/filesdata
  $ hg clone -q -U -r 4 http://localhost:$HGPORT/ part1 --config wireprotov2.client=no
  $ hg -R part1 pull -q --config wireprotov2.client=no
  $ same_history part1 part
  part1 and part are the same
  $ cat error.log

A clone with the files of the newest changesets only

  $ hg clone -q -U --depth 3 http://localhost:$HGPORT/ shallow
  $ : > access.log
  $ hg -R shallow verify
  checking changesets
  checking manifests
  crosschecking files in changesets and manifests
  checking files
  checking dirstate
  checked 18 changesets with 20 changes to 14 files
  checking subrepo links
  17: repository $TESTTMP/shallow/sub not found
  data of 3 file revisions is not here, as expected
  $ hg -R shallow update 6
  6 files updated, 0 files merged, 0 files removed, 0 files unresolved
  $ hg -R shallow pull --depth 30
  pulling from http://localhost:$HGPORT/
  searching for changes
  no changes found
  fetched data of 3 file revisions
  $ requests
  GET /?cmd=capabilities
  GET /?cmd=batch
  POST /api/exp-http-v2-0003/ro/multirequest
  POST /api/exp-http-v2-0003/ro/filesdata
  $ hg -R shallow verify
  checking changesets
  checking manifests
  crosschecking files in changesets and manifests
  checking files
  checking dirstate
  checked 18 changesets with 20 changes to 14 files
  checking subrepo links
  17: repository $TESTTMP/shallow/sub not found
  $ cat error.log

Batches have the size that the server recommends; an interrupted clone keeps the
batches it has

  $ killdaemons.py
  $ serve60 $HGPORT1 \
  >     --config experimental.server.manifestdata.recommended-batch-size=5 \
  >     --config experimental.server.filesdata.recommended-batch-size=10
  $ cat > once.sh << 'EOF'
  > test ! -e ../second || exit 1
  > touch ../second
  > EOF
  $ : > access.log
  $ hg clone -U http://localhost:$HGPORT1/ batches \
  >     --config hooks.pretxnchangegroup="sh $TESTTMP/once.sh"
  fetching history in 2 batches
  added 10 changesets with 14 changes to 9 files
  new changesets ce2952e8b598:* (glob)
  searching for changes
  adding changesets
  adding manifests
  adding file changes
  transaction abort!
  rollback completed
  (kept 10 changesets in $TESTTMP/batches; 'hg pull' there continues)
  abort: pretxnchangegroup hook exited with status 1
  [40]
  $ requests
  GET /?cmd=capabilities
  POST /api/exp-http-v2-0003/ro/heads
  POST /api/exp-http-v2-0003/ro/changesetdata
  POST /api/exp-http-v2-0003/ro/multirequest
  POST /api/exp-http-v2-0003/ro/manifestdata
  POST /api/exp-http-v2-0003/ro/manifestdata
  POST /api/exp-http-v2-0003/ro/filesdata
  GET /?cmd=batch
  POST /api/exp-http-v2-0003/ro/multirequest
  POST /api/exp-http-v2-0003/ro/manifestdata
  POST /api/exp-http-v2-0003/ro/manifestdata
  POST /api/exp-http-v2-0003/ro/filesdata
  POST /api/exp-http-v2-0003/ro/filesdata
  $ hg -R batches pull
  pulling from http://localhost:$HGPORT1/
  searching for changes
  adding changesets
  adding manifests
  adding file changes
  added 8 changesets with 6 changes to 8 files
  new changesets f2efdf6a99e7:99ebadca1e24 (2 drafts)
  (run 'hg update' to get a working copy)
  $ requests
  GET /?cmd=capabilities
  POST /api/exp-http-v2-0003/ro/heads
  POST /api/exp-http-v2-0003/ro/changesetdata
  GET /?cmd=batch
  POST /api/exp-http-v2-0003/ro/multirequest
  POST /api/exp-http-v2-0003/ro/manifestdata
  POST /api/exp-http-v2-0003/ro/manifestdata
  POST /api/exp-http-v2-0003/ro/filesdata
  POST /api/exp-http-v2-0003/ro/filesdata
  $ same_history server batches
  server and batches are the same
  $ ls batches/.hg/wireprotov2-unfinished
  ls: cannot access 'batches/.hg/wireprotov2-unfinished': No such file or directory
  [2]
  $ cat error.log
