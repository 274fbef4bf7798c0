What clients of a server get when the database cannot be read.

  $ cat >> $HGRCPATH <<'RC'
  > [extensions]
  > sqlitestore =
  > [storage]
  > new-repo-backend = sqlite
  > [server]
  > preferuncompressed = no
  > RC

  $ hg init repo
  $ cd repo
  $ for i in 1 2 3; do
  >   python3 -c 'import sys; print("\n".join(str(i * i * int(sys.argv[1])) for i in range(900)))' $i > numbers
  >   hg commit -qAm $i
  > done
  $ hg serve -p $HGPORT -d --pid-file=hg.pid -A access.log -E errors.log
  $ cat hg.pid >> $DAEMON_PIDS
  $ fetch() { get-with-headers.py $LOCALIP:$HGPORT "$1" content-type; }
  $ fetch 'raw-file/0/numbers' | tail -1
  808201

The database is missing: pages answer with a status that says so

  $ mv .hg/store/history.sqlite ../saved
  $ for page in '' shortlog raw-file/0/numbers file/0/numbers rev/1 \
  >     diff/1 annotate/0/numbers archive/tip.zip '?cmd=changegroup&roots=0000000000000000000000000000000000000000'; do
  >   fetch "$page"
  > done | sed '/^$/d' | sort | uniq -c | sed 's/^ *//'
  9 500 Internal Server Error
  9 cannot open $TESTTMP/repo/.hg/store/history.sqlite: No such file or directory
  9 content-type: text/plain

Clients of version 1 get the message

  $ hg clone -qU http://localhost:$HGPORT ../clone
  remote: abort: cannot open $TESTTMP/repo/.hg/store/history.sqlite: No such file or directory
  abort: pull failed on remote
  (it holds the file history; restore it from a backup)
  [100]
  $ mv ../saved .hg/store/history.sqlite
  $ fetch 'raw-file/0/numbers' | tail -1
  808201

The database is damaged where only a stream that was begun finds out

  $ cat > ../damage.py <<'PY'
  > import sqlite3
  > db = sqlite3.connect('.hg/store/history.sqlite')
  > db.execute("UPDATE rev SET data = zeroblob(length(data))")
  > db.commit()
  > db.close()
  > PY
  $ python3 ../damage.py
  $ hg clone -qU http://localhost:$HGPORT ../clone
  remote: abort: unexpected error: damaged revision 0 of 00manifest: unknown chunk type b'\x00'
  transaction abort!
  rollback completed
  abort: pull failed on remote
  [100]
  $ grep -c Traceback errors.log
  0
  [1]
