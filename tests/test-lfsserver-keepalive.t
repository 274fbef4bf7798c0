#require serve no-chg
#testcases workers single

The server closes a kept-alive connection in the middle of an upload. The retry
delivers the whole content, and nothing is left of the first attempt.

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > lfs =
  > [lfs]
  > url = http://localhost:$HGPORT/.git/info/lfs
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
  $ cat > forceworker.py << EOF
  > from mercurial import worker
  > worker.worthwhile = lambda *args, **kwargs: True
  > EOF
  $ cat >> $HGRCPATH << EOF
  > [worker]
  > numcpus = 1
  > [extensions]
  > forceworker = $TESTTMP/forceworker.py
  > EOF
#endif

  $ serve() {
  >   hg --config extensions.lfsserver= --config lfs.usercache=$TESTTMP/servercache \
  >     --config extensions.forceworker=! -R server serve -d -p $HGPORT \
  >     --pid-file=hg.pid -A access.log -E errors.log "$@"
  >   cat hg.pid >> $DAEMON_PIDS
  > }
  $ check() {
  >   (cd server/.hg/store/lfs && find . -name '.upload-*' && cd objects &&
  >     for f in */*; do
  >       test `sha256sum $f | cut -c 1-64` = `echo $f | tr -d /` || echo $f is wrong
  >     done; ls */* | wc -l | tr -d ' ')
  > }

  $ hg init server
  $ hg init client
  $ cd client
  $ for n in 1 2 3 4; do
  >   "$PYTHON" -c "import random, sys; sys.stdout.buffer.write(random.Random($n).randbytes(3000000))" > $n
  > done
  $ hg commit -qAm large
  $ cd ..

Each connection is closed in the middle of its second upload.

  $ serve --config extensions.badserver=$RUNTESTDIR/testlib/badserverext.py \
  >   --config badserver.close-after-recv-patterns='PUT /.hg.*PUT /.hg,PUT /.hg.*PUT /.hg,PUT /.hg.*PUT /.hg' \
  >   --config badserver.close-after-recv-bytes=1000000,2500000,300000
  $ hg init target1
  $ hg -R client push target1 | grep lfs:
  lfs: uploaded 4 files (11.4 MB)
  $ check
  4
  $ grep -c 'read limit reached' errors.log
  2 (workers !)
  3 (single !)
  $ killdaemons.py

The server closes each connection instead of responding to its second upload.

  $ rm -r server servercache
  $ hg init server
  $ serve --config extensions.badserver=$RUNTESTDIR/testlib/badserverext.py \
  >   --config badserver.close-after-send-patterns='201 .*201 ,201 .*201 ,201 .*201 '
  $ hg init target2
  $ hg -R client push target2 | grep lfs:
  lfs: uploaded 4 files (11.4 MB)
  $ check
  4
  $ killdaemons.py

The client notices a truncated download, and the next attempt succeeds.

  $ serve --config extensions.badserver=$RUNTESTDIR/testlib/badserverext.py \
  >   --config badserver.close-after-send-patterns='octet-stream,octet-stream' \
  >   --config badserver.close-after-send-bytes=1000000,2500000
  $ rm -r usercache client/.hg/store/lfs
  $ hg clone -q -U client clone
  $ for attempt in 1 2 3; do hg -R clone update -q 2>> update.log || true; done
  $ test -s update.log
  $ for n in 1 2 3 4; do cmp client/$n clone/$n; done
