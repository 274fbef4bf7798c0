#require obstore

Clone bundles in the object store of the cacher

  $ . $TESTDIR/helpers/serve.sh
  $ cat > small.py << EOF
  > from hgext3rd.wireprotov2.segments import cut
  > cut.LEAST_CHANGESETS = 2
  > EOF
  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > wireprotov2 =
  > small = $TESTTMP/small.py
  > EOF
  $ stock() { hg --config extensions.wireprotov2=! --config extensions.small=! "$@"; }
  $ mkdir store
  $ "$PYTHON" -m http.server --bind 127.0.0.1 --directory store $HGPORT1 > store.log 2>&1 &
  $ echo $! >> $DAEMON_PIDS
  $ "$PYTHON" $TESTDIR/helpers/wait_for.py $HGPORT1
  $ hg init repo
  $ for n in 0 1 2 3 4; do
  >   echo $n > repo/a
  >   hg -R repo commit -qAm $n -d "$n 0"
  > done
  $ hg -R repo phase --public tip
  $ cat >> repo/.hg/hgrc << EOF
  > [wireprotov2]
  > cacher = objectstore
  > cacher.objectstore.url = file://$TESTTMP/store
  > cacher.objectstore.public-url = http://127.0.0.1:$HGPORT1/
  > clonebundles = zstd-v2 gzip-v2
  > EOF
  $ hg -R repo admin::wire-warm
  2 segments built, 0 were there already
  2 clone bundles made, 0 old ones removed
  2 pull bundles made, 0 old ones removed
  $ sed -E 's/[0-9a-f]{16}[.]hg/X.hg/' repo/.hg/clonebundles.manifest
  http://$LOCALIP:$HGPORT1/bundles/*-zstd-v2-X.hg BUNDLESPEC=zstd-v2 AMALGAM=1 (glob)
  http://$LOCALIP:$HGPORT1/bundles/*-gzip-v2-X.hg BUNDLESPEC=gzip-v2 AMALGAM=1 (glob)
  $ ls repo/.hg/bundle-cache
  pull-gzip-v2-*.hg (glob)
  pull-zstd-v2-*.hg (glob)

Mercurial without the extension fetches them from there, also version 6.0

  $ serve -R repo
  $ stock clone -U http://localhost:$HGPORT/ stock
  applying clone bundle from http://$LOCALIP:$HGPORT1/bundles/*-zstd-v2-*.hg (glob)
  adding changesets
  adding manifests
  adding file changes
  added 5 changesets with 5 changes to 1 files
  finished applying clone bundle
  searching for changes
  no changes found
  5 local changesets published
  $ stock -R stock verify -q
#if hg60
  $ "$AMALGAM_HG60" --config extensions.wireprotov2=! --config extensions.small=! \
  >   clone -U http://localhost:$HGPORT/ sixzero | head -1
  applying clone bundle from http://$LOCALIP:$HGPORT1/bundles/*-zstd-v2-*.hg (glob)
  $ stock -R sixzero log -r tip -T '{desc} {phase}\n'
  4 public
#endif

A client with the extension takes segments

  $ hg clone -U http://localhost:$HGPORT/ ours
  fetching 5 changesets in 2 segments
  added 5 changesets with 5 changes to 1 files
  new changesets b4e73ffab476:28ecd7d79fab
  searching for changes
  no changes found

An object store that fails leaves the list as it was, and the clients unaffected

  $ cp repo/.hg/clonebundles.manifest before
  $ cat > broken.py << EOF
  > from hgext3rd.wireprotov2.cache import base, objectstore
  > def publish(self, name, path):
  >     raise base.CacherError('object store: no route to host')
  > objectstore.ObjectStoreCacher.publish = publish
  > EOF
  $ echo 5 > repo/a
  $ hg -R repo commit -qm 5 -d '5 0'
  $ hg -R repo phase --public tip
  $ hg -R repo admin::wire-warm --config extensions.broken=broken.py
  abort: cannot make the clone bundle zstd-v2: object store: no route to host
  (clients get the bundles that were there before)
  [255]
  $ diff before repo/.hg/clonebundles.manifest
  $ stock clone -qU http://localhost:$HGPORT/ meanwhile
  $ stock -R meanwhile log -r tip -T '{desc} {phase}\n'
  5 public

It works again later. Objects that were replaced, or that may have been left
incomplete, are removed after a day.

  $ hg -R repo admin::wire-warm -T '{bundlesmade} {bundlesremoved}\n'
  2 0
  $ ls store/bundles | wc -l | tr -d ' '
  4
  $ cat > later.py << EOF
  > import time
  > now = time.time
  > time.time = lambda: now() + 25 * 3600
  > EOF
  $ hg -R repo admin::wire-warm -T '{bundlesmade} {bundlesremoved}\n' \
  >   --config extensions.later=later.py
  0 2
  $ ls store/bundles | wc -l | tr -d ' '
  2

A censored revision leaves the bundles at once

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > censor =
  > [censor]
  > policy = ignore
  > EOF
  $ hg -R repo censor -q -r 0 repo/a
  $ hg -R repo admin::wire-warm -T '{bundlesmade} {bundlesremoved}\n'
  2 2
  $ cat error.log
