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

Pages of the damaged database answer with the reason if nothing was sent

  $ fetch raw-file/0/numbers
  500 Internal Server Error
  content-type: text/plain
  
  damaged revision 0 of numbers: unknown chunk type b'\x00'
  [1]

Clients over SSH and of version 2 get an error as well

  $ hg clone -qU ssh://user@dummy/repo ../clone \
  >     --config ui.ssh="\"$PYTHON\" \"$RUNTESTDIR/dummyssh\""
  remote: abort: unexpected error: damaged revision 0 of 00manifest: unknown chunk type b'\x00'
  transaction abort!
  rollback completed
  abort: pull failed on remote
  [100]
  $ hg serve -p $HGPORT2 -d --pid-file=hg.pid -A access.log -E errors2.log \
  >     --config extensions.wireprotov2=
  $ cat hg.pid >> $DAEMON_PIDS
  $ hg clone -qU http://localhost:$HGPORT2 ../clone --config extensions.wireprotov2=
  warning: falling back to wire protocol version 1: http://localhost:$HGPORT2/api/exp-http-v2-0003: manifestdata failed: damaged revision 0 of 00manifest: unknown chunk type b'\x00'
  remote: abort: unexpected error: damaged revision 0 of 00manifest: unknown chunk type b'\x00'
  transaction abort!
  rollback completed
  abort: pull failed on remote
  [100]
  $ grep -c Traceback errors2.log
  0
  [1]

Reading fails at every possible moment: an extension counts queries down

  $ cat > ../failing.py <<'PY'
  > import os, sqlite3
  > from mercurial import extensions
  > from hgext3rd.sqlitestore.database import connection
  > from hgext3rd.sqlitestore.reading import store
  > PATH = os.path.join(os.environ['TESTTMP'], 'failing')
  > def query(orig, self, *args):
  >     # The file has a code of SQLite, and how many queries succeed before it.
  >     if os.path.exists(PATH):
  >         with open(PATH) as file:
  >             code, left = map(int, file.read().split())
  >         if not left:
  >             exc = sqlite3.OperationalError('injected')
  >             exc.sqlite_errorcode = code
  >             raise self.translated(exc)
  >         with open(PATH, 'w') as file:
  >             file.write('%d %d' % (code, left - 1))
  >     return orig(self, *args)
  > def revalidate(orig, self):
  >     orig(self)
  >     self.forget()
  > def uisetup(ui):
  >     extensions.wrapfunction(connection.Database, '_read', query)
  >     extensions.wrapfunction(store.Store, 'revalidate', revalidate)
  > PY
  $ cat > ../ask.py <<'PY'
  > import http.client, os, sys
  > PATH = os.path.join(os.environ['TESTTMP'], 'failing')
  > def ask(page):
  >     conn = http.client.HTTPConnection(os.environ['LOCALIP'], int(sys.argv[1]))
  >     conn.request('GET', '/' + page)
  >     try:
  >         response = conn.getresponse()
  >         body = response.read()
  >     except http.client.IncompleteRead as exc:
  >         return 'broken off', exc.partial
  >     finally:
  >         conn.close()
  >     return response.status, body
  > for page in sys.argv[2:]:
  >     found = set()
  >     for code in (5, 10):
  >         for left in range(400):
  >             with open(PATH, 'w') as file:
  >                 file.write('%d %d' % (code, left))
  >             status, body = ask(page)
  >             if status == 200:
  >                 break
  >             assert (b'injected' in body) == (status == 500), (status, body)
  >             found.add(status)
  >         os.unlink(PATH)
  >         assert (status, body) == ask(page), (status, body)
  >         found.add(status)
  >     print(page, *sorted(found, key=str))
  > PY
  $ hg init ../whole
  $ cd ../whole
  $ for i in 1 2 3 4; do
  >   python3 -c 'import os, sys; sys.stdout.write(os.urandom(60000).hex())' > numbers$i
  >   hg commit -qAm $i
  > done
  $ hg serve -p $HGPORT1 -d --pid-file=hg.pid -A access.log -E errors.log \
  >     --config extensions.failing=$TESTTMP/failing.py --config web.allow-archive='zip gz'
  $ cat hg.pid >> $DAEMON_PIDS
  $ python3 ../ask.py $HGPORT1 raw-file/0/numbers1 file/0/numbers1 rev/1 raw-rev/1 \
  >     annotate/0/numbers1 archive/tip.zip archive/tip.tar.gz
  raw-file/0/numbers1 200 500
  file/0/numbers1 200 500
  rev/1 200 500 broken off
  raw-rev/1 200 500
  annotate/0/numbers1 200 500 broken off
  archive/tip.zip 200 500 broken off
  archive/tip.tar.gz 200 500 broken off
  $ grep -c Traceback errors.log
  0
  [1]
  $ sed -n 's/.* sqlitestore:/sqlitestore:/p' errors.log | sort -u
  sqlitestore: response broken off: cannot use $TESTTMP/whole/.hg/store/history.sqlite: injected
