The write-ahead log stays when nobody uses the database: storage.sqlite.keep-wal.

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > sqlitestore =
  > [storage]
  > new-repo-backend = sqlite
  > sqlite.auto-repack = no
  > EOF
  $ log() {
  >   for f in .hg/store/history.sqlite-*; do test -f $f && basename $f; done
  > }
  $ pages() {
  >   "$PYTHON" -c "
  > import os
  > print(os.path.getsize('.hg/store/history.sqlite-wal') > 0)"
  > }
  $ hg init r
  $ cd r

By default, the last process removes it

  $ echo 0 > a
  $ hg commit -qAm 0
  $ log
  [1]

With the option it stays, and with it what was written

  $ cat >> .hg/hgrc << EOF
  > [storage]
  > sqlite.keep-wal = yes
  > EOF
  $ cp .hg/store/history.sqlite ../before
  $ echo 1 > a
  $ hg commit -qm 1
  $ log
  history.sqlite-shm
  history.sqlite-wal
  $ pages
  True
  $ cmp .hg/store/history.sqlite ../before
  $ for i in 2 3; do echo $i > a; hg commit -qm $i; done
  $ hg cat -r 1 a
  1
  $ hg verify -q
  $ cmp .hg/store/history.sqlite ../before

Readers, backups, clones, bundles and servers leave it

  $ hg admin::sqlite-backup -q ../backup
  $ hg clone -q . ../local
  $ hg clone -q --pull . ../pulled
  $ hg clone -q --stream . ../streamed 2>/dev/null
  $ hg bundle -qa ../all.hg
  $ hg admin::sqlite-stats -T '{revisions}\n'
  8
  $ hg debugsetparents 0
  $ hg update -qC tip
  $ log
  history.sqlite-shm
  history.sqlite-wal
  $ cmp .hg/store/history.sqlite ../before
  $ for r in local pulled streamed; do hg -R ../$r verify -q; done

Copies have none

  $ ls ../local/.hg/store ../pulled/.hg/store ../streamed/.hg/store ../ | grep -e '-wal'
  [1]

Whoever cannot write reads the log

#if unix-permissions no-root
  $ chmod -R a-w .hg/store
  $ hg cat -r 3 a
  3
  $ chmod -R u+w .hg/store
#endif

A push from elsewhere, a strip, a rollback and a repack

  $ cd ../pulled
  $ echo 4 > b
  $ hg commit -qAm 4
  $ hg push -q
  $ cd ../r
  $ hg verify -q
  $ hg cat -r 4 b
  4
  $ hg --config extensions.strip= strip -q --no-backup 4
  $ hg verify -q
  $ hg admin::sqlite-repack -q
  $ hg verify -q
  $ log
  history.sqlite-shm
  history.sqlite-wal

Another program that reads the log all the time, as Litestream does. A repack does
not wait for it

  $ cat > ../reader.py << EOF
  > import os, sqlite3, subprocess, sys
  > db = sqlite3.connect('.hg/store/history.sqlite', isolation_level=None)
  > db.execute('BEGIN')
  > db.execute('SELECT count(*) FROM sqlite_schema').fetchall()
  > code = subprocess.call(sys.argv[1:])
  > db.execute('ROLLBACK')
  > # Closing it would remove the log.
  > os._exit(code)
  > EOF
  $ for i in 5 6; do echo $i > a; hg commit -qm $i; done
  $ "$PYTHON" ../reader.py hg admin::sqlite-repack -q \
  >   --config storage.sqlite.busy-timeout=1000000
  $ hg verify -q

Nor does censoring, which says once that the log keeps the content

  $ echo harmless > s
  $ hg commit -qAm harmless
  $ echo secret-content > s
  $ hg commit -qm secret
  $ hg rm s
  $ hg commit -qm 'no secret'
  $ grep -q secret-content .hg/store/history.sqlite-wal
  $ cat > ../both.sh << EOF
  > hg --config extensions.censor= --config storage.sqlite.busy-timeout=1000000 \\
  >   censor -r "desc('secret') - tip" s
  > echo 7 > a
  > hg commit -qm 7 --config storage.sqlite.busy-timeout=1000000
  > EOF
  $ "$PYTHON" ../reader.py sh ../both.sh
  checking for the censored content in 1 heads
  checking for the censored content in the working directory
  censoring 1 file revisions
  removed content stays in the WAL of $TESTTMP/r/.hg/store/history.sqlite because storage.sqlite.keep-wal is set
  $ grep -q secret-content .hg/store/history.sqlite-wal

Without the option, the next transaction empties the log

  $ echo 8 > a
  $ hg commit -qm 8 --config storage.sqlite.keep-wal=no
  $ grep -c secret-content .hg/store/history.sqlite
  0
  [1]
  $ log
  [1]
  $ echo 9 > a
  $ hg commit -qm 9
  $ log
  history.sqlite-shm
  history.sqlite-wal
  $ hg verify -q --config censor.policy=ignore

Without the option, the log is removed again

  $ hg --config storage.sqlite.keep-wal=no cat -r tip a
  9
  $ log
  [1]
