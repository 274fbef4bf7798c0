#require serve

hg admin::doctor looks at a deployment and says what to change.

  $ umask 022
  $ cat > mounts.py << EOF
  > # The disk that the tests run on shall have no influence.
  > from hgext3rd.amalgam.doctor import filesystems
  > filesystems.MOUNTS = r'$TESTTMP/mountinfo'
  > filesystems.FEW = 0
  > EOF
  $ echo '21 1 8:1 / / rw - ext4 /dev/sda1 rw' > mountinfo
  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > mounts = $TESTTMP/mounts.py
  > sqlitestore =
  > wireprotov2 =
  > lfsserver =
  > lfs =
  > [storage]
  > new-repo-backend = sqlite
  > [wireprotov2]
  > cacher = directory
  > [experimental]
  > lfs.disableusercache = yes
  > EOF
  $ hg init repo
  $ cd repo
  $ echo a > a
  $ hg commit -qAm a
  $ hg phase --public tip

A healthy deployment
--------------------

  $ hg serve -d -p $HGPORT --pid-file ../hg.pid -E ../errors.log -A ../access.log
  $ cat ../hg.pid >> $DAEMON_PIDS
  $ hg admin::doctor http://localhost:$HGPORT/
  ok      versions: Mercurial *, Python *, hg-amalgam * (glob)
  ok      modules: all modules for requests are there
  ok      permissions: * can write the store (glob)
  ok      disk: ext4, * free (glob)
  ok      address: http://localhost:$HGPORT/ answers
  ok      address: the clock of localhost:$HGPORT agrees with the one here
  ok      headers: header fields of 40 kB pass
  ok      sqlite: SQLite * (glob)
  ok      sqlite-modules: all modules for the database are there
  ok      format: files are in SQLite (sqlitestore-v3)
  ok      database-permissions: * can write the database (glob)
  ok      database-disk: the database is on a local disk with room for a copy
  ok      log: the write-ahead log has 0 bytes
  ok      wire-modules: all modules for version 2 of the protocol are there
  ok      cache: the cacher directory writes, reads and removes
  ok      handshake: the handshake passes
  ok      requests: reads by POST pass, also with bodies of 2 MB
  ok      lfs-store: large files are in the store of the repository
  ok      lfs-requests: requests of LFS pass
  ok      lfs-requests: large uploads pass
  problems: 0, warnings: 0, fine: 20
  $ cat ../errors.log

Nothing is left of the trial, and only what is not fine is shown with --quiet

  $ find .hg/cache/wireprotov2 -type f
  $ hg admin::doctor -q http://localhost:$HGPORT/
  $ hg admin::doctor -q -T '{check}: {level}\n' http://localhost:$HGPORT/

web.baseurl is asked if no address is given, and the login is not shown

  $ hg admin::doctor --config web.baseurl=http://me:secret@localhost:$HGPORT | grep address
  ok      address: http://localhost:$HGPORT/ answers
  ok      address: the clock of localhost:$HGPORT agrees with the one here
  $ hg admin::doctor http://me:secret@localhost:$HGPORT1/ --timeout 5 | grep -A1 address
  problem address: http://localhost:$HGPORT1/ does not answer: Connection refused
          change: start the server, and check the address and the certificate
  ok      sqlite: SQLite * (glob)

Each extension brings its own checks

  $ hg admin::doctor --config extensions.wireprotov2=! --config extensions.lfsserver=! \
  >     --config extensions.lfs=! -T '{check}\n'
  versions
  modules
  permissions
  disk
  sqlite
  sqlite-modules
  format
  database-permissions
  database-disk
  log
  $ hg admin::doctor --config extensions.sqlitestore=! --config extensions.lfsserver=! -q
  abort: repository requires features unknown to this Mercurial: sqlitestore-compression=zstd sqlitestore-v3
  (see https://mercurial-scm.org/wiki/MissingRequirement for more information)
  [255]
  $ hg init ../revlogs --config storage.new-repo-backend=revlogv1
  $ hg -R ../revlogs admin::doctor --config extensions.sqlitestore=! \
  >     --config extensions.wireprotov2=! -T '{check}\n'
  versions
  modules
  permissions
  disk
  lfs-store

A template has all that is known

  $ hg admin::doctor -T json | sed -n '/"check": "log"/,/}/p'
    "check": "log",
    "level": "ok",
    "repository": "$TESTTMP/repo",
    "text": "the write-ahead log has 0 bytes"
   },

Wrong use

  $ hg admin::doctor ftp://localhost/
  abort: not an address of a server: ftp://localhost/
  [10]
  $ hg admin::doctor --user nobody-of-this-name
  abort: there is no user 'nobody-of-this-name'
  [10]
  $ hg --cwd .. admin::doctor
  abort: no repository to look at
  (use -R, or --web-conf for all that a server has)
  [10]
  $ hg admin::doctor --web-conf ../absent.conf
  abort: config file ../absent.conf not found!
  [255]

A server that does not answer
-----------------------------

  $ hg admin::doctor -q http://localhost:$HGPORT1/
  problem address: http://localhost:$HGPORT1/ does not answer: Connection refused
          change: start the server, and check the address and the certificate
  [1]

One that is silent: the command ends

  $ "$PYTHON" "$TESTDIR/helpers/doctor_servers.py" silent $HGPORT1 >> $DAEMON_PIDS
  $ hg admin::doctor -q --timeout 1 http://localhost:$HGPORT1/
  problem address: http://localhost:$HGPORT1/ does not answer: no answer within 1 seconds
          change: start the server, and check the address and the certificate
  [1]

One that sends a byte now and then

  $ "$PYTHON" "$TESTDIR/helpers/doctor_servers.py" slow $HGPORT2 >> $DAEMON_PIDS
  $ hg admin::doctor -q --timeout 1 http://localhost:$HGPORT2/
  problem address: http://localhost:$HGPORT2/ does not answer: no answer within 1 seconds
          change: start the server, and check the address and the certificate
  [1]

Another program

  $ killdaemons.py
  $ "$PYTHON" "$TESTDIR/helpers/doctor_servers.py" page $HGPORT1 >> $DAEMON_PIDS
  $ hg admin::doctor -q http://localhost:$HGPORT1/
  problem address: http://localhost:$HGPORT1/ is not hgweb: 200 OK, text/html
          change: check the address, and that the proxy passes the query on
  [1]

Permissions
-----------

Modes are judged for the user that serves; root could do anything.

  $ hg admin::doctor -q --user nobody | grep -vE 'cannot enter|permission x' | sed 's/ and [0-9]* more/ and more/'
  warning user: run by another user than nobody: nothing was written as a trial
          change: run it as the user that serves: sudo -u nobody hg admin::doctor
  problem permissions: nobody cannot write $TESTTMP/repo/.hg and more
          change: change owner or mode, for example: chown -R nobody $TESTTMP/repo/.hg
  problem database-permissions: nobody cannot write $TESTTMP/repo/.hg/store/history.sqlite
          change: change owner or mode, for example: chown -R nobody $TESTTMP/repo/.hg/store/history.sqlite
  problem cache: nobody cannot write $TESTTMP/repo/.hg/cache/wireprotov2 and more
          change: change owner or mode, for example: chown -R nobody $TESTTMP/repo/.hg/cache/wireprotov2

Files that the group cannot write, where it shares the store

  $ chmod -R g+rwX .hg && find .hg -type d -exec chmod g+s {} +
  $ umask 002
  $ hg admin::doctor -q
  $ chmod g-w .hg/store/00changelog.i .hg/store/history.sqlite
  $ hg admin::doctor -q
  problem permissions: the group of the store cannot write $TESTTMP/repo/.hg/store/00changelog.i and 1 more
          change: chgrp -R * $TESTTMP/repo/.hg/store; chmod -R g+rwX $TESTTMP/repo/.hg/store (glob)
  problem database-permissions: the group of the store cannot write $TESTTMP/repo/.hg/store/history.sqlite
          change: chgrp -R * $TESTTMP/repo/.hg/store/history.sqlite; chmod -R g+rwX $TESTTMP/repo/.hg/store/history.sqlite (glob)
  [1]
  $ chmod g+w .hg/store/00changelog.i .hg/store/history.sqlite
  $ umask 022
  $ hg admin::doctor -q
  warning umask: the store is shared by a group, and the umask is 022
          change: use the umask 002 for all that write, servers included (UMask=0002 in a unit of systemd)
  $ umask 002

Folders in which new files get another group

  $ chmod g-s .hg/store
  $ hg admin::doctor -q
  warning permissions: new files would not belong to the group of the store in $TESTTMP/repo/.hg/store
          change: find $TESTTMP/repo/.hg/store -type d -exec chmod g+s {} +
  $ chmod g+s .hg/store

Users cannot replace each other's files in a sticky folder

  $ chmod +t .hg/store
  $ hg admin::doctor -q
  problem permissions: users cannot replace files of each other in $TESTTMP/repo/.hg/store
          change: remove the sticky bit: chmod -t $TESTTMP/repo/.hg/store
  [1]
  $ chmod -t .hg/store

Everybody on the machine may write

  $ chmod o+w .hg/store
  $ hg admin::doctor -q
  problem permissions: everybody on this machine can write $TESTTMP/repo/.hg/store
          change: chmod -R o-w $TESTTMP/repo/.hg/store
  [1]
  $ chmod o-w .hg/store

The folder of large files and that of the cache

  $ mkdir -p .hg/store/lfs/objects/ab
  $ chmod 755 .hg/store/lfs/objects/ab .hg/cache/wireprotov2/entries
  $ hg admin::doctor -q
  problem cache: the group of the store cannot write $TESTTMP/repo/.hg/cache/wireprotov2/entries
          change: chgrp -R * $TESTTMP/repo/.hg/cache/wireprotov2/entries; chmod -R g+rwX $TESTTMP/repo/.hg/cache/wireprotov2/entries (glob)
  problem lfs-store: the group of the store cannot write $TESTTMP/repo/.hg/store/lfs/objects/ab
          change: chgrp -R * $TESTTMP/repo/.hg/store/lfs/objects/ab; chmod -R g+rwX $TESTTMP/repo/.hg/store/lfs/objects/ab (glob)
  [1]
  $ chmod 2775 .hg/store/lfs .hg/store/lfs/objects .hg/store/lfs/objects/ab \
  >     .hg/cache/wireprotov2/entries
  $ hg admin::doctor -q

The folder in which limits are counted

  $ mkdir slots && chmod 2755 slots
  $ hg admin::doctor -q --config wireprotov2.limit.computing=2 \
  >     --config wireprotov2.limit.folder=$PWD/slots
  problem slots: the group of the store cannot write $TESTTMP/repo/slots
          change: chgrp -R * $TESTTMP/repo/slots; chmod -R g+rwX $TESTTMP/repo/slots (glob)
  [1]
  $ chmod 2775 slots
  $ hg admin::doctor --config wireprotov2.limit.computing=2 \
  >     --config wireprotov2.limit.folder=$PWD/slots | grep slots
  ok      slots: 2 clones and pulls are computed at a time

Configuration
-------------

  $ hg admin::doctor -q --config experimental.lfs.disableusercache=no
  warning lfs: large files of all repositories of the user share a cache
          change: set experimental.lfs.disableusercache, unless readers of one repository may read all
  $ hg admin::doctor -q --config wireprotov2.cacher=none
  warning cache: no cacher is configured: each clone is computed
          change: set wireprotov2.cacher, see 'hg help -e wireprotov2'
  $ hg admin::doctor -q --config wireprotov2.cacher=memory
  warning cache: the cacher memory is not shared by processes
          change: use directory, unless the server is a single hg serve
  $ hg admin::doctor -q --config wireprotov2.cacher=mistyped
  problem cache: responses are not cached: unknown cacher: mistyped
          change: correct wireprotov2.cacher and its options
  [1]
  $ hg admin::doctor -q --config extensions.remotefilelog=
  warning conflicts: the extension remotefilelog is enabled on a server
          change: its clones keep no files; use a lazy clone (hg clone --lazy)
  $ hg admin::doctor -q --config wireprotov2.cacher.directory.path=$PWD/a
  problem cache: the cache does not work: cannot write cache entry: Not a directory
          change: let the server's user write there
  [1]

Missing packages of what is configured

  $ cat > $TESTTMP/without.py << EOF
  > import sys
  > for name in ('redis', 'obstore', 'prometheus_client', 'zstandard'):
  >     sys.modules[name] = None
  > EOF
  $ hg admin::doctor -q --config extensions.without=$TESTTMP/without.py \
  >     --config wireprotov2.cacher=redis --config wireprotov2.metrics=yes \
  >     --config lfsserver.store=s3://bucket/x 2>&1 | grep -A1 modules
  problem sqlite-modules: zstandard cannot be imported: import of zstandard halted; None in sys.modules
          change: install it for the Python of the server: pip install 'zstandard'
  problem wire-modules: zstandard cannot be imported: import of zstandard halted; None in sys.modules
          change: install it for the Python of the server: pip install 'zstandard'
  problem wire-modules: redis cannot be imported: import of redis halted; None in sys.modules
          change: install it for the Python of the server: pip install 'hg-amalgam[redis]'
  problem wire-modules: prometheus_client cannot be imported: import of prometheus_client halted; None in sys.modules
          change: install it for the Python of the server: pip install 'hg-amalgam[metrics]'
  --
  problem lfs-modules: obstore cannot be imported: import of obstore halted; None in sys.modules
          change: install it for the Python of the server: pip install 'hg-amalgam[objectstore]'

An old Mercurial, Python or SQLite

  $ cat > $TESTTMP/versions.py << EOF
  > import sqlite3
  > from mercurial import util
  > from hgext3rd.amalgam.doctor import machine
  > util.version = lambda: b'6.9.5'
  > sqlite3.sqlite_version, sqlite3.sqlite_version_info = '3.34.1', (3, 34, 1)
  > EOF
  $ hg admin::doctor -q --config extensions.versions=$TESTTMP/versions.py
  warning versions: Mercurial 6.9.5, Python *, hg-amalgam * (glob)
          change: use a Mercurial that is tested: 7.0, 7.1, 7.2
  problem sqlite: SQLite 3.34.1
          change: use a Python with SQLite 3.35.0 or newer
  [1]
  $ echo 'machine.OLDEST_PYTHON = (99, 0)' >> $TESTTMP/versions.py
  $ hg admin::doctor -q --config extensions.versions=$TESTTMP/versions.py | grep -A1 versions
  problem versions: Mercurial 6.9.5, Python *, hg-amalgam * (glob)
          change: use Python 3.10 or newer

An extension that only the repository enables

  $ cat >> .hg/hgrc << EOF
  > [extensions]
  > wireprotov2 =
  > EOF
  $ hg admin::doctor -q
  warning loading: only the repository enables wireprotov2: the first request loads it
          change: enable it in the configuration of the server: threads must not import modules at the same time
  $ rm .hg/hgrc

A transaction that was interrupted

  $ touch .hg/store/journal
  $ hg admin::doctor -q
  problem transaction: a transaction was interrupted
          change: run 'hg recover'
  [1]
  $ rm .hg/store/journal

File systems
------------

Other lists of mounts

  $ mounted() {
  >     real=$(cd $TESTTMP && pwd -P)
  >     printf '21 1 8:1 / / rw - ext4 /dev/sda1 rw\n22 21 0:4 / %s rw shared:1 - %s x rw\n' $real/repo $1 \
  >       > $TESTTMP/mountinfo
  >     hg admin::doctor -q --config wireprotov2.limit.computing=2
  > }
  $ mounted nfs4
  problem database-disk: the database is on a network file system (nfs4): $TESTTMP/repo/.hg/store
          change: move it to a local disk; several machines need a replica each
  problem slots: limit.folder is on a network file system (nfs4): $TESTTMP/repo/.hg/cache/wireprotov2-slots
          change: move it to a local disk; several machines need a replica each
  problem lfs-store: the database of locks is on a network file system (nfs4): $TESTTMP/repo/.hg/store/lfs
          change: move it to a local disk; several machines need a replica each
  [1]
  $ mounted tmpfs
  problem disk: the store is in memory (tmpfs) and lost on a restart: $TESTTMP/repo/.hg/store
          change: move it to a disk
  [1]
  $ mounted overlay
  warning disk: the store is in the layer of a container (overlay): $TESTTMP/repo/.hg/store
          change: put it on a volume, or it is lost with the container
  $ mounted ext4

Checks that fail are findings, and stop nothing

  $ cat > $TESTTMP/broken.py << EOF
  > from hgext3rd.amalgam.doctor import filesystems
  > def broken(path):
  >     raise RuntimeError('no such thing')
  > filesystems.kind_of = broken
  > EOF
  $ hg admin::doctor --config extensions.broken=$TESTTMP/broken.py | grep -A1 -E 'could|log:'
  warning disk: could not look: no such thing
          change: run it again with --traceback, and report it
  --
  warning database-disk: could not look: no such thing
          change: run it again with --traceback, and report it
  ok      log: the write-ahead log has 0 bytes
  ok      wire-modules: all modules for version 2 of the protocol are there
  --
  warning lfs-store: could not look: no such thing
          change: run it again with --traceback, and report it

The repositories of a server
----------------------------

  $ cd ..
  $ cat > web.conf << EOF
  > [paths]
  > one = $TESTTMP/repo
  > two/revlogs = $TESTTMP/revlogs
  > [wireprotov2]
  > cacher = none
  > [web]
  > push_ssl = no
  > EOF
  $ hg serve --web-conf web.conf -d -p $HGPORT --pid-file hg.pid -E errors.log -A access.log
  $ cat hg.pid >> $DAEMON_PIDS
  $ hg admin::doctor -q --web-conf web.conf http://localhost:$HGPORT/
  one:
  warning cache: no cacher is configured: each clone is computed
          change: set wireprotov2.cacher, see 'hg help -e wireprotov2'
  two/revlogs:
  warning cache: no cacher is configured: each clone is computed
          change: set wireprotov2.cacher, see 'hg help -e wireprotov2'
  $ hg admin::doctor --web-conf web.conf http://localhost:$HGPORT/ | grep address
  ok      address: http://localhost:$HGPORT/one answers
  ok      address: the clock of localhost:$HGPORT agrees with the one here
  ok      address: http://localhost:$HGPORT/two/revlogs answers
  ok      address: the clock of localhost:$HGPORT agrees with the one here
  $ hg admin::doctor -R repo --web-conf web.conf -T '{repository} {check} {level}\n' http://localhost:$HGPORT/ | grep address
  one address ok
  one address ok
  $ hg init of-another-version
  $ echo sqlitestore-v2 >> of-another-version/.hg/store/requires
  $ sed "s,two/revlogs.*,other = $TESTTMP/of-another-version," web.conf > other.conf
  $ hg admin::doctor -q --web-conf other.conf
  one:
  warning cache: no cacher is configured: each clone is computed
          change: set wireprotov2.cacher, see 'hg help -e wireprotov2'
  other:
  problem repository: $TESTTMP/of-another-version cannot be opened: repository requires features unknown to this Mercurial: sqlitestore-v2
          change: check its permissions and its requirements: another version, or an extension that is not enabled, may have made it
  [1]
  $ hg admin::doctor -q http://localhost:$HGPORT/absent -R repo
  problem address: http://localhost:$HGPORT/absent is not hgweb: 404 Not Found, text/html
          change: check the address, and that the proxy passes the query on
  [1]
