An unusable database is reported in one line, and nothing is lost.

  $ cat >> $HGRCPATH <<'RC'
  > [extensions]
  > sqlitestore =
  > [storage]
  > new-repo-backend = sqlite
  > RC

  $ hg init repo
  $ cd repo
  $ for i in 1 2 3; do
  >   python3 -c 'import sys; print("\n".join(str(i * i * int(sys.argv[1])) for i in range(900)))' $i > numbers
  >   echo $i > f
  >   hg commit -qAm $i
  > done
  $ hg verify -q
  $ cp .hg/store/history.sqlite ../good
  $ restore() { cp ../good .hg/store/history.sqlite; }

A missing file

  $ rm .hg/store/history.sqlite
  $ hg cat -r 0 f
  abort: cannot open $TESTTMP/repo/.hg/store/history.sqlite: No such file or directory
  (it holds the file history; restore it from a backup)
  [255]
  $ echo new >> f
  $ hg commit -m new
  abort: cannot open $TESTTMP/repo/.hg/store/history.sqlite: No such file or directory
  (it holds the file history; restore it from a backup)
  [255]
  $ restore
  $ hg verify -q

A file that is no database of this extension, or has an unknown schema

  $ echo 'this is not a database, but it is long enough to look at' > .hg/store/history.sqlite
  $ hg cat -r 0 f
  abort: $TESTTMP/repo/.hg/store/history.sqlite: file is not a database
  (run 'hg verify'; restore the file from a backup)
  [50]
  $ hg verify 2>&1 | tail -3
  abort: $TESTTMP/repo/.hg/store/history.sqlite: file is not a database
  (run 'hg verify'; restore the file from a backup)
  $ : > .hg/store/history.sqlite
  $ hg cat -r 0 f
  abort: $TESTTMP/repo/.hg/store/history.sqlite is not a file store of the sqlitestore extension
  (restore it from a backup)
  [255]
  $ restore
  $ set_pragma() { python3 -c 'import sqlite3, sys; db = sqlite3.connect(".hg/store/history.sqlite"); db.execute(sys.argv[1]); db.close()' "$1"; }
  $ set_pragma 'PRAGMA user_version = 99'
  $ hg cat -r 0 f
  abort: $TESTTMP/repo/.hg/store/history.sqlite has unknown schema version 99
  (upgrade the sqlitestore extension)
  [255]
  $ hg commit -m new
  abort: $TESTTMP/repo/.hg/store/history.sqlite has unknown schema version 99
  (upgrade the sqlitestore extension)
  [255]
  $ restore
  $ set_pragma 'CREATE TRIGGER loss AFTER INSERT ON rev BEGIN DELETE FROM rev; END'
  $ hg commit -m new
  abort: $TESTTMP/repo/.hg/store/history.sqlite contains triggers or views
  (this extension creates none; restore the file from a backup)
  [255]
  $ restore
  $ set_pragma 'PRAGMA application_id = 7'
  $ hg cat -r 0 f
  abort: $TESTTMP/repo/.hg/store/history.sqlite is not a file store of the sqlitestore extension
  (restore it from a backup)
  [255]
  $ restore
  $ hg verify -q

An unknown requirement

  $ cp .hg/store/requires ../requires
  $ echo sqlitestore-compression=lzma >> .hg/store/requires
  $ hg cat -r 0 f
  abort: repository requires features unknown to this Mercurial: sqlitestore-compression=lzma
  (see https://mercurial-scm.org/wiki/MissingRequirement for more information)
  [255]
  $ cp ../requires .hg/store/requires

A truncated file

  $ python3 -c 'import os; os.truncate(".hg/store/history.sqlite", 9000)'
  $ hg cat -r 0 f
  abort: $TESTTMP/repo/.hg/store/history.sqlite: database disk image is malformed
  (run 'hg verify'; restore the file from a backup)
  [50]
  $ hg verify 2>&1 | tail -1
  (run 'hg verify'; restore the file from a backup)
  $ restore

Flipped bits in stored content: no wrong content is returned, and verify names
the file

  $ cat > ../damage.py <<'PY'
  > import sqlite3, sys
  > db = sqlite3.connect('.hg/store/history.sqlite')
  > rowid, data = db.execute(
  >     'SELECT id, data FROM rev WHERE length(data) > 100 ORDER BY id LIMIT 1'
  > ).fetchone()
  > where = int(sys.argv[1])
  > data = bytearray(data)
  > data[where] ^= 0x41
  > db.execute('UPDATE rev SET data = ? WHERE id = ?', (bytes(data), rowid))
  > db.commit()
  > db.close()
  > PY
  $ for where in 0 60 -2; do
  >   python3 ../damage.py $where
  >   hg cat -r 0 numbers > ../out 2> ../err || echo refused
  >   sed 's/: .*//' ../err
  >   hg verify 2>&1 | grep -c 'numbers@0'
  >   restore
  > done
  refused
  abort
  (run 'hg verify')
  1
  refused
  abort
  1
  refused
  abort
  (run 'hg verify')
  1

Another process holds a write lock: the command waits, then reports it

  $ cat > ../hold.py <<'PY'
  > import sqlite3, sys, time
  > db = sqlite3.connect('.hg/store/history.sqlite', isolation_level=None)
  > db.execute('BEGIN IMMEDIATE')
  > open('../held', 'w').close()
  > while True:
  >     time.sleep(0.1)
  > PY
  $ python3 ../hold.py & echo $! > ../hold.pid
  $ cat ../hold.pid >> $DAEMON_PIDS
  $ while [ ! -e ../held ]; do sleep 0.1; done
  $ hg cat -r 0 f
  1
  $ hg commit -m 'not now' --config storage.sqlite.busy-timeout=0.1
  abort: cannot use $TESTTMP/repo/.hg/store/history.sqlite: database is locked
  (another process holds it; try again)
  [255]
  $ kill `cat ../hold.pid`
  $ hg commit -qm now
  $ hg verify -q

A store that only another user may write to

#if no-root no-windows
  $ chmod -R a-w .hg/store
  $ hg cat -r tip f
  3
  new
  $ hg verify -q
  abort: could not lock repository $TESTTMP/repo: Permission denied
  [20]
  $ hg commit -m no
  abort: could not lock repository $TESTTMP/repo: Permission denied
  [20]
  $ chmod -R u+w .hg/store
#endif
