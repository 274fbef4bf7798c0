Clone bundles for Mercurial without the extension

  $ . $TESTDIR/helpers/serve.sh
  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > wireprotov2 =
  > sqlitestore =
  > [storage]
  > new-repo-backend = sqlite
  > EOF
  $ hg init repo
  $ for name in a b c; do
  >   echo $name > repo/$name
  >   hg -R repo commit -qAm $name -u test -d '0 0'
  > done
  $ hg -R repo phase --public tip
  $ echo secret > repo/secret
  $ hg -R repo commit -qAm secret -u test -d '0 0' --config phases.new-commit=secret
  $ stock() {
  >   hg --config extensions.wireprotov2=! --config extensions.sqlitestore=! \
  >      --config storage.new-repo-backend=revlogv1 "$@"
  > }
  $ warm() { hg -R repo admin::wire-warm "$@"; }
  $ bundles() {
  >   sed -E 's/[0-9a-f]{16}[.]hg/X.hg/' repo/.hg/clonebundles.manifest
  > }

Without the option, there are none

  $ warm
  abort: there is no cache to fill
  (set wireprotov2.cacher to one that serving processes share, such as directory)
  [255]

Wrong specifications

  $ warm --config wireprotov2.clonebundles='zstd-v2 zippy-v2'
  config error: wireprotov2.clonebundles: zippy-v2: zippy compression is not supported
  (see 'hg help bundlespec')
  [30]
  $ warm --config wireprotov2.clonebundles=zstd-v9
  config error: wireprotov2.clonebundles: zstd-v9: v9 is not a recognized bundle version
  (see 'hg help bundlespec')
  [30]
  $ ls repo/.hg/clonebundles.manifest repo/.hg/bundle-cache 2> /dev/null
  [2]

Bundles beside the repository, which the server sends itself

  $ cat >> repo/.hg/hgrc << EOF
  > [wireprotov2]
  > clonebundles = streamv2 zstd-v2
  > EOF
  $ warm
  0 segments built, 0 were there already
  2 clone bundles made, 0 old ones removed
  $ bundles
  peer-bundle-cache://177f92b77385-streamv2-X.hg BUNDLESPEC=none-v2;stream=v2;requirements%3D*revlogv1%2Csparserevlog AMALGAM=1 (glob)
  peer-bundle-cache://177f92b77385-zstd-v2-X.hg BUNDLESPEC=zstd-v2 AMALGAM=1

Nothing changes while they are good enough

  $ warm -T '{bundlesmade} {bundlesremoved}\n'
  0 0

They hold what is public. Clients get no secret file out of a copy of the store,
and the copy is in revlogs.

  $ serve -R repo
  $ stock clone -U http://localhost:$HGPORT/ streamed
  applying clone bundle from peer-bundle-cache://177f92b77385-streamv2-*.hg (glob)
  9 files to transfer, * of data (glob)
  stream-cloned 9 files / * (glob)
  finished applying clone bundle
  searching for changes
  no changes found
  $ stock -R streamed log -T '{rev} {desc} {phase}\n'
  2 c public
  1 b public
  0 a public
  $ stock -R streamed verify -q
  $ find streamed/.hg | grep secret
  [1]
  $ grep -c sqlite streamed/.hg/requires streamed/.hg/store/requires
  streamed/.hg/requires:0
  streamed/.hg/store/requires:0
  [1]
  $ stock clone -U http://localhost:$HGPORT/ pulled \
  >   --config experimental.clonebundleprefers=COMPRESSION=zstd 2>&1 | head -1
  applying clone bundle from peer-bundle-cache://177f92b77385-*.hg (glob)

They also reach clients over ssh

  $ cat > ssh.sh << EOF
  > exec sh -c "\$2"
  > EOF
  $ stock clone -U ssh://user@dummy/repo overssh --config ui.ssh="sh $TESTTMP/ssh.sh" \
  >   2>&1 | head -1
  applying clone bundle from peer-bundle-cache://177f92b77385-streamv2-*.hg (glob)
  $ stock -R overssh verify -q

Mercurial 6.0 does not know bundles that the server sends itself

#if hg60
  $ env -u PYTHONPATH HGRCPATH= "$AMALGAM_HG60" clone -qU \
  >   http://localhost:$HGPORT/ sixzero
  $ env -u PYTHONPATH HGRCPATH= "$AMALGAM_HG60" -R sixzero log -r tip -T '{desc}\n'
  c
#endif

Mercurial's own extension does not get in the way

  $ killdaemons.py
  $ serve -R repo --config extensions.clonebundles=
  $ stock clone -qU http://localhost:$HGPORT/ both
  $ stock -R both log -r tip -T '{desc}\n'
  c

A history that has grown enough gets new bundles. Old ones stay for a day, since a
client may be reading them, and are then removed. Lines that were written by hand
stay where they are, unless they would make clones fail.

  $ sed -i '1i http://example.com/mine.hg BUNDLESPEC=gzip-v2' repo/.hg/clonebundles.manifest
  $ echo '# a comment' >> repo/.hg/clonebundles.manifest
  $ hg -R repo update -q 2
  $ echo d > repo/d
  $ hg -R repo commit -qAm d -u test -d '0 0'
  $ hg -R repo phase --public .
  $ warm -q
  warning: removing a line of $TESTTMP/repo/.hg/clonebundles.manifest that cannot be read: # a comment
  $ bundles
  http://example.com/mine.hg BUNDLESPEC=gzip-v2
  peer-bundle-cache://*-streamv2-X.hg BUNDLESPEC=none-v2;* AMALGAM=1 (glob)
  peer-bundle-cache://*-zstd-v2-X.hg BUNDLESPEC=zstd-v2 AMALGAM=1 (glob)
  $ ls repo/.hg/bundle-cache | sed 's/-.*//' | uniq -c
        2 055a42cdd887
        2 177f92b77385
  $ warm -T '{bundlesmade} {bundlesremoved}\n'
  0 0
  $ cat > later.py << EOF
  > import time
  > now = time.time
  > time.time = lambda: now() + 25 * 3600
  > EOF
  $ warm -T '{bundlesmade} {bundlesremoved}\n' --config extensions.later=later.py
  0 2
  $ ls repo/.hg/bundle-cache | sed 's/-.*//' | uniq -c
        2 055a42cdd887

A bundle that cannot be made leaves everything as it was

  $ cp repo/.hg/clonebundles.manifest before
  $ cat > full.py << EOF
  > import errno, os
  > from mercurial import commands
  > def bundle(*args, **opts):
  >     raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
  > commands.bundle = bundle
  > EOF
  $ echo e > repo/e
  $ hg -R repo commit -qAm e -u test -d '0 0'
  $ hg -R repo phase --public .
  $ warm --config extensions.full=full.py
  abort: cannot make the clone bundle streamv2: No space left on device
  (clients get the bundles that were there before)
  [255]
  $ diff before repo/.hg/clonebundles.manifest
  $ ls -A repo/.hg/bundle-cache | sed 's/-.*//' | uniq -c
        2 055a42cdd887

A changeset that is stripped takes the bundles with it

  $ warm -q
  $ hg -R repo strip -q --config extensions.strip= --no-backup tip
  $ warm -q
  $ bundles | cut -d- -f1,2,3,4
  http://example.com/mine.hg BUNDLESPEC=gzip-v2
  peer-bundle-cache://055a42cdd887-streamv2
  peer-bundle-cache://055a42cdd887-zstd

Without the option, the bundles go

  $ cat >> repo/.hg/hgrc << EOF
  > clonebundles =
  > EOF
  $ warm -q
  $ bundles
  http://example.com/mine.hg BUNDLESPEC=gzip-v2
  $ warm -q --config extensions.later=later.py
  $ ls -A repo/.hg/bundle-cache
  $ cat error.log
