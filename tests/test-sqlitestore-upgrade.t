hg debugupgraderepo changes the formats of changelog and manifests. The database
stays the same file.

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > share =
  > sqlitestore =
  > [storage]
  > new-repo-backend = sqlite
  > dirstate-v2.slow-path = allow
  > [format]
  > use-share-safe = no
  > revlog-compression = zlib
  > EOF
  $ cat > identity.py << EOF
  > import os, sys
  > print(os.stat(sys.argv[1] + '/.hg/store/history.sqlite').st_ino)
  > EOF
  $ cat > integrity.py << EOF
  > import sqlite3, sys
  > db = sqlite3.connect(sys.argv[1])
  > print(*db.execute('PRAGMA integrity_check').fetchone())
  > print(*db.execute('SELECT count(*) FROM path').fetchone(), 'paths')
  > EOF

  $ hg init repo
  $ cd repo
  $ echo a > a
  $ echo b > b
  $ hg ci -Aqm 0
  $ hg cp a c
  $ echo a >> a
  $ hg ci -qm 1
  $ "$PYTHON" ../identity.py . > ../before

The list of changes shows that the requirements of the database are preserved

  $ hg debugupgraderepo -q --config format.use-share-safe=yes
  requirements
     preserved: * sqlitestore-compression=zstd, sqlitestore-v3, store (glob)
     added: share-safe
  
  no revlogs to process
  
  $ hg debugupgraderepo --config storage.new-repo-backend=revlogv1 \
  >   --config format.revlog-compression=zstd | grep -v '^$' | head -7
  note:    selecting all-filelogs for processing to change: compression
  note:    selecting all-manifestlogs for processing to change: compression
  note:    selecting changelog for processing to change: compression
  (files and manifests are in SQLite and stay as they are)
  repository lacks features used by the default config options:
  share-safe
     old shared repositories do not share source repository requirements and config. This leads to various problems when the source repository format is upgraded or some new extensions are enabled.

Changes that affect neither changelog nor manifests

  $ cat >> $HGRCPATH << EOF
  > [format]
  > use-share-safe = yes
  > use-dirstate-v2 = yes
  > EOF
  $ hg debugupgraderepo -q --run --no-backup
  upgrade will perform the following actions:
  
  requirements
     preserved: * sqlitestore-compression=zstd, sqlitestore-v3, store (glob)
     added: dirstate-v2, share-safe
  
  no revlogs to process
  
  repository upgraded to share safe mode, existing shares will still work in old non-safe mode. Re-share existing shares to use them in safe mode New shares will be created in safe mode.
  $ hg debugrequirements | egrep 'sqlite|safe|state'
  dirstate-v2
  share-safe
  sqlitestore-compression=zstd
  sqlitestore-v3
  $ "$PYTHON" ../identity.py . | cmp - ../before
  $ hg verify -q

Changes that affect them, while another process has the database open

  $ cat > ../holder.py << EOF
  > import sqlite3, sys
  > db = sqlite3.connect('.hg/store/history.sqlite')
  > def paths():
  >     return db.execute('SELECT count(*) FROM path').fetchone()[0]
  > print('before:', paths(), flush=True)
  > open('../held', 'w').close()
  > sys.stdin.readline()
  > print('after:', paths(), flush=True)
  > EOF
  $ (while [ ! -e ../upgraded ]; do sleep 0.1; done; echo) \
  >   | "$PYTHON" ../holder.py > ../holder.log &
  $ $RUNTESTDIR/testlib/wait-on-file 600 ../held
  $ hg debugupgraderepo --run --config format.revlog-compression=zstd \
  >   > ../log 2>&1
  $ egrep '^migrating 8|copying|backed up' ../log
  migrating 8 total revisions (4 in filelogs, 2 in manifests, 2 in changelog)
  copying phaseroots
  copying requires
  replaced files will be backed up at $TESTTMP/repo/.hg/upgradebackup.* (glob)
  copy of old repository backed up at $TESTTMP/repo/.hg/upgradebackup.* (glob)
  $ "$PYTHON" ../identity.py . | cmp - ../before
  $ echo d > d
  $ hg ci -Aqm 2
  $ touch ../upgraded; wait
  $ cat ../holder.log
  before: 4
  after: 5
  $ hg verify -q
  $ hg cat -r 1 a c
  a
  a
  a
  $ hg debugrequirements | grep compression
  revlog-compression-zstd
  sqlitestore-compression=zstd

The backup is an independent repository without later changes

  $ mkdir ../backup
  $ cp -R .hg/upgradebackup.*/ ../backup/.hg
  $ ls ../backup/.hg/store | grep sqlite
  history.sqlite
  $ "$PYTHON" ../integrity.py ../backup/.hg/store/history.sqlite
  ok
  4 paths
  $ grep -v upgradeinprogress ../backup/.hg/store/requires > ../requires
  $ mv ../requires ../backup/.hg/store/requires
  $ hg -R ../backup verify -q
  $ hg -R ../backup log -T '{rev} {files}\n'
  1 a c
  0 a b
  $ rm -rf .hg/upgradebackup.*

Upgrade without a backup, and with new deltas of manifests

  $ hg debugupgraderepo -q --run --no-backup --optimize re-delta-all \
  >   --config format.revlog-compression=zlib | grep -A9 optim
  optimisations: re-delta-all
  
  processed revlogs:
    - changelog
  
  $ ls .hg .hg/store | egrep 'upgrade|sqlite'
  history.sqlite
  $ "$PYTHON" ../identity.py . | cmp - ../before
  $ hg verify -q

  $ hg share -q . ../share
  $ hg debugupgraderepo -R ../share -q --run --config format.use-dirstate-v2=no
  upgrade will perform the following actions:
  
  requirements
     preserved: * sqlitestore-v3, store (glob)
     removed: dirstate-v2
  
  no revlogs to process
  
  $ hg -R ../share verify -q
  $ cd ..

An upgrade does not change the backend, even if new repositories would have the
other one. Another command converts repositories

  $ hg init revlogs --config storage.new-repo-backend=revlogv1
  $ hg debugupgraderepo -R revlogs --run
  (file history stays in revlogs; 'hg admin::sqlite-convert' moves it to SQLite)
  nothing to do
  $ hg debugupgraderepo -R repo --run --config storage.new-repo-backend=revlogv1
  nothing to do
  $ hg debugupgraderepo -R repo -q --config storage.sqlite.compression=zlib \
  >   | grep sqlite
     preserved: * sqlitestore-compression=zstd, sqlitestore-v3, store (glob)
  $ hg debugformat -R repo | egrep 'share-safe|^compression:' | sed 's/  */ /'
  share-safe: yes
  compression: zlib
