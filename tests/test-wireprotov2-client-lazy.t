#testcases revlog database

Clones that fetch the content of files when it is read

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > wireprotov2 =
  > sqlitestore =
  > rebase =
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
  >     for f in b c e f g; do echo $i$f > $f; done
  >     test $i != 3 || hg mv -q d/a d/moved
  >     test ! -f d/moved || { rm -f d/a; echo $i >> d/moved; }
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
  $ cat > requests.sh << EOF
  > # the requests of version 2 that a command makes
  > lines=\$(cat "$TESTTMP/access.log" | wc -l)
  > "\$@"
  > tail -n +\$((lines + 1)) "$TESTTMP/access.log" |
  >   sed -n 's,.*POST /api/exp-http-v2-0003/ro/\([a-z]*\) .*,request: \1,p'
  > EOF
  $ requests() { sh "$TESTTMP/requests.sh" "$@"; }

  $ hg help clone | grep lazy
      --lazy              fetch the content of files when it is read
  $ requests hg clone --lazy -U http://localhost:$HGPORT/ lazy
  requesting all changes
  adding changesets
  adding manifests
  adding file changes
  added 6 changesets with 36 changes to 7 files
  new changesets * (glob)
  request: multirequest
  request: multirequest
  $ cd lazy
  $ grep shallow .hg/store/requires
  wireprotov2-shallow
  $ cat .hg/store/shallow/limits
  *

An update asks once for everything, and a second time for nothing

  $ requests hg update
  6 files updated, 0 files merged, 0 files removed, 0 files unresolved
  request: filesdata
  $ cat d/moved
  0
  1
  2
  3
  3
  4
  5
  $ hg status
  $ requests hg update -q null
  $ requests hg update -q tip

So do other commands

  $ requests hg diff -r 1 -r 2 --stat
   b   |  2 +-
   c   |  2 +-
   d/a |  1 +
   e   |  2 +-
   f   |  2 +-
   g   |  2 +-
   6 files changed, 6 insertions(+), 5 deletions(-)
  request: filesdata
  $ cat > ../same.sh << EOF
  > # the requests of a command, and whether it prints what it does on the server
  > (cd "$TESTTMP/server" && hg "\$@") > "$TESTTMP/expected" 2>&1
  > sh "$TESTTMP/requests.sh" hg "\$@" > "$TESTTMP/output" 2>&1
  > grep '^request: ' "$TESTTMP/output" | sort | uniq -c | sed 's/^ *//'
  > grep -v '^request: ' "$TESTTMP/output" | diff - "$TESTTMP/expected"
  > EOF
  $ same() { sh "$TESTTMP/same.sh" "$@"; }
  $ hg -R ../server update -q tip
  $ same log -p
  1 request: filesdata
  $ same annotate -r tip d/moved
  $ same log -T '{rev} {diffstat}\n'
  $ same log -C -T '{rev} {file_copies}\n'
  $ cd ..
  $ for i in 1 2 3 4 5; do hg clone -q -U --lazy http://localhost:$HGPORT/ new$i; done
  $ cd new1
  $ same log -f -T '{rev}\n' -r 'follow("d/moved", startrev=5)'
  1 request: filesdata
  $ same annotate -r tip d/moved
  3 request: filedata
  $ same files -r 2 -T '{path} {size}\n'
  1 request: filesdata
  $ same grep -r 1 1
  1 request: filesdata
  $ same grep --diff 4
  1 request: filesdata
  $ same cat -r 0 b c d/a
  $ cd ../new2
  $ same export 1:4
  1 request: filesdata
  $ requests hg archive -q -r 3 ../archive
  $ requests hg bundle -q --all ../all.hg
  request: filesdata
  $ hg clone -q ../all.hg ../from-bundle
  $ hg -R ../from-bundle verify -q

A commit, a merge and a push

  $ cd ../new3
  $ requests hg update -q 2
  request: filesdata
  $ echo new > new
  $ hg commit -q -A -m new -d '9 0'
  $ echo 2 >> b
  $ hg commit -q -m 'more of b' -d '9 0'
  $ requests hg rebase -q -d 5 --tool :local
  note: not rebasing 7:b2accd82317f tip "more of b", its destination already has all its changes
  request: filesdata
  request: filesdata
  $ hg diff -c tip
  diff -r 956b5b9c7a54 -r 68cff44c9f3d new
  --- /dev/null	Thu Jan 01 00:00:00 1970 +0000
  +++ b/new	Thu Jan 01 00:00:09 1970 +0000
  @@ -0,0 +1,1 @@
  +new
  $ hg verify -q
  $ requests hg push -q
  $ hg -R ../server verify -q
  $ hg -R ../server cat -r tip ../server/new
  new
  $ cd ../new4
  $ hg update -q 1
  $ echo 1 >> d/a
  $ hg commit -q -m 'edit the old name' -d '9 0'
  $ requests hg merge -q -r 5
  warning: conflicts while merging d/moved! (edit, then use 'hg resolve --mark')
  request: filesdata
  request: filesdata
  $ cat d/moved
  0
  1
  <<<<<<< working copy: c2d507f089da - test: edit the old name
  1
  =======
  2
  3
  3
  4
  5
  >>>>>>> merge rev:    956b5b9c7a54 - test: r5

A pull brings no content, and an update fetches what it needs

  $ cd ../lazy
  $ requests hg pull -q
  request: multirequest
  request: multirequest
  $ hg verify | tail -1
  data of 1 file revisions is not here, as expected
  $ requests hg update -q
  request: filedata
  $ cat new
  new
  $ requests hg pull -q --depth 2
  request: multirequest
  request: multirequest
  request: filesdata
  $ grep shallow .hg/store/requires
  wireprotov2-shallow

Without a server, a command ends with one line and changes nothing

  $ cd ../new5
  $ hg update --config wireprotov2.on-demand=no
  abort: b of changeset 956b5b9c7a54 is not here: wireprotov2.on-demand keeps it from being fetched from http://localhost:$HGPORT/
  [50]
  $ hg update --config paths.default=http://localhost:$HGPORT2/
  abort: b of changeset 956b5b9c7a54 is not here: http://localhost:$HGPORT2/: [Errno 111] Connection refused
  [50]
  $ hg update --config paths.default=
  abort: b of changeset 956b5b9c7a54 is not here: the repository has no default path to fetch it from
  [50]
  $ hg update --config paths.default=../nowhere
  abort: b of changeset 956b5b9c7a54 is not here: repository $TESTTMP/nowhere not found
  [50]
  $ hg cat -r 0 b --config wireprotov2.client=no
  abort: b of changeset 7e866975b2d9 is not here: http://localhost:$HGPORT/: the server cannot send single files
  [50]
  $ hg summary | grep interrupted
  [1]
  $ ls

A copy of the clone on the same machine fetches through its source

  $ hg clone -q -U . ../copied
  $ hg -R ../copied paths
  default = $TESTTMP/new5
  $ requests hg -R ../copied update -q
  request: filesdata
  $ requests hg update -q
  $ hg clone -q --pull -U . ../pulled
  $ hg -R ../pulled verify -q

A lazy mirror serves what it has, and fetches the rest

  $ hg clone -q --lazy -U http://localhost:$HGPORT/ ../mirror
  $ cd ../mirror
  $ hg serve -p $HGPORT1 -d --pid-file ../hg1.pid -E ../error1.log
  $ cat ../hg1.pid >> $DAEMON_PIDS
  $ requests get-with-headers.py localhost:$HGPORT1 'file/2/b?style=raw'
  200 Script output follows
  
  2b
  request: filedata
  $ requests get-with-headers.py localhost:$HGPORT1 'annotate/5/d/moved?style=raw'
  200 Script output follows
  
  
  test@0: 0
  test@1: 1
  test@2: 2
  test@3: 3
  test@3: 3
  test@4: 4
  test@5: 5
  
  
  
  
  request: filedata
  request: filedata
  request: filedata
  $ requests get-with-headers.py localhost:$HGPORT1 'rev/4?style=raw' | grep '^[+-]'
  --- a/b	Thu Jan 01 00:00:03 1970 +0000
  +++ b/b	Thu Jan 01 00:00:04 1970 +0000
  -3b
  +4b
  --- a/c	Thu Jan 01 00:00:03 1970 +0000
  +++ b/c	Thu Jan 01 00:00:04 1970 +0000
  -3c
  +4c
  --- a/d/moved	Thu Jan 01 00:00:03 1970 +0000
  +++ b/d/moved	Thu Jan 01 00:00:04 1970 +0000
  +4
  --- a/e	Thu Jan 01 00:00:03 1970 +0000
  +++ b/e	Thu Jan 01 00:00:04 1970 +0000
  -3e
  +4e
  --- a/f	Thu Jan 01 00:00:03 1970 +0000
  +++ b/f	Thu Jan 01 00:00:04 1970 +0000
  -3f
  +4f
  --- a/g	Thu Jan 01 00:00:03 1970 +0000
  +++ b/g	Thu Jan 01 00:00:04 1970 +0000
  -3g
  +4g
  $ requests hg clone -q -U http://localhost:$HGPORT1/ ../of-mirror
  request: filesdata
  $ hg -R ../of-mirror verify -q

The clone is completed

  $ hg clone -q --lazy -U http://localhost:$HGPORT/ ../fresh
  $ cd ../fresh
  $ requests hg admin::fetch-files -r 2
  request: filesdata
  $ requests hg admin::fetch-files 'glob:[bc]'
  fetched the content of 12 revisions of 2 files
  request: multirequest
  $ hg verify | tail -1
  data of 21 file revisions is not here, as expected
  $ requests hg admin::fetch-files --config wireprotov2.on-demand=no
  fetched the content of 25 revisions of 6 files
  this repository has the content of all its files now
  request: multirequest
  $ hg verify -q
  $ hg admin::fetch-files
  this repository has the content of all its files
  $ grep shallow .hg/store/requires
  [1]
  $ ls -d .hg/store/shallow
  ls: cannot access '.hg/store/shallow': * (glob)
  [2]
  $ hg --config extensions.wireprotov2=! cat -r 0 d/a
  0

Options that exclude each other

  $ hg clone --lazy --depth 1 http://localhost:$HGPORT/ none
  abort: --lazy and --depth cannot be used together
  [10]
  $ hg clone --lazy --stream http://localhost:$HGPORT/ none
  abort: --lazy and --stream cannot be used together
  [10]
  $ hg clone --lazy http://localhost:$HGPORT/ none --config wireprotov2.client=no
  abort: the server cannot leave out the data of files
  (this requires wire protocol version 2)
  [255]
  $ hg clone --lazy ../server none
  abort: the server cannot leave out the data of files
  (this requires wire protocol version 2)
  [255]
  $ grep -c Traceback ../error.log ../error1.log
  ../error.log:0
  ../error1.log:0
  [1]
