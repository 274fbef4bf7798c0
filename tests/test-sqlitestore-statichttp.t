Reading a repository from a web server that does not run Mercurial.

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > sqlitestore =
  > [storage]
  > new-repo-backend = sqlite
  > EOF
  $ hg init remote
  $ cd remote
  $ mkdir 'a folder'
  $ echo one > 'a folder/a'
  $ echo two > b
  $ hg commit -qAm first
  $ hg mv b c
  $ hg commit -qm second
  $ cd ..
  $ "$PYTHON" "$RUNTESTDIR/dumbhttp.py" -p $HGPORT --pid dumb.pid \
  >   --logfile server.log
  $ cat dumb.pid >> $DAEMON_PIDS
  $ url=static-http://localhost:$HGPORT

Copies of the database are made in this folder, and removed after use

  $ mkdir copies
  $ export TMPDIR=$TESTTMP/copies

A clone fetches the whole database once

  $ hg clone -q $url/remote local
  $ grep -o 'GET [^ ]*history.sqlite[^ ]*' server.log
  GET /remote/.hg/store/history.sqlite
  $ hg -R local verify -q
  $ hg -R local cat -r tip local/c 'local/a folder/a'
  one
  two
  $ hg -R local log -fT '{rev} {desc}\n' local/c
  1 second
  0 first

The clone may have revlogs

  $ hg clone -q $url/remote revlogs --config storage.new-repo-backend=revlogv1
  $ hg -R revlogs verify -q

hg incoming does not fetch the database if there is nothing new; otherwise new
revisions are shown and pulled

  $ : > server.log
  $ hg -R local incoming -q
  [1]
  $ grep -c sqlite server.log
  0
  [1]
  $ echo more >> remote/c
  $ hg -R remote commit -qm third
  $ hg -R local incoming -p -T '{desc}\n'
  comparing with static-http://localhost:$HGPORT/remote
  searching for changes
  third
  diff -r * -r * c (glob)
  --- a/c	Thu Jan 01 00:00:00 1970 +0000
  +++ b/c	Thu Jan 01 00:00:00 1970 +0000
  @@ -1,1 +1,2 @@
   two
  +more
  
  $ hg -R local pull -q
  $ hg -R local verify -q
  $ hg -R local log -r tip -T '{desc}\n'
  third

Pull while the newest revisions are only in the write-ahead log of the database,
because another process has it open

  $ cat > holder.py << EOF
  > import os, sqlite3, subprocess, sys
  > db = sqlite3.connect('remote/.hg/store/history.sqlite')
  > db.execute('PRAGMA wal_autocheckpoint = 0')
  > db.execute('SELECT count(*) FROM path').fetchone()
  > sys.exit(subprocess.call(['sh', '-e', sys.argv[1]]))
  > EOF
  $ cat > script << EOF
  > echo fourth >> remote/c
  > hg -R remote commit -qm fourth
  > test -s remote/.hg/store/history.sqlite-wal
  > hg -R local pull -q
  > EOF
  $ "$PYTHON" holder.py script
  $ hg -R local verify -q
  $ hg -R local log -r tip -T '{desc}\n'
  fourth

The database is missing or incomplete

  $ echo fifth >> remote/c
  $ hg -R remote commit -qm fifth
  $ mv remote/.hg/store/history.sqlite away
  $ hg -R local pull -q
  abort: http://localhost:$HGPORT/remote/.hg/store/history.sqlite does not exist
  (it holds the file history of the repository)
  [255]
  $ dd if=away bs=4096 count=2 of=remote/.hg/store/history.sqlite 2> /dev/null
  $ hg -R local pull -q
  abort: $TESTTMP/copies/hg-static-*/history.sqlite: * (glob)
  (*) (glob)
  [50]
  $ hg -R local verify -q
  $ hg -R local log -r tip -T '{desc}\n'
  fourth
  $ mv away remote/.hg/store/history.sqlite
  $ hg -R local pull -q
  $ hg -R local log -r tip -T '{desc}\n'
  fifth
  $ ls copies
  $ killdaemons.py

Responses that are cut off, and a database that keeps changing

  $ cat > odd.py << EOF
  > import http.server, os, sys
  > class Handler(http.server.SimpleHTTPRequestHandler):
  >     count = 0
  >     def end_headers(self):
  >         if 'sqlite' in self.path and 'changes' in sys.argv:
  >             Handler.count += 1
  >             self.send_header('ETag', str(Handler.count))
  >         super().end_headers()
  >     def copyfile(self, source, target):
  >         if 'sqlite' in self.path and 'cut' in sys.argv:
  >             target.write(source.read(5000))
  >         else:
  >             super().copyfile(source, target)
  >     def log_message(self, *args):
  >         pass
  > server = http.server.HTTPServer(('localhost', int(sys.argv[1])), Handler)
  > open(sys.argv[2] + '.ready', 'w').write('yes')
  > server.serve_forever()
  > EOF
  $ "$PYTHON" odd.py $HGPORT1 cut > odd.log 2>&1 &
  $ echo $! >> $DAEMON_PIDS
  $ "$PYTHON" odd.py $HGPORT2 changes > odd.log 2>&1 &
  $ echo $! >> $DAEMON_PIDS
  $ "$PYTHON" "$TESTDIR/helpers/wait_for.py" cut.ready changes.ready
  $ hg clone -q static-http://localhost:$HGPORT1/remote cut
  abort: cannot fetch http://localhost:$HGPORT1/remote/.hg/store/history.sqlite: the response was cut off
  [255]
  $ hg clone -q static-http://localhost:$HGPORT2/remote changes
  abort: http://localhost:$HGPORT2/remote/.hg/store/history.sqlite keeps changing while it is read
  (try again when nobody writes to the repository)
  [255]
  $ ls -d cut changes
  ls: cannot access '*': No such file or directory (glob)
  ls: cannot access '*': No such file or directory (glob)
  [2]
  $ ls copies
