#require ext4-image
#testcases sqlite revlogs

The kernel makes a file system read-only while Mercurial has the repository
open, as it does when a disk fails. What can be read with revlogs can be read
with SQLite.

  $ . "$TESTDIR/helpers/serve.sh"
  $ PATH=$PATH:/usr/sbin
  $ cat >> $HGRCPATH <<'RC'
  > [extensions]
  > sqlitestore =
  > [ui]
  > ssh = "$PYTHON" "$RUNTESTDIR/dummyssh"
  > [web]
  > allow-archive = zip
  > allow-push = *
  > push_ssl = no
  > RC
#if sqlite
  $ cat >> $HGRCPATH <<'RC'
  > [storage]
  > new-repo-backend = sqlite
  > RC
#endif

  $ truncate -s 16M image
  $ mkfs.ext4 -q image
  $ mkdir disk
  $ mount -o loop image disk
  $ hg init disk/repo
  $ cd disk/repo
  $ for i in 1 2 3 4; do
  >   echo $i >> grows
  >   echo $i > file$i
  >   hg commit -qAm "number $i"
  > done

A server, a process that has just written, and one that will write are running

  $ printf '[ui]\nignore = %s/ignore\n' "$TESTTMP" >> $HGRCPATH
  $ printf 'error.log\nhg.pid\n' > $TESTTMP/ignore
  $ serve --config extensions.wireprotov2= --config wireprotov2.serve=yes
  $ get-with-headers.py $LOCALIP:$HGPORT raw-file/tip/file4 - | tail -1
  4
  $ cat > $TESTTMP/wait.py <<'PY'
  > import os, time
  > def reposetup(ui, repo):
  >     repo.ui.setconfig(b'hooks', b'txnclose.wait', wait)
  > def wait(ui, repo, **kwargs):
  >     open(os.environ['TESTTMP'] + '/committed', 'w').write('yes')
  >     while not os.path.exists(os.environ['TESTTMP'] + '/go'):
  >         time.sleep(0.05)
  > PY
  $ echo 5 >> grows
  $ hg commit -qm 'number 5' --config extensions.wait=$TESTTMP/wait.py &
  $ "$PYTHON" "$TESTDIR/helpers/wait_for.py" $TESTTMP/committed
  $ sync
  $ mount -o remount,abort $TESTTMP/disk
  $ touch file
  touch: cannot touch 'file': Read-only file system
  [1]
  $ touch $TESTTMP/go
  $ wait

Commands that read work, and so do servers

  $ hg cat -r 3 grows
  1
  2
  3
  4
  $ hg log -p -r tip -T '{rev}:{desc}\n'
  4:number 5
  diff -r * -r * grows (glob)
  --- a/grows* (glob)
  +++ b/grows* (glob)
  @@ -2,3 +2,4 @@
   2
   3
   4
  +5
  
  $ hg diff -r 0 -r 3 --stat
   file2 |  1 +
   file3 |  1 +
   file4 |  1 +
   grows |  3 +++
   4 files changed, 6 insertions(+), 0 deletions(-)
  $ hg annotate -q grows
  0: 1
  1: 2
  2: 3
  3: 4
  4: 5
  $ hg status
  $ hg archive -r 2 $TESTTMP/archive
  $ ls $TESTTMP/archive
  file1
  file2
  file3
  grows
  $ cd ..
  $ for options in '' --pull; do
  >   hg clone -qU $options repo $TESTTMP/local$options
  > done
  $ hg clone -qU http://localhost:$HGPORT $TESTTMP/v1
  $ hg clone -qU http://localhost:$HGPORT $TESTTMP/v2 --config extensions.wireprotov2=
  $ cd $TESTTMP
  $ hg clone -qU ssh://user@dummy/disk/repo ssh
  $ for clone in local local--pull v1 v2 ssh; do
  >   hg -R $clone verify -q && hg -R $clone log -r tip -T '{rev}:{desc}\n'
  > done
  4:number 5
  4:number 5
  4:number 5
  4:number 5
  4:number 5
  $ for page in shortlog raw-file/tip/grows rev/tip annotate/tip/grows archive/tip.zip; do
  >   get-with-headers.py --headeronly $LOCALIP:$HGPORT $page
  > done
  200 Script output follows
  200 Script output follows
  200 Script output follows
  200 Script output follows
  200 Script output follows

Commands that need a lock say why they fail

  $ cd disk/repo
  $ hg verify -q
  abort: could not lock repository $TESTTMP/disk/repo: Read-only file system
  [20]
  $ hg commit -m no
  abort: could not lock working directory of $TESTTMP/disk/repo: Read-only file system
  [20]

After a check of the disk, nothing is missing. (Of the mounted disk, in a copy:
something may still have it open.)

  $ cd $TESTTMP
  $ killdaemons.py
  $ cp image copy
  $ umount -l disk
  $ e2fsck -fy copy > /dev/null 2>&1
  [1]
  $ mkdir checked
  $ mount -o loop copy checked
  $ hg -R checked/repo verify -q
  $ hg -R checked/repo log -r tip -T '{rev}:{desc}\n'
  4:number 5
  $ umount -l checked
