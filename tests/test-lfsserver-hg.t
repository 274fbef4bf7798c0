#require serve no-chg
#testcases workers single

Core's lfs client with this server, from a first push to a server that has lost
its blobs. The repositories exchange changesets on disk; only blobs go through
the server.

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > lfs =
  > [lfs]
  > url = http://foo:bar@localhost:$HGPORT/.git/info/lfs
  > track = all()
  > usercache = $TESTTMP/usercache
  > [web]
  > push_ssl = no
  > allow-push = *
  > EOF
#if single
  $ cat >> $HGRCPATH << EOF
  > [experimental]
  > lfs.worker-enable = no
  > EOF
#else
  $ cat >> $HGRCPATH << EOF
  > [worker]
  > numcpus = 4
  > EOF
  $ cat > forceworker.py << EOF
  > from mercurial import worker
  > worker.worthwhile = lambda *args, **kwargs: True
  > EOF
  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > forceworker = $TESTTMP/forceworker.py
  > EOF
#endif

The server has a cache of its own. With the cache of the client, it would see
each blob that the client commits, and the client would never upload one.

  $ serve() {
  >   hg --config extensions.lfsserver= --config extensions.forceworker=! \
  >     --config lfs.usercache=$TESTTMP/servercache -R "$1" serve -d \
  >     -p $HGPORT --pid-file=$TESTTMP/hg.pid -A $TESTTMP/access.log \
  >     -E $TESTTMP/errors.log
  >   cat $TESTTMP/hg.pid >> $DAEMON_PIDS
  > }
  $ requests() {
  >   sed -e 's/.*"\([A-Z]* [^ ]*\) HTTP.*" \([0-9]*\) .*/\2 \1/' \
  >     -e 's/\([0-9a-f]\{8\}\)[0-9a-f]\{56\}/\1/' $TESTTMP/access.log | sort
  >   : > $TESTTMP/access.log
  > }
  $ fresh() {
  >   rm -rf $TESTTMP/usercache "$1/.hg/store/lfs"
  > }
  $ hg init server
  $ serve server

A push takes a blob from the user's cache if it is not in the store
-------------------------------------------------------------------

  $ hg init repo1
  $ cd repo1
  $ echo THIS-IS-LFS > a
  $ hg commit -m a -A a
  $ hg init ../repo2
  $ mv .hg/store/lfs .hg/store/lfs_
  $ hg push ../repo2 -v | grep ^lfs:
  lfs: uploading 31cf46fbc4ecd458a0943c5b4881f1f5a6dd36c53d6167d5b69ac45149b38e5b (12 bytes)
  lfs: processed: 31cf46fbc4ecd458a0943c5b4881f1f5a6dd36c53d6167d5b69ac45149b38e5b
  lfs: uploaded 1 files (12 bytes)
  $ mv .hg/store/lfs_ .hg/store/lfs
  $ requests
  200 POST /.git/info/lfs/objects/batch
  201 PUT /.hg/lfs/objects/31cf46fb

Update
------

  $ cd ../repo2
  $ fresh .
  $ hg update tip -v | grep lfs:
  lfs: downloading 31cf46fbc4ecd458a0943c5b4881f1f5a6dd36c53d6167d5b69ac45149b38e5b (12 bytes)
  lfs: adding 31cf46fbc4ecd458a0943c5b4881f1f5a6dd36c53d6167d5b69ac45149b38e5b to the usercache
  lfs: processed: 31cf46fbc4ecd458a0943c5b4881f1f5a6dd36c53d6167d5b69ac45149b38e5b
  lfs: downloaded 1 files (12 bytes)
  lfs: found 31cf46fbc4ecd458a0943c5b4881f1f5a6dd36c53d6167d5b69ac45149b38e5b in the local lfs store
  $ cat a
  THIS-IS-LFS

Blobs that the server has are not sent again
--------------------------------------------

  $ hg mv a b
  $ echo ANOTHER-LARGE-FILE > c
  $ echo ANOTHER-LARGE-FILE2 > d
  $ hg commit -m b-and-c -A b c d
  $ requests > /dev/null
  $ hg push ../repo1 | grep lfs:
  lfs: uploaded 2 files (39 bytes)
  $ requests
  200 POST /.git/info/lfs/objects/batch
  201 PUT /.hg/lfs/objects/37a65ab7
  201 PUT /.hg/lfs/objects/d11e1a64
  $ fresh ../repo1
  $ hg -R ../repo1 update tip | grep lfs:
  lfs: downloaded 3 files (51 bytes)
  $ requests
  200 GET /.hg/lfs/objects/31cf46fb
  200 GET /.hg/lfs/objects/37a65ab7
  200 GET /.hg/lfs/objects/d11e1a64
  200 POST /.git/info/lfs/objects/batch

The server does not send a corrupt blob
---------------------------------------

  $ blob=store/lfs/objects/d1/1e1a642b60813aee592094109b406089b8dff4cb157157f753418ec7857998
  $ cp ../server/.hg/$blob blob
  $ echo damage > ../server/.hg/$blob
  $ fresh ../repo1
  $ rm -f ../repo1/*
  $ hg -R ../repo1 update -C tip
  abort: LFS server error for "c": Validation error
  [50]
  $ test -f ../repo1/.hg/$blob
  [1]

A push from a client with a good copy repairs it.

  $ requests > /dev/null
  $ echo ANOTHER-LARGE-FILE > e
  $ hg commit -qAm e
  $ hg push ../repo1 | grep lfs:
  lfs: uploaded 1 files (19 bytes)
  $ cmp blob ../server/.hg/$blob
  $ rm blob
  $ requests
  200 POST /.git/info/lfs/objects/batch
  200 PUT /.hg/lfs/objects/d11e1a64

A client does not upload a corrupt blob
---------------------------------------

  $ echo 'another lfs blob' > b
  $ hg commit -m 'another blob'
  $ echo damage > .hg/store/lfs/objects/e6/59058e26b07b39d2a9c7145b3f99b41f797b6621c8076600e9cb7ee88291f0
  $ hg push ../repo1
  pushing to ../repo1
  searching for changes
  abort: detected corrupt lfs object: e659058e26b07b39d2a9c7145b3f99b41f797b6621c8076600e9cb7ee88291f0
  (run hg verify)
  [255]
  $ requests
  200 POST /.git/info/lfs/objects/batch
  $ hg rollback -q --config ui.rollback=yes
  $ hg update -qC 1

Archive, cat and revert fetch all blobs with one batch request
--------------------------------------------------------------

  $ fresh .
  $ hg archive -r 1 ../archive | grep lfs:
  lfs: downloaded 3 files (51 bytes)
  $ (cd ../archive && cat a b c d)
  THIS-IS-LFS
  THIS-IS-LFS
  ANOTHER-LARGE-FILE
  ANOTHER-LARGE-FILE2
  $ requests
  200 GET /.hg/lfs/objects/31cf46fb
  200 GET /.hg/lfs/objects/37a65ab7
  200 GET /.hg/lfs/objects/d11e1a64
  200 POST /.git/info/lfs/objects/batch
  $ fresh .
  $ hg cat -v -r 1 b c nonexistent 2>&1 | grep -v 'processed\|found\|cache\|downloading'
  lfs: need to transfer 2 objects (31 bytes)
  lfs: downloaded 2 files (31 bytes)
  THIS-IS-LFS
  ANOTHER-LARGE-FILE
  nonexistent: no such file in rev dfca2c9e2ef2
  $ requests
  200 GET /.hg/lfs/objects/31cf46fb
  200 GET /.hg/lfs/objects/d11e1a64
  200 POST /.git/info/lfs/objects/batch
  $ fresh .
  $ rm *
  $ hg revert --all -r 1
  lfs: downloaded 3 files (51 bytes)
  reverting a
  reverting b
  reverting c
  reverting d
  $ requests
  200 GET /.hg/lfs/objects/31cf46fb
  200 GET /.hg/lfs/objects/37a65ab7
  200 GET /.hg/lfs/objects/d11e1a64
  200 POST /.git/info/lfs/objects/batch

The server has never had a blob
-------------------------------

  $ echo FFFFF > b
  $ hg commit -qm b -A b
  $ echo FFFFF >> b
  $ hg commit -m b b
  $ fresh .
  $ hg update -C '.^'
  abort: LFS server error for "b": The object does not exist
  [50]
  $ cd ..

A server that has lost its blobs
--------------------------------

  $ killdaemons.py
  $ hg init server2
  $ rm -rf servercache
  $ serve server2
  $ fresh repo1
  $ hg -q clone repo1 lost
  abort: LFS server error for "b": The object does not exist
  [50]
  $ cat errors.log
