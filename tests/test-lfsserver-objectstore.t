#require serve s3

Blobs in an object store. Clients transfer them directly or through the server.

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > lfs =
  > [lfs]
  > track = all()
  > usercache = $TESTTMP/usercache
  > [web]
  > push_ssl = no
  > allow-push = *
  > [lfsserver]
  > store = s3://bucket/repo
  > store:endpoint = http://localhost:$HGPORT1
  > store:region = us-east-1
  > store:access_key_id = x
  > store:secret_access_key = y
  > EOF
  $ "$PYTHON" -m moto.server -p $HGPORT1 > moto.log 2>&1 &
  $ echo $! >> $DAEMON_PIDS
  $ cat > s3.py << EOF
  > import sys, time, urllib.request, xml.etree.ElementTree as xml
  > if sys.argv[1] == 'create':
  >     while True:
  >         try:
  >             urllib.request.urlopen(urllib.request.Request(
  >                 'http://localhost:$HGPORT1/bucket', method='PUT',
  >                 headers={'x-amz-acl': 'public-read'})).close()
  >             break
  >         except OSError:
  >             time.sleep(0.2)
  > else:
  >     with urllib.request.urlopen('http://localhost:$HGPORT1/bucket') as r:
  >         for e in xml.parse(r).iter():
  >             if e.tag.endswith('}Key'):
  >                 print(e.text.replace(e.text[-50:], '...'))
  > EOF
  $ "$PYTHON" s3.py create
  $ serve() {
  >   hg --config extensions.lfsserver= -R server serve -d -p $HGPORT \
  >     --pid-file=hg.pid -A access.log -E errors.log "$@"
  >   cat hg.pid >> $DAEMON_PIDS
  > }
  $ requests() {
  >   sed -n -e 's/.*"\([A-Z]* [^ ]*lfs[^ ]*\) HTTP.*" \([0-9]*\) .*/\2 \1/' \
  >     -e 's/\([0-9a-f]\{8\}\)[0-9a-f]\{56\}/\1/p' access.log | sort
  >   : > access.log
  > }
  $ hg init server
  $ serve

Signed links: no content passes through the server
--------------------------------------------------

  $ hg init client
  $ cd client
  $ echo one > a
  $ "$PYTHON" -c "import random, sys; sys.stdout.buffer.write(random.Random(1).randbytes(9000000))" > b
  $ hg ci -qAm first
  $ hg push -q http://localhost:$HGPORT/
  $ cd ..
  $ "$PYTHON" s3.py list
  repo/incoming/2c8b08da5ce603...
  repo/incoming/a6415c2257d691...
  $ rm -r usercache
  $ hg clone -q http://localhost:$HGPORT/ clone
  $ cmp client/b clone/b
  $ requests

Mercurial's client does not verify its uploads. They became blobs when they were
first requested. git-lfs verifies them.

  $ "$PYTHON" s3.py list
  repo/objects/2c/8b08da5ce603...
  repo/objects/a6/415c2257d691...
#if git-lfs
  $ git init -q work
  $ cd work
  $ git config user.name test && git config user.email test
  $ git lfs install --local > /dev/null
  $ git config lfs.url http://localhost:$HGPORT/info/lfs
  $ git config lfs.locksverify false
  $ git lfs track '*.bin' > /dev/null
  $ "$PYTHON" -c "import random, sys; sys.stdout.buffer.write(random.Random(2).randbytes(9000000))" > c.bin
  $ git add . && git commit -q -m c
  $ git init -q --bare ../remote.git
  $ git remote add origin ../remote.git
  $ git lfs push --all origin > /dev/null
  $ rm -r .git/lfs/objects
  $ git lfs fetch > /dev/null 2>&1
  $ git lfs fsck
  Git LFS fsck OK
  $ cd ..
  $ requests
  200 POST /.hg/lfs/objects/0abc68d9/verify
  $ "$PYTHON" s3.py list
  repo/objects/0a/bc68d99a6c26...
  repo/objects/2c/8b08da5ce603...
  repo/objects/a6/415c2257d691...
#endif

Without signed links, all content passes through the server
-----------------------------------------------------------

  $ killdaemons.py hg.pid
  $ serve --config lfsserver.signed-links=no
  $ cd client
  $ "$PYTHON" -c "import random, sys; sys.stdout.buffer.write(random.Random(3).randbytes(9000000))" > b
  $ hg ci -qm second
  $ hg push -q http://localhost:$HGPORT/
  $ cd ../clone
  $ rm -r ../usercache
  $ hg pull -qu
  $ cmp b ../client/b
  $ cd ..
  $ requests
  200 GET /.hg/lfs/objects/cad6eb81
  201 PUT /.hg/lfs/objects/cad6eb81
  $ find server/.hg/store/lfs -type f
  find: 'server/.hg/store/lfs': No such file or directory
  [1]

The administrative commands work as with a local store
------------------------------------------------------

Only git-lfs has uploaded a blob that no changeset refers to.

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > lfsserver =
  > EOF
  $ cd server
  $ hg admin::lfs-verify
  4 blobs verified (25.7 MB), 0 corrupt (git-lfs !)
  3 blobs verified (17.2 MB), 0 corrupt (no-git-lfs !)
  $ hg admin::lfs-gc --keep-days 0 | cut -c 1-8
  0abc68d9 (git-lfs !)
  1 unrefe (git-lfs !)
  (use --d (git-lfs !)
  0 unrefe (no-git-lfs !)
  $ hg strip -q --config extensions.strip= --no-backup 1
  $ hg admin::lfs-gc --keep-days 0 --delete | cut -c 1-8
  0abc68d9 (git-lfs !)
  cad6eb81
  deleted 
  $ hg admin::lfs-gc --keep-days 0 --delete
  deleted 0 blobs (0 bytes)
  $ cd ..
  $ cat errors.log
