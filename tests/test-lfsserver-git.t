#require serve git-lfs

git-lfs as the client of a server that authenticates its users.

  $ hg init server
  $ cat >> server/.hg/hgrc << EOF
  > [extensions]
  > blackbox =
  > lfsserver =
  > basic_auth = $TESTDIR/helpers/basic_auth.py
  > [web]
  > push_ssl = no
  > allow-push = alice, bob
  > [blackbox]
  > track = lfsserver
  > EOF
  $ hg -R server serve -d -p $HGPORT --pid-file=hg.pid -A access.log -E errors.log
  $ cat hg.pid >> $DAEMON_PIDS
  $ requests() {
  >   sed -e 's/.*"\([A-Z]* [^ ]*\) HTTP.*" \([0-9]*\) .*/\2 \1/' \
  >     -e 's/\([0-9a-f]\{8\}\)[0-9a-f]\{24,56\}/\1/' \
  >     -e 's/cursor=&limit=[0-9]*//' $TESTTMP/access.log | sort | uniq -c \
  >     | sed 's/^ *//'
  >   : > $TESTTMP/access.log
  > }

  $ cat > $HOME/.gitconfig << EOF
  > [user]
  > name = test
  > email = test@example.org
  > [init]
  > defaultBranch = main
  > [lfs]
  > concurrenttransfers = 4
  > [advice]
  > detachedHead = false
  > EOF
  $ GIT_TERMINAL_PROMPT=0; export GIT_TERMINAL_PROMPT
  $ setup() {
  >   git lfs install --local > /dev/null
  >   git config lfs.url http://$1:secret@localhost:$HGPORT/.git/info/lfs
  >   git config lfs.locksverify true
  > }
  $ git init -q --bare remote.git
  $ git clone -q remote.git alice 2> /dev/null
  $ cd alice
  $ setup alice

Push, after a verification of the locks
---------------------------------------

  $ git lfs track --lockable '*.bin' > /dev/null
  $ for n in 1 2 3 4 5 6; do
  >   "$PYTHON" -c "import random, sys; sys.stdout.buffer.write(random.Random($n).randbytes(300000))" > $n.bin
  > done
  $ git add . && git commit -q -m files
  $ git push -q -u origin main > ../push.log 2>&1
  $ requests
  1 200 POST /.git/info/lfs/locks/verify
  1 200 POST /.git/info/lfs/objects/batch
  1 200 POST /.hg/lfs/objects/0251f7bb/verify
  1 200 POST /.hg/lfs/objects/3cae9024/verify
  1 200 POST /.hg/lfs/objects/46fe143a/verify
  1 200 POST /.hg/lfs/objects/6edf9053/verify
  1 200 POST /.hg/lfs/objects/a6d83601/verify
  1 200 POST /.hg/lfs/objects/edf69602/verify
  1 201 PUT /.hg/lfs/objects/0251f7bb
  1 201 PUT /.hg/lfs/objects/3cae9024
  1 201 PUT /.hg/lfs/objects/46fe143a
  1 201 PUT /.hg/lfs/objects/6edf9053
  1 201 PUT /.hg/lfs/objects/a6d83601
  1 201 PUT /.hg/lfs/objects/edf69602
  $ (cd ../server/.hg/store/lfs && find . -type f ! -name "locks.sqlite*" | wc -l | tr -d ' ')
  6

A second push sends nothing.

  $ git lfs push --all origin > /dev/null
  $ requests
  1 200 POST /.git/info/lfs/locks/verify
  1 200 POST /.git/info/lfs/objects/batch

Fetch and checkout
------------------

  $ cd ..
  $ GIT_LFS_SKIP_SMUDGE=1 git clone -q remote.git bob
  $ cd bob
  $ setup bob
  $ git lfs fetch > /dev/null 2>&1
  $ requests
  1 200 GET /.hg/lfs/objects/0251f7bb
  1 200 GET /.hg/lfs/objects/3cae9024
  1 200 GET /.hg/lfs/objects/46fe143a
  1 200 GET /.hg/lfs/objects/6edf9053
  1 200 GET /.hg/lfs/objects/a6d83601
  1 200 GET /.hg/lfs/objects/edf69602
  1 200 POST /.git/info/lfs/objects/batch
  $ git lfs checkout > /dev/null 2>&1
  $ git lfs fsck
  Git LFS fsck OK
  $ cmp 3.bin ../alice/3.bin

An interrupted download is continued
------------------------------------

  $ oid=`sha256sum 3.bin | cut -c 1-64`
  $ rm -r .git/lfs/objects .git/lfs/incomplete
  $ mkdir -p .git/lfs/incomplete
  $ dd if=../alice/3.bin of=.git/lfs/incomplete/$oid.part bs=1000 count=200 2> /dev/null
  $ GIT_CURL_VERBOSE=1 git lfs fetch -I 3.bin 2>&1 | tr -d '\r' \
  >   | sed -n -e 's/^[<>] \(Range.*\)/\1/p' -e 's/^[<>] \(Content-Range.*\)/\1/p'
  Range: bytes=200000-299999
  Content-Range: bytes 200000-299999/300000
  $ rm 3.bin
  $ git lfs checkout 3.bin > /dev/null 2>&1
  $ cmp 3.bin ../alice/3.bin
  $ requests
  1 200 POST /.git/info/lfs/objects/batch
  1 206 GET /.hg/lfs/objects/edf69602

The server closes the connection in the middle: git-lfs tries again.

  $ killdaemons.py
  $ hg -R ../server serve -d -p $HGPORT --pid-file=../hg.pid -A ../access.log \
  >   -E ../errors.log --config extensions.badserver=$RUNTESTDIR/testlib/badserverext.py \
  >   --config badserver.close-after-send-patterns=octet-stream \
  >   --config badserver.close-after-send-bytes=100000
  $ cat ../hg.pid >> $DAEMON_PIDS
  $ rm -r .git/lfs/objects
  $ git -c lfs.concurrenttransfers=1 lfs fetch -I 3.bin > /dev/null 2>&1
  $ git lfs checkout 3.bin > /dev/null 2>&1
  $ cmp 3.bin ../alice/3.bin
  $ requests
  2 200 GET /.hg/lfs/objects/edf69602
  2 200 POST /.git/info/lfs/objects/batch
  $ killdaemons.py
  $ : > ../errors.log
  $ hg -R ../server serve -d -p $HGPORT --pid-file=../hg.pid -A ../access.log -E ../errors.log
  $ cat ../hg.pid >> $DAEMON_PIDS

Locks
-----

  $ cd ../alice
  $ git lfs lock 1.bin
  Locked 1.bin
  $ git lfs lock 2.bin
  Locked 2.bin
  $ git lfs locks | sed 's/ID:.*/ID/'
  1.bin	alice	ID
  2.bin	alice	ID
  $ git lfs locks --path 2.bin | wc -l | tr -d ' '
  1
  $ git lfs locks --limit 1 | wc -l | tr -d ' '
  1
  $ cd ../bob
  $ git lfs lock 1.bin
  Locking 1.bin failed: 1.bin is already locked by alice
  [2]
  $ git lfs unlock 1.bin
  the lock belongs to alice; deleting it requires force
  [2]
  $ git lfs locks --verify | sed 's/ID:.*/ID/'
    1.bin	alice	ID
    2.bin	alice	ID

git-lfs refuses to push a change of a file that another user has locked.

  $ chmod u+w 1.bin 3.bin
  $ echo changed > 1.bin
  $ git commit -q -a -m 'change a locked file'
  $ git push -q origin main 2>&1 | grep -v '^error: failed to push\|credential'
  Unable to push locked files:
  * 1.bin - alice (refs: main)
  Cannot update locked files.
  $ git reset -q --hard HEAD^
  $ echo changed > 3.bin
  $ git commit -q -a -m 'change a free file'
  $ git push -q origin main > /dev/null 2>&1

Locks survive a restart of the server, and another user can take them over.

  $ killdaemons.py
  $ hg -R ../server serve -d -p $HGPORT --pid-file=../hg.pid -A ../access.log -E ../errors.log
  $ cat ../hg.pid >> $DAEMON_PIDS
  $ git lfs unlock --force 1.bin
  Unlocked 1.bin
  $ git lfs lock 1.bin
  Locked 1.bin
  $ cd ../alice
  $ git lfs unlock 2.bin
  Unlocked 2.bin
  $ git lfs locks --verify | sed 's/ID:.*/ID/'
    1.bin	bob	ID
  $ requests > /dev/null

Prune removes local copies of blobs that the server has
-------------------------------------------------------

  $ git pull -q
  $ git rm -q 5.bin && git commit -q -m remove
  $ git push -q origin main > /dev/null 2>&1
  $ requests > /dev/null
  $ git -c lfs.fetchrecentrefsdays=0 -c lfs.fetchrecentcommitsdays=0 \
  >   -c lfs.pruneoffsetdays=0 lfs prune --verify-remote 2>&1 | tr '\r' '\n' | tail -n 1
  prune: Deleting objects: 100% (2/2), done.
  $ requests
  1 200 POST /.git/info/lfs/objects/batch
  $ git lfs fsck
  Git LFS fsck OK
  $ git lfs fetch --all > /dev/null 2>&1
  $ requests
  1 200 GET /.hg/lfs/objects/a6d83601
  1 200 GET /.hg/lfs/objects/edf69602
  1 200 POST /.git/info/lfs/objects/batch

A user without credentials, and one without permission
------------------------------------------------------

  $ git config lfs.url http://localhost:$HGPORT/.git/info/lfs
  $ git lfs lock 4.bin 2>&1 | grep -v credential
  fatal: could not read Username for 'http://localhost:$HGPORT': terminal prompts disabled
  $ git config lfs.url http://eve:secret@localhost:$HGPORT/.git/info/lfs
  $ git lfs lock 4.bin
  warning: current Git remote contains credentials
  Locking 4.bin failed: push not authorized
  [2]
  $ cat ../errors.log

The blackbox of the server has recorded the requests.

  $ hg -R ../server blackbox -l 1000 | sed -e 's/.*> //' \
  >   -e 's/\([0-9a-f]\{8\}\)[0-9a-f]\{56\}/\1/' \
  >   -e 's,locks/[0-9a-f]\{32\},locks/ID,' | grep -e lock -e edf69602
  received edf69602
  sending edf69602 (300000 bytes)
  sending edf69602 (100000 bytes)
  sending edf69602 (300000 bytes)
  sending edf69602 (300000 bytes)
  locked 1.bin for alice
  locked 2.bin for alice
  POST .git/info/lfs/locks/ID/unlock: 403 the lock belongs to alice; deleting it requires force
  unlocked 1.bin of alice
  locked 1.bin for bob
  unlocked 2.bin of alice
  sending edf69602 (300000 bytes)
  POST .git/info/lfs/locks: 401 push not authorized
  POST .git/info/lfs/locks: 403 push not authorized
