Unusual paths of repositories, and databases with several names.

  $ cat >> $HGRCPATH <<RC
  > [extensions]
  > sqlitestore =
  > [storage]
  > new-repo-backend = sqlite
  > RC

Paths that begin with two slashes, or contain characters with a meaning in URIs

  $ hg init "/$TESTTMP/a?mode=ro%41"
  $ echo 1 > 'a?mode=ro%41/f'
  $ hg --cwd "/$TESTTMP/a?mode=ro%41" commit -qAm 1
  $ hg -R 'a?mode=ro%41' cat -r tip 'a?mode=ro%41/f'
  1
  $ hg -R 'a?mode=ro%41' admin::sqlite-backup "/$TESTTMP/b?.sqlite"
  /$TESTTMP/b?.sqlite written (44.0 KB)
  $ ls
  a?mode=ro%41
  b?.sqlite
  $ mv 'a?mode=ro%41' a

A path that is too long for SQLite

  $ long=`"$PYTHON" -c "print('/'.join(['d' * 100] * 5))"`
  $ mkdir -p $long
  $ hg init $long/r
  abort: cannot use */r/.hg/store/history.sqlite: unable to open database file (glob)
  (SQLite cannot open files with such a long path)
  [255]
  $ rm -r d*

A copy of a repository that consists of hard links: each repository is
independent

  $ cp -al a linked
  $ hg -R linked cat -r tip linked/f
  1
  $ echo linked > linked/g
  $ hg --cwd linked commit -qAm linked
  $ echo 2 > a/h
  $ hg --cwd a commit -qAm 2
  $ hg -R a verify -q
  $ hg -R linked verify -q
  $ hg -R linked cat -r tip linked/g
  linked
  $ ls linked/.hg/store | grep sqlite
  history.sqlite

This does not depend on which of them writes first, or by which command

  $ cp -al a linked2
  $ hg -R a --config extensions.strip= strip -q --no-backup tip
  $ hg -R a admin::sqlite-repack -q
  $ hg -R linked2 verify -q
  $ cp -al a linked3
  $ hg -R linked3 admin::sqlite-convert -q --to revlog
  $ hg -R a verify -q
  $ hg -R linked3 verify -q

A process that has the database open keeps reading the file that it opened

  $ cp -al a linked4
  $ cat > reader.py <<EOF
  > import sqlite3, subprocess
  > def commit(message):
  >     with open('linked4/f', 'a') as file:
  >         file.write(message)
  >     ran = subprocess.run(['hg', '--cwd', 'linked4', 'commit', '-m', message])
  >     print(ran.returncode, flush=True)
  > db = sqlite3.connect('linked4/.hg/store/history.sqlite', isolation_level=None)
  > print(*db.execute('SELECT count(*) FROM path WHERE kind = 0'))
  > commit('beside a reader')
  > print(*db.execute('SELECT count(*) FROM path WHERE kind = 0'))
  > db.close()
  > commit('later')
  > EOF
  $ "$PYTHON" reader.py
  (1,)
  0
  (1,)
  0
  $ hg -R linked4 verify -q
  $ hg -R a verify -q
