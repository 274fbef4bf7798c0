#require serve

The administrative commands: verification and garbage collection of blobs.

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > lfs =
  > lfsserver =
  > [lfs]
  > track = all()
  > url = null://
  > [experimental]
  > lfs.disableusercache = yes
  > [phases]
  > new-commit = secret
  > EOF

  $ hg init repo
  $ cd repo
  $ hg admin::lfs-verify
  0 blobs verified (0 bytes), 0 corrupt
  $ hg admin::lfs-gc
  0 unreferenced blobs (0 bytes)
  $ echo one > a
  $ hg ci -qAm one
  $ echo two > a
  $ echo more > b
  $ hg ci -qAm two
  $ hg up -q 0
  $ echo hidden > a
  $ hg ci -qm hidden
  $ cat >> .hg/hgrc << EOF
  > [experimental]
  > evolution = createmarkers
  > EOF
  $ hg debugobsolete `hg log -r tip -T '{node}'`
  1 new obsolescence markers
  obsoleted 1 changesets
  $ hg up -q 1

verify
------

  $ hg admin::lfs-verify
  4 blobs verified (20 bytes), 0 corrupt
  $ (cd .hg/store/lfs/objects && for f in */*; do echo $f; done)
  23/96099c6c084fa4b9beac9f0d52cf3be9cf8d47040ef127883d532b5790cd74
  27/dd8ed44a83ff94d557f9fd0412ed5a8cbca69ea04922d88c01184a07300a5a
  2c/8b08da5ce60398e1f19af0e5dccc744df274b826abe585eaba68c525434806
  e0/84a3683ef795d1cdbf5e9b253f2ca1f783ae0d0d6e47e419acbbc4fc80bbfa
  $ blob=.hg/store/lfs/objects/27/dd8ed44a83ff94d557f9fd0412ed5a8cbca69ea04922d88c01184a07300a5a
  $ cat $blob
  two
  $ cp $blob good
  $ cp -p $blob stamp

Damage is found even if the size and the modification time stay the same.

  $ chmod u+w $blob
  $ echo TWO > $blob
  $ touch -r stamp $blob
  $ hg admin::lfs-verify --dry-run
  27dd8ed44a83ff94d557f9fd0412ed5a8cbca69ea04922d88c01184a07300a5a is corrupt
  4 blobs verified (20 bytes), 1 corrupt
  [1]
  $ hg admin::lfs-verify -T json
  [
   {
    "oid": "27dd8ed44a83ff94d557f9fd0412ed5a8cbca69ea04922d88c01184a07300a5a",
    "quarantine": "$TESTTMP/repo/.hg/store/lfs/quarantine/27dd8ed44a83ff94d557f9fd0412ed5a8cbca69ea04922d88c01184a07300a5a",
    "size": 4
   }
  ]
  4 blobs verified (20 bytes), 1 corrupt
  [1]
  $ ls .hg/store/lfs/quarantine
  27dd8ed44a83ff94d557f9fd0412ed5a8cbca69ea04922d88c01184a07300a5a
  $ hg admin::lfs-verify -T '{oid}\n'
  3 blobs verified (16 bytes), 0 corrupt

A good copy can be put back.

  $ mv good $blob
  $ rm stamp
  $ hg admin::lfs-verify -q

usage
-----

  $ hg admin::lfs-usage
  4 blobs, 20 bytes; uploads in progress: 0 bytes
         4   20 bytes  ./
         4   20 bytes  up to a day old
  $ mkdir -p sub/deep
  $ echo deep > sub/deep/file
  $ hg ci -qAm deep
  $ touch -t 202001010000 .hg/store/lfs/objects/2c/8b08da5ce60398e1f19af0e5dccc744df274b826abe585eaba68c525434806
  $ hg admin::lfs-usage --depth 2 --config lfsserver.quota=50
  5 blobs, 25 bytes; uploads in progress: 0 bytes; 50% of the quota of 50 bytes
         4   20 bytes  ./
         1    5 bytes  sub/deep/
         4   21 bytes  up to a day old
         1    4 bytes  older
  $ hg admin::lfs-usage -T json
  [
   {
    "blobs": 5,
    "bytes": 25,
    "group": "total",
    "quota": 0,
    "uploads": 0
   },
   {
    "blobs": 4,
    "bytes": 20,
    "group": "folder",
    "name": "./"
   },
   {
    "blobs": 1,
    "bytes": 5,
    "group": "folder",
    "name": "sub/"
   },
   {
    "blobs": 4,
    "bytes": 21,
    "group": "age",
    "name": "up to a day old"
   },
   {
    "blobs": 1,
    "bytes": 4,
    "group": "age",
    "name": "older"
   }
  ]
  $ hg admin::lfs-usage --depth 0
  abort: --depth must be at least 1
  [10]
  $ hg --config extensions.strip= strip -q --no-backup tip
  $ rm .hg/store/lfs/objects/64/896f89*
  $ touch .hg/store/lfs/objects/*/*

gc
--

New blobs are kept, and so are those of hidden and secret changesets.

  $ echo nobody > .hg/store/lfs/objects/x
  $ put() {
  >   oid=`sha256sum $1 | cut -c 1-64`
  >   d=.hg/store/lfs/objects/`echo $oid | cut -c 1-2`
  >   mkdir -p $d
  >   cp $1 $d/`echo $oid | cut -c 3-`
  >   touch -t $2 $d/`echo $oid | cut -c 3-`
  > }
  $ echo old > ../old
  $ echo young > ../young
  $ put ../old 202001010000
  $ put ../young `date +%Y%m%d%H%M`
  $ find .hg/store/lfs/objects -type f ! -name x ! -newermt '1 day ago' | wc -l | tr -d ' '
  1
  $ hg admin::lfs-gc
  01d09d19c2139a46aebfb577780d123d7396e97201bc7ead210a2ebff8239dee            4
  1 unreferenced blobs (4 bytes)
  (use --delete to delete them)
  $ hg admin::lfs-gc --keep-days 0
  01d09d19c2139a46aebfb577780d123d7396e97201bc7ead210a2ebff8239dee            4
  2b3def7931a792d20cfa87583ac13ae533523577719a7320d2a04e73d38efcf0            6
  2 unreferenced blobs (10 bytes)
  (use --delete to delete them)
  $ hg admin::lfs-gc --keep-days 0 -T json
  [
   {
    "deleted": false,
    "oid": "01d09d19c2139a46aebfb577780d123d7396e97201bc7ead210a2ebff8239dee",
    "size": 4
   },
   {
    "deleted": false,
    "oid": "2b3def7931a792d20cfa87583ac13ae533523577719a7320d2a04e73d38efcf0",
    "size": 6
   }
  ]
  2 unreferenced blobs (10 bytes)
  (use --delete to delete them)

Nothing has been deleted so far.

  $ find .hg/store/lfs/objects -type f | wc -l | tr -d ' '
  7
  $ mkdir -p .hg/store/lfs/objects/00
  $ echo part > .hg/store/lfs/objects/00/.upload-left
  $ touch -t 202001010000 .hg/store/lfs/objects/00/.upload-left
  $ hg admin::lfs-gc --delete
  01d09d19c2139a46aebfb577780d123d7396e97201bc7ead210a2ebff8239dee            4
  deleted 1 blobs (4 bytes)
  removed 1 interrupted uploads
  $ hg admin::lfs-gc --delete --keep-days 0
  2b3def7931a792d20cfa87583ac13ae533523577719a7320d2a04e73d38efcf0            6
  deleted 1 blobs (6 bytes)
  $ hg admin::lfs-gc --delete --keep-days 0
  deleted 0 blobs (0 bytes)
  $ find .hg/store/lfs/objects -type f | wc -l | tr -d ' '
  5
  $ hg verify -q
  $ hg admin::lfs-gc --keep-days -1
  abort: --keep-days must not be negative
  [10]
  $ cd ..

Another repository uses the same store

  $ hg init other
  $ cd other
  $ echo other > a
  $ hg ci -qAm other
  $ cd ..
  $ cp -r other/.hg/store/lfs/objects/* repo/.hg/store/lfs/objects/
  $ hg -R repo admin::lfs-gc --keep-days 0 --also other
  0 unreferenced blobs (0 bytes)
  $ hg -R repo admin::lfs-gc --keep-days 0
  7e4fa2eb8c7ac089739d5defc4489fad68a100d92082ca35c6b40a4524821f87            6
  1 unreferenced blobs (6 bytes)
  (use --delete to delete them)

A repository that stores its files in SQLite

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > sqlitestore =
  > EOF
  $ hg init sqlite --config storage.new-repo-backend=sqlite
  $ cd sqlite
  $ echo sqlite > a
  $ hg ci -qAm sqlite
  $ put ../old 202001010000
  $ hg admin::lfs-gc --keep-days 0
  01d09d19c2139a46aebfb577780d123d7396e97201bc7ead210a2ebff8239dee            4
  1 unreferenced blobs (4 bytes)
  (use --delete to delete them)
  $ cd ..

Garbage collection beside pushes

  $ hg init beside
  $ cd beside
  $ cat >> .hg/hgrc << EOF
  > [web]
  > push_ssl = no
  > allow-push = *
  > EOF
  $ put ../old 202001010000
  $ oid=01d09d19c2139a46aebfb577780d123d7396e97201bc7ead210a2ebff8239dee
  $ hg admin::lfs-gc -q
  01d09d19c2139a46aebfb577780d123d7396e97201bc7ead210a2ebff8239dee            4

A client is told that it need not upload an old blob: the blob stays for a while.

  $ hg serve -d -p $HGPORT --pid-file=../hg.pid -A ../access.log -E ../errors.log
  $ cat ../hg.pid >> $DAEMON_PIDS
  $ "$PYTHON" - << EOF
  > import json, urllib.request
  > document = {'operation': 'upload', 'objects': [{'oid': '$oid', 'size': 4}]}
  > with urllib.request.urlopen(urllib.request.Request(
  >     'http://localhost:$HGPORT/.git/info/lfs/objects/batch',
  >     json.dumps(document).encode(),
  >     {'Content-Type': 'application/vnd.git-lfs+json'},
  > )) as response:
  >     print(json.load(response)['objects'][0].get('actions'))
  > EOF
  None
  $ killdaemons.py
  $ cat ../errors.log
  $ hg admin::lfs-gc
  0 unreferenced blobs (0 bytes)
  $ hg admin::lfs-gc --delete
  deleted 0 blobs (0 bytes)

A changeset that arrives while the command runs counts.

  $ cat > ../arrives.py << EOF
  > # Commit when the blobs of the store are listed.
  > import subprocess
  > from mercurial import extensions
  > from hgext3rd.lfsserver.stores import local
  > def walk(orig, self):
  >     found = list(orig(self))
  >     subprocess.check_call(['hg', 'commit', '-q', '-A', '-m', 'arrives'])
  >     return iter(found)
  > def extsetup(ui):
  >     extensions.wrapfunction(local.LocalStore, 'walk', walk)
  > EOF
  $ echo unreferenced > ../unreferenced
  $ put ../unreferenced 202001010000
  $ cp ../unreferenced a
  $ hg admin::lfs-gc --delete --keep-days 0 --config extensions.arrives=../arrives.py
  01d09d19c2139a46aebfb577780d123d7396e97201bc7ead210a2ebff8239dee            4
  deleted 1 blobs (4 bytes)
  $ hg verify -q

A blob that cannot be deleted

  $ cat > ../fails.py << EOF
  > from mercurial import extensions
  > from hgext3rd.lfsserver import errors
  > from hgext3rd.lfsserver.stores import local
  > def delete(orig, self, oid):
  >     raise errors.StoreUnavailable('the blob store failed', detail='no')
  > def extsetup(ui):
  >     extensions.wrapfunction(local.LocalStore, 'delete', delete)
  > EOF
  $ put ../old 202001010000
  $ hg admin::lfs-gc --delete --keep-days 0 --config extensions.fails=../fails.py
  01d09d19c2139a46aebfb577780d123d7396e97201bc7ead210a2ebff8239dee: the blob store failed: no
  deleted 0 blobs (0 bytes)
  1 blobs could not be deleted
  [1]
  $ cd ..

A store that cannot be used

  $ cp -r repo broken
  $ rm -r broken/.hg/store/lfs
  $ touch broken/.hg/store/lfs
  $ hg -R broken admin::lfs-gc
  abort: the blob store failed: [Errno 20] Not a directory: '$TESTTMP/broken/.hg/store/lfs/objects'
  (see lfsserver.store in 'hg help -e lfsserver')
  [255]
  $ hg -R repo admin::lfs-verify --config lfsserver.store=nonsense
  abort: the blob store cannot be opened: relative URL without a base
  (see lfsserver.store in 'hg help -e lfsserver')
  [255]

The help of the commands, and of the extension with its options
The help of the commands, and of the extension with its twelve options

  $ hg help admin::lfs-gc | head -n 3
  hg admin::lfs-gc [--delete] [--keep-days DAYS] [--also REPO]...
  
  aliases: admin::lfsgc
  $ hg help admin::lfs-verify | head -n 3
  hg admin::lfs-verify [-n]
  
  aliases: admin::lfsverify
  $ hg help -e lfsserver | grep -c '^"lfsserver\.'
  14

With the user cache of Mercurial's lfs, a deleted blob is gone

  $ cat >> $HGRCPATH << EOF
  > [lfs]
  > usercache = $TESTTMP/usercache
  > [experimental]
  > lfs.disableusercache = no
  > EOF
  $ hg init cached
  $ cd cached
  $ echo kept > a
  $ hg ci -qAm kept
  $ echo removed > b
  $ hg ci -qAm removed
  $ hg strip -q --config extensions.strip= --no-backup -r tip
  $ find . ../usercache -type f -links 2 | wc -l | tr -d ' '
  4
  $ hg admin::lfs-gc --delete --keep-days 0
  6b95743f7339e0aff16c1d1b9f453711ffcdc3fed9b6787af264f9601c4e2961            8
  deleted 1 blobs (8 bytes)
  $ find . ../usercache -type f -links 2 | wc -l | tr -d ' '
  2
  $ hg admin::lfs-gc --delete --keep-days 0
  deleted 0 blobs (0 bytes)
  $ hg verify -q
  $ cd ..
