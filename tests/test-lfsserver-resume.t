#require serve git-lfs

git-lfs goes on with an interrupted upload where it stopped.

  $ hg init server
  $ cat >> server/.hg/hgrc << EOF
  > [extensions]
  > lfsserver =
  > [web]
  > push_ssl = no
  > allow-push = *
  > EOF
  $ serve() {
  >   hg -R server serve -d -p $HGPORT --pid-file=hg.pid -A access.log -E errors.log "$@"
  >   cat hg.pid >> $DAEMON_PIDS
  > }
  $ serve
  $ "$PYTHON" "$TESTDIR/helpers/cutting_proxy.py" $HGPORT1 $HGPORT proxy.log \
  >   0 1000 500000 1100000 2000000 >> $DAEMON_PIDS

  $ cat > $HOME/.gitconfig << EOF
  > [user]
  > name = test
  > email = test@example.org
  > [init]
  > defaultBranch = main
  > [lfs]
  > url = http://localhost:$HGPORT1/.git/info/lfs
  > tustransfers = true
  > locksverify = false
  > [lfs "transfer"]
  > maxretries = 1
  > EOF
  $ git init -q --bare remote.git
  $ git clone -q remote.git client 2> /dev/null
  $ cd client
  $ git lfs install --local > /dev/null
  $ git lfs track '*.bin' > /dev/null
  $ "$PYTHON" -c "import random, sys; sys.stdout.buffer.write(random.Random(1).randbytes(5000000))" > 1.bin
  $ git add . && git commit -q -m files

Each attempt is cut, and the server restarts between attempts.

  $ until git push -q origin main > ../push.log 2>&1; do
  >   killdaemons.py ../hg.pid
  >   (cd .. && serve)
  > done
  $ cat ../proxy.log
  PATCH from 0
  PATCH from 0
  PATCH from 1000
  PATCH from 501000
  PATCH from 1601000
  PATCH from 3601000
  $ (cd ../server/.hg/store/lfs && find objects -type f -size +0)
  objects/97/a0bb134e3fbb89be303bcc5369174fe725cc87525865b54a94943ad122eaa4
  $ sha256sum 1.bin
  97a0bb134e3fbb89be303bcc5369174fe725cc87525865b54a94943ad122eaa4  1.bin
  $ sed -e 's/.*"\([A-Z]* [^ ]*\) HTTP.*" \([0-9]*\) .*/\2 \1/' \
  >   -e 's/[0-9a-f]\{64\}/OID/' ../access.log | tail -n 4
  200 POST /.git/info/lfs/objects/batch
  200 HEAD /.hg/lfs/uploads/OID/5000000
  204 PATCH /.hg/lfs/uploads/OID/5000000
  200 POST /.hg/lfs/objects/OID/verify
  $ cat ../errors.log

An upload that does not fit into the quota

  $ echo '[lfsserver]' >> ../server/.hg/hgrc
  $ echo 'quota = 6000000' >> ../server/.hg/hgrc
  $ head -c 2000000 1.bin > 2.bin
  $ git add . && git commit -q -m second
  $ git push -q origin main 2>&1 | grep quota
  [416125a984faadb0c084ffb04d3497abef5c18696cb0070a4737b983594d5b91] the quota of 6000000 bytes of this repository is exceeded: [507] the quota of 6000000 bytes of this repository is exceeded
  $ git -c lfs.tustransfers=false push -q origin main 2>&1 | grep quota
  [416125a984faadb0c084ffb04d3497abef5c18696cb0070a4737b983594d5b91] the quota of 6000000 bytes of this repository is exceeded: [507] the quota of 6000000 bytes of this repository is exceeded
