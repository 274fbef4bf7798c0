#require linux

hg admin::doctor looks at the database and its write-ahead log from outside.

  $ cat > disk.py << EOF
  > # The disk that the tests run on shall have no influence.
  > from hgext3rd.amalgam.doctor import filesystems
  > from hgext3rd.sqlitestore.integration import doctor
  > filesystems.MOUNTS = r'$TESTTMP/mountinfo'
  > filesystems.FEW = 0
  > doctor.LARGE_LOG = 100000
  > EOF
  $ echo '21 1 8:1 / / rw - ext4 /dev/sda1 rw' > mountinfo
  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > sqlitestore =
  > disk = $TESTTMP/disk.py
  > [storage]
  > new-repo-backend = sqlite
  > EOF
  $ hg init repo
  $ cd repo
  $ echo a > a
  $ hg commit -qAm a
  $ database=.hg/store/history.sqlite
  $ hg admin::doctor -q
  $ hg admin::doctor | grep log:
  ok      log: the write-ahead log has 0 bytes

Another process has the database open: the log is in use

  $ cat > $TESTTMP/hold.py << EOF
  > """Hold a database open; "read" holds a transaction that reads."""
  > import sqlite3, sys, time
  > conn = sqlite3.connect('$TESTTMP/repo/$database', isolation_level=None)
  > if sys.argv[1] == 'read':
  >     conn.execute('begin')
  > conn.execute('select count(*) from frame').fetchall()
  > open('$TESTTMP/held', 'w').close()
  > time.sleep(1000)
  > EOF
  $ hold() {
  >     rm -f $TESTTMP/held
  >     "$PYTHON" $TESTTMP/hold.py $1 & held=$!
  >     echo $held >> $DAEMON_PIDS
  >     while [ ! -e $TESTTMP/held ]; do sleep 0.1; done
  > }
  $ hold open
  $ echo b > a
  $ hg commit -m b
  $ hg admin::doctor -q

It is killed, and leaves the log

  $ kill -9 $held; wait $held 2> /dev/null
  [137]
  $ hg admin::doctor -q
  warning log: a process was killed and left a log of 12.1 KB
          change: nothing is lost: the next command of a user who may write empties it. Do not remove $TESTTMP/repo/.hg/store/history.sqlite-wal
  $ ls .hg/store | grep history
  history.sqlite
  history.sqlite-shm
  history.sqlite-wal
  $ hg cat -r 0 a
  a
  $ hg admin::doctor -q

A reader that does not end keeps the log from shrinking

  $ hold read
  $ "$PYTHON" -c 'import random, sys; sys.stdout.buffer.write(random.Random(1).randbytes(200000))' > big
  $ hg commit -qAm big
  $ hg admin::doctor -q | sed "s/process $held/process HELD/"
  problem log: the log has 221 KB, and process HELD reads an old state of it
          change: see what that process does, and end it: the log cannot shrink
  $ kill -9 $held; wait $held 2> /dev/null
  [137]
  $ hg admin::doctor -q
  warning log: the write-ahead log has 221 KB
          change: commit or run 'hg admin::sqlite-repack' to empty it
  $ hg cat -r 0 a
  a

keep-wal without anybody who reads the log

  $ cat >> .hg/hgrc << EOF
  > [storage]
  > sqlite.keep-wal = yes
  > EOF
  $ echo c > a
  $ hg commit -m c
  $ hg admin::doctor -q
  warning log: keep-wal is set, and no program has the database open (log: 28.2 KB)
          change: start Litestream for it, or unset storage.sqlite.keep-wal: the log grows without limit
  $ "$PYTHON" -c 'import random, sys; sys.stdout.buffer.write(random.Random(2).randbytes(200000))' > big
  $ hg commit -qm big
  $ hg admin::doctor -q
  problem log: keep-wal is set, and no program has the database open (log: 245 KB)
          change: start Litestream for it, or unset storage.sqlite.keep-wal: the log grows without limit
  [1]

A program that has it open, as Litestream does, and does not keep up

  $ hold open
  $ hg admin::doctor -q
  warning log: the write-ahead log has 245 KB
          change: let Litestream run
  $ kill -9 $held; wait $held 2> /dev/null
  [137]
  $ rm .hg/hgrc
  $ hg cat -r 0 a
  a
  $ hg admin::doctor -q

Another journal mode, and a journal that was left

  $ "$PYTHON" -c "import sqlite3; print(sqlite3.connect('$database').execute('pragma journal_mode = delete').fetchall())"
  [('delete',)]
  $ hg admin::doctor -q
  warning log: the database is not in WAL mode: readers wait for writers
          change: move it to a local file system; then, with nobody using it: sqlite3 $TESTTMP/repo/.hg/store/history.sqlite 'PRAGMA journal_mode = WAL'
  $ printf x > $database-journal
  $ hg admin::doctor -q
  warning log: the database is not in WAL mode: readers wait for writers
          change: move it to a local file system; then, with nobody using it: sqlite3 $TESTTMP/repo/.hg/store/history.sqlite 'PRAGMA journal_mode = WAL'
  problem log: a rollback journal was left by a program that was interrupted
          change: run 'hg recover' and 'hg verify'; do not remove the journal
  [1]
  $ rm $database-journal
  $ "$PYTHON" -c "import sqlite3; print(sqlite3.connect('$database').execute('pragma journal_mode = wal').fetchall())"
  [('wal',)]
  $ hg admin::doctor -q

A database with two names, no database, and something else

  $ ln $database $TESTTMP/other
  $ hg admin::doctor -q
  warning log: the database has another name (a hard link)
          change: nothing to do: the next commit makes a copy of its own
  $ rm $TESTTMP/other
  $ mv $database $TESTTMP/moved
  $ hg admin::doctor -q
  problem log: cannot read $TESTTMP/repo/.hg/store/history.sqlite: No such file or directory
          change: restore it from a backup: hg help admin::sqlite-restore
  [1]
  $ "$PYTHON" -c 'print("no database" * 100)' > $database
  $ hg admin::doctor -q
  problem log: $TESTTMP/repo/.hg/store/history.sqlite is not a SQLite database
          change: restore it from a backup: hg help admin::sqlite-restore
  [1]
  $ mv $TESTTMP/moved $database
  $ hg verify -q

Locks that the system does not tell

  $ cat >> $TESTTMP/disk.py << EOF
  > from hgext3rd.sqlitestore.database import health
  > health.LOCKS = '/nonexistent'
  > EOF
  $ hg admin::doctor -q --config storage.sqlite.keep-wal=yes

Little space
------------

#if small-tmpfs
  $ mkdir $TESTTMP/small
  $ mount -t tmpfs -o size=3m,nr_inodes=70 tmpfs $TESTTMP/small
  $ cat > $TESTTMP/disk.py << EOF
  > from hgext3rd.amalgam.doctor import filesystems
  > filesystems.MOUNTS = r'$TESTTMP/mountinfo'
  > EOF
  $ hg init $TESTTMP/small/repo
  $ cd $TESTTMP/small/repo
  $ hg admin::doctor -q
  $ dd if=/dev/zero of=filler bs=1k 2> /dev/null
  [1]
  $ hg admin::doctor -q
  problem disk: 0 bytes free (0%) on the file system of $TESTTMP/small/repo/.hg/store
          change: free space there, or move the folder to a larger disk
  warning database-disk: 0 bytes free, less than the 44.0 KB that a repack or a conversion takes
          change: free space there, or move the folder to a larger disk
  [1]
  $ rm filler
  $ for n in 0 1 2 3 4 5 6 7 8 9; do for m in 0 1 2 3 4 5 6; do touch f$n$m; done; done 2> /dev/null
  [1]
  $ hg admin::doctor -q
  problem disk: 0 inodes free (0%) on the file system of $TESTTMP/small/repo/.hg/store
          change: remove small files there, or make a file system with more
  [1]
  $ cd $TESTTMP
  $ umount small
#endif

The format that came with Mercurial until 6.9

  $ cd $TESTTMP
  $ hg init old --config storage.new-repo-backend=revlogv1
  $ printf 'exp-sqlite-001\nexp-sqlite-comp-001=zstd\n' >> old/.hg/store/requires
  $ hg -R old admin::doctor -q
  problem format: the repository has an old format (exp-sqlite-001)
          change: run 'hg admin::sqlite-convert'
  [1]
