#require serve

Round trips of large files with core's lfs client and with git-lfs: with one
served repository and several, with and without core's lfs on the server.

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > lfs =
  > [lfs]
  > track = all()
  > usercache = $TESTTMP/usercache
  > [ui]
  > large-file-limit = 1GB
  > [web]
  > push_ssl = no
  > allow-push = *
  > EOF

  $ serve() {
  >   hg --config extensions.lfsserver= \
  >     --config lfs.usercache=$TESTTMP/servercache serve -d -p $HGPORT \
  >     --pid-file=$TESTTMP/hg.pid -A access.log -E $TESTTMP/errors.log "$@" \
  >     || return
  >   cat $TESTTMP/hg.pid >> $DAEMON_PIDS
  > }

  $ big() {
  >   "$PYTHON" -c "
  > import hashlib, sys
  > block = b''.join(hashlib.sha256(b'%d' % i).digest() for i in range(32768))
  > with open(sys.argv[1], 'wb') as f:
  >     for i in range(100):
  >         f.write(b'%08d' % i + block[8:])
  > " $1
  > }

Push and clone
--------------

  $ hg init server
  $ serve -R server
  $ peak() {
  >   # in kB; 0 on systems other than Linux, so nothing is compared there
  >   awk '/VmHWM/ { n = $2 } END { print n + 0 }' \
  >     /proc/`cat $TESTTMP/hg.pid`/status 2> /dev/null || echo 0
  > }
  $ "$PYTHON" -c "
  > import urllib.request
  > print(urllib.request.urlopen('http://localhost:$HGPORT/info/lfs/locks').read())
  > "
  b'{"locks":[]}'
  $ before=`peak`
  $ hg init client
  $ cd client
  $ big big.bin
  $ echo small > small
  $ : > empty
  $ hg ci -qAm 'large files'
  $ hg push http://localhost:$HGPORT/
  pushing to http://localhost:$HGPORT/
  searching for changes
  lfs: uploaded 3 files (100 MB)
  remote: adding changesets
  remote: adding manifests
  remote: adding file changes
  remote: added 1 changesets with 3 changes to 3 files
  $ rm -r $TESTTMP/usercache
  $ cd ..
  $ hg clone -q http://localhost:$HGPORT/ clone
  $ cmp client/big.bin clone/big.bin
  $ cat clone/small
  small
  $ f --size clone/empty
  clone/empty: size=0

Eight concurrent clients get the whole file, and the memory of the server does
not grow with them.

  $ cat > eight.py << EOF
  > import hashlib, http.client, sys, threading
  > digests = []
  > def fetch():
  >     c = http.client.HTTPConnection('localhost', $HGPORT)
  >     c.request('GET', '/.hg/lfs/objects/' + sys.argv[1])
  >     r = c.getresponse()
  >     digest = hashlib.sha256()
  >     while data := r.read(1 << 20):
  >         digest.update(data)
  >     digests.append(digest.hexdigest())
  > threads = [threading.Thread(target=fetch) for n in range(8)]
  > for t in threads: t.start()
  > for t in threads: t.join()
  > print(digests.count(sys.argv[1]))
  > EOF
  $ "$PYTHON" eight.py `sha256sum clone/big.bin | cut -c 1-64`
  8
  $ after=`peak`
  $ test $after -lt `expr $before + 16384` || echo "$before kB grew to $after kB"

The blobs are in core's place and in the cache of the server. There are no other
files.

  $ (cd server/.hg/store/lfs && find . -type f | sort)
  ./locks.sqlite
  ./objects/4c/47b3e816fbe7d40cef9f665ba8f0be1ae68b5e8e7ed70f5b6bab7f70528e8f
  ./objects/70/37d1b5ee4253b46acc6a4c2344101d1e8395e433d25122759f48b7d72ddaf5
  ./objects/e3/b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
  $ (cd servercache && find . -type f | sort)
  ./4c/47b3e816fbe7d40cef9f665ba8f0be1ae68b5e8e7ed70f5b6bab7f70528e8f
  ./70/37d1b5ee4253b46acc6a4c2344101d1e8395e433d25122759f48b7d72ddaf5
  ./e3/b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
  $ cat errors.log

A server of several repositories
--------------------------------

  $ killdaemons.py
  $ cat > web.conf << EOF
  > [paths]
  > team/one = server
  > other = clone
  > EOF
  $ serve --web-conf web.conf
  $ rm -rf usercache clone/.hg/store/lfs
  $ hg clone -q -U http://localhost:$HGPORT/team/one again
  $ hg -R again update
  lfs: downloaded 3 files (100 MB)
  3 files updated, 0 files merged, 0 files removed, 0 files unresolved
  $ cmp client/big.bin again/big.bin
  $ cat errors.log

git-lfs, on a server without core's extension
---------------------------------------------

#if git-lfs
  $ killdaemons.py
  $ hg init plain
  $ hg --config extensions.lfs=! --config extensions.lfsserver= -R plain \
  >   serve -d -p $HGPORT --pid-file=hg.pid -A access.log -E errors.log
  $ cat hg.pid >> $DAEMON_PIDS

  $ git init -q --bare remote.git
  $ git init -q work
  $ cd work
  $ git lfs install --local > /dev/null
  $ git config lfs.url http://localhost:$HGPORT/.git/info/lfs
  $ git lfs track '*.bin' > /dev/null
  $ cp ../client/big.bin .
  $ echo small > small.bin
  $ : > empty.bin
  $ git add . && git commit -q -m files
  $ git remote add origin ../remote.git
  $ git lfs push --all origin 2>&1 | tail -n 1
  Uploading LFS objects: 100% (2/2), 105 MB | *, done. (glob)
  $ git push -q origin HEAD:main > /dev/null 2>&1
  $ cd ..
  $ (cd plain/.hg/store/lfs && find . -type f | sort)
  ./locks.sqlite
  ./objects/4c/47b3e816fbe7d40cef9f665ba8f0be1ae68b5e8e7ed70f5b6bab7f70528e8f
  ./objects/70/37d1b5ee4253b46acc6a4c2344101d1e8395e433d25122759f48b7d72ddaf5

The other address of the API

  $ GIT_LFS_SKIP_SMUDGE=1 git clone -q -b main remote.git fetched
  $ cd fetched
  $ git lfs install --local > /dev/null
  $ git config lfs.url http://localhost:$HGPORT/info/lfs
  $ git lfs fetch 2>&1 | tail -n 1
  fetch: Fetching reference refs/heads/main
  $ git lfs checkout > /dev/null 2>&1

git-lfs has no object for the empty file, and sometimes calls that corrupt

  $ git lfs fsck > fsck.log || true
  $ grep -v -e 'Git LFS fsck OK' -e empty.bin -e 'moving corrupt' fsck.log
  [1]
  $ cmp big.bin ../client/big.bin
  $ cat small.bin
  small
  $ cd ..
  $ cat errors.log
#endif
