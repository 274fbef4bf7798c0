#require serve s3

Clone bundles in a bucket, which clients fetch at signed URLs

  $ . $TESTDIR/helpers/serve.sh
  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > wireprotov2 =
  > EOF
  $ stock() { hg --config extensions.wireprotov2=! "$@"; }
  $ "$PYTHON" -m moto.server -p $HGPORT1 > moto.log 2>&1 &
  $ echo $! >> $DAEMON_PIDS
  $ "$PYTHON" $TESTDIR/helpers/wait_for.py $HGPORT1
  $ cat > bucket.py << EOF
  > import sys, urllib.request, xml.etree.ElementTree as xml
  > url = 'http://localhost:$HGPORT1/bucket'
  > if sys.argv[1] == 'list':
  >     with urllib.request.urlopen(url) as answer:
  >         names = [e.text for e in xml.parse(answer).iter() if e.tag.endswith('}Key')]
  >     print(*sorted(name for name in names if 'bundles/' in name), sep='\n')
  > else:
  >     request = urllib.request.Request(url, method='PUT')
  >     urllib.request.urlopen(request).close()
  > EOF
  $ "$PYTHON" bucket.py create
  $ export AWS_ENDPOINT_URL=http://localhost:$HGPORT1 AWS_ALLOW_HTTP=true
  $ export AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=y AWS_REGION=us-east-1
  $ hg init repo
  $ for n in 0 1 2 3 4; do
  >   echo $n > repo/a
  >   hg -R repo commit -qAm $n -d "$n 0"
  > done
  $ hg -R repo phase --public tip
  $ cat >> repo/.hg/hgrc << EOF
  > [wireprotov2]
  > cacher = objectstore
  > cacher.objectstore.url = s3://bucket/repo
  > clonebundles = zstd-v2
  > EOF
  $ hg -R repo admin::wire-warm
  1 segments built, 0 were there already
  1 clone bundles made, 0 old ones removed
  $ "$PYTHON" bucket.py list
  repo/bundles/*-zstd-v2-*.hg (glob)
  $ grep -o 'X-Amz-[A-Z][a-z]*=' repo/.hg/clonebundles.manifest | sort
  X-Amz-Algorithm=
  X-Amz-Credential=
  X-Amz-Date=
  X-Amz-Expires=
  X-Amz-Signature=

  $ serve -R repo
  $ stock clone -U http://localhost:$HGPORT/ stock | sed 's/X-Amz.*//'
  applying clone bundle from http://localhost:$HGPORT1/bucket/repo/bundles/*-zstd-v2-*.hg? (glob)
  adding changesets
  adding manifests
  adding file changes
  added 5 changesets with 5 changes to 1 files
  finished applying clone bundle
  searching for changes
  no changes found
  5 local changesets published
  $ stock -R stock verify -q

A server that cannot store a bundle keeps the one it has

  $ kill `head -1 $DAEMON_PIDS`
  $ echo 5 > repo/a
  $ hg -R repo commit -qm 5 -d '5 0'
  $ cp repo/.hg/clonebundles.manifest before
  $ hg -R repo admin::wire-warm
  abort: object store: * (glob)
  [255]
  $ cmp before repo/.hg/clonebundles.manifest
