Pull bundles for Mercurial without the extension

  $ . $TESTDIR/helpers/serve.sh
  $ cat > small.py << EOF
  > from hgext3rd.wireprotov2.segments import cut
  > cut.LEAST_CHANGESETS = 4
  > EOF
  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > wireprotov2 =
  > EOF
  $ stock() { hg --config extensions.wireprotov2=! "$@"; }
  $ hg init repo
  $ for n in 0 1 2 3 4 5 6 7 8 9 10 11 12 13; do
  >   echo $n > repo/f
  >   hg -R repo commit -qAm $n -u test -d "$n 0"
  >   test $n != 6 || hg -R repo update -q 2
  > done
  $ hg -R repo phase --public -r 'all()'
  $ cat > repo/.hg/hgrc << EOF
  > [extensions]
  > small = $TESTTMP/small.py
  > [wireprotov2]
  > clonebundles = gzip-v2
  > EOF
  $ warm() { hg -R repo admin::wire-warm "$@"; }
  $ list() {
  >   sed -E 's/[0-9a-f]{32}[.]hg/X.hg/; s/([0-9a-f]{8})[0-9a-f]{32}/\1/g' \
  >     repo/.hg/pullbundles.manifest
  > }

Every closed segment but the last has one. Who pulls often lacks only a part of
the last

  $ warm
  0 segments built, 0 were there already
  1 clone bundles made, 0 old ones removed
  2 pull bundles made, 0 old ones removed
  $ list
  bundle-cache/pull-gzip-v2-X.hg BUNDLESPEC=gzip-v2 heads=44318a0e AMALGAM=1
  bundle-cache/pull-gzip-v2-X.hg BUNDLESPEC=gzip-v2 heads=b0afe4e0;4304e13b bases=de9f9623;44318a0e AMALGAM=1
  $ warm -T '{pullbundlesmade} {pullbundlesremoved}\n'
  0 0

Clients that lack a segment get its bundle, and then what is missing. The server
computes the rest only

  $ serve -R repo --debug --config extensions.blackbox= > /dev/null
  $ url=http://localhost:$HGPORT/
  $ hg init old
  $ hg -R old pull -q -r 1 repo
  $ cp -R old ours
  $ stock -R old pull $url
  pulling from http://localhost:$HGPORT/
  searching for changes
  adding changesets
  adding manifests
  adding file changes
  adding changesets
  adding manifests
  adding file changes
  adding changesets
  adding manifests
  adding file changes
  added 12 changesets with 12 changes to 3 files (+1 heads)
  new changesets de9f962357a7:45529180ad1f
  (run 'hg update' to get a working copy)
  $ stock -R old verify -q
  $ hg -R repo log -T '{node} {phase}\n' | sort > expected
  $ hg -R old log -T '{node} {phase}\n' | sort | diff expected -
  $ stock clone -q -U $url --config ui.clonebundles=no cloned
  $ hg -R cloned log -T '{node} {phase}\n' | sort | diff expected -
  $ stock -R cloned pull $url
  pulling from http://localhost:$HGPORT/
  searching for changes
  no changes found

The configuration may forbid it

  $ hg -R repo showconfig server.pullbundle
  True
  $ hg -R repo showconfig server.pullbundle --config server.pullbundle=no
  no

This one takes segments

  $ hg -R ours pull $url
  pulling from http://localhost:$HGPORT/
  fetching 14 changesets in 4 segments
  added 12 changesets with 12 changes to 1 files (+1 heads)
  new changesets de9f962357a7:45529180ad1f
  searching for changes
  no changes found
  (run 'hg heads' to see heads, 'hg merge' to merge)

A manifest that was edited by hand does not disturb clients; the next run repairs it

  $ sed -i '1d; 2s/heads=/heads=00/; $a one two' repo/.hg/pullbundles.manifest
  $ stock clone -q -U $url --config ui.clonebundles=no edited
  $ warm
  warning: removing a line of $TESTTMP/repo/.hg/pullbundles.manifest that cannot be read: one two
  0 segments built, 0 were there already
  $ list
  bundle-cache/pull-gzip-v2-X.hg BUNDLESPEC=gzip-v2 heads=44318a0e AMALGAM=1
  bundle-cache/pull-gzip-v2-X.hg BUNDLESPEC=gzip-v2 heads=b0afe4e0;4304e13b bases=de9f9623;44318a0e AMALGAM=1

Neither does a changeset that was stripped, or a file that is gone

  $ hg clone -q repo stripped --pull
  $ cp repo/.hg/hgrc stripped/.hg/hgrc
  $ hg -R stripped admin::wire-warm -q
  $ hg -R stripped strip -q --config extensions.strip= --no-backup -r 2
  $ stock clone -q -U ssh://user@dummy/stripped fromstripped \
  >   --config ui.ssh="\"$PYTHON\" \"$RUNTESTDIR/dummyssh\""
  $ stock -R fromstripped log -T '{desc} '
  13 12 11 10 9 8 7 6 5 4 3 2 1 0  (no-eol)
  $ rm repo/.hg/bundle-cache/pull-*
  $ stock clone -q -U $url --config ui.clonebundles=no gone
  $ warm
  0 segments built, 0 were there already
  2 pull bundles made, 0 old ones removed

Clients with limited access do not get any, neither do those with a part of the
files

  $ cat >> repo/.hg/hgrc << EOF
  > [extensions]
  > narrow =
  > EOF
  $ killdaemons.py
  $ serve -R repo
  $ stock clone -q -U $url narrow --config ui.clonebundles=no --narrow --include path:g \
  >   --config extensions.narrow=
  $ test ! -e narrow/.hg/store/data/f.i
  $ cat >> repo/.hg/hgrc << EOF
  > [narrowacl]
  > default.includes = g
  > EOF
  $ killdaemons.py
  $ serve -R repo
  $ stock clone -q -U $url limited --config ui.clonebundles=no \
  >   --config extensions.narrow= --narrow
  $ test ! -e limited/.hg/store/data/f.i
  $ sed -i '/narrow =/,$d' repo/.hg/hgrc
  $ killdaemons.py
  $ serve -R repo

A full disk

  $ cat > full.py << EOF
  > import errno, os
  > from mercurial import commands
  > def bundle(*args, **opts):
  >     raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
  > commands.bundle = bundle
  > EOF
  $ rm repo/.hg/bundle-cache/pull-*
  $ warm --config extensions.full=full.py
  abort: cannot make the pull bundle gzip-v2: No space left on device
  (clients get the bundles that were there before)
  [255]
  $ ls -A repo/.hg/bundle-cache | grep pull
  [1]
  $ stock clone -q -U $url --config ui.clonebundles=no full
  $ warm -q

Wrong specifications are told before anything is made; stream bundles cannot be
pulled

  $ warm --config wireprotov2.clonebundles='gzip-v2 nonsense'
  config error: wireprotov2.clonebundles: nonsense: nonsense is not a recognized bundle specification
  (see 'hg help bundlespec')
  [30]
  $ warm --config wireprotov2.clonebundles=streamv2
  0 segments built, 0 were there already
  1 clone bundles made, 0 old ones removed
  0 pull bundles made, 2 old ones removed
  $ ls repo/.hg/pullbundles.manifest
  ls: cannot access 'repo/.hg/pullbundles.manifest': No such file or directory
  [2]
  $ warm -q

Without the option, they go

  $ cat >> repo/.hg/hgrc << EOF
  > [wireprotov2]
  > clonebundles =
  > EOF
  $ warm
  0 segments built, 0 were there already
  0 pull bundles made, 2 old ones removed
  $ cat error.log
