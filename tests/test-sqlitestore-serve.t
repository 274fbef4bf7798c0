A web server and a command server keep serving a repository while other
processes convert, strip, censor, repack and restore it.

  $ cat >> $HGRCPATH <<RC
  > [extensions]
  > censor =
  > sqlitestore =
  > strip =
  > [censor]
  > policy = ignore
  > [storage]
  > new-repo-backend = sqlite
  > sqlite.auto-repack = no
  > [web]
  > allow-push = *
  > push_ssl = no
  > RC
  $ hg init r
  $ cd r
  $ for i in 0 1 2 3; do echo $i >> f; echo $i > g; hg commit -qAm $i; done
  $ echo late > late
  $ hg commit -qAm late
  $ cd ..
  $ hg serve -R r -p $HGPORT -d --pid-file hg.pid -E errors.log
  $ cat hg.pid >> $DAEMON_PIDS

The command server commits, and another repository pushes through the web
server. Both servers must show the same history as a new process.

  $ cat > serve.py <<'EOF'
  > import os
  > import shutil
  > import struct
  > import subprocess
  > import urllib.request
  > 
  > STORE = 'r/.hg/store/'
  > DATABASE = STORE + 'history.sqlite'
  > URL = 'http://localhost:%s/' % os.environ['HGPORT']
  > LOG = ['log', '-pr', 'all()', '-T', '{rev} {node}\n']
  > 
  > def hg(*args, code=0):
  >     ran = subprocess.run(['hg', *args], capture_output=True)
  >     assert ran.returncode == code, (args, ran)
  >     return ran.stdout
  > 
  > server = subprocess.Popen(
  >     ['hg', '-R', 'r', 'serve', '--cmdserver', 'pipe'],
  >     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
  > 
  > def receive():
  >     channel, size = struct.unpack('>cI', server.stdout.read(5))
  >     return channel, server.stdout.read(size)
  > 
  > def ask(*args):
  >     data = '\0'.join(args).encode()
  >     server.stdin.write(b'runcommand\n' + struct.pack('>I', len(data)) + data)
  >     server.stdin.flush()
  >     out = b''
  >     while True:
  >         channel, data = receive()
  >         if channel == b'r':
  >             assert data == bytes(4), (args, out)
  >             return out
  >         out += data
  > 
  > def get(path):
  >     with urllib.request.urlopen(URL + path) as answer:
  >         return answer.read()
  > 
  > def append(name, text):
  >     with open(name, 'a') as file:
  >         file.write(text)
  > 
  > def convert(kind):
  >     return lambda: hg('-R', 'r', 'admin::sqlite-convert', '--to', kind)
  > 
  > def strip():
  >     hg('-R', 'r', 'strip', '-q', '--no-backup', 'desc(late)')
  > 
  > def censor():
  >     hg('--cwd', 'r', 'censor', '-r', '1', 'f')
  > 
  > def repack():
  >     hg('-R', 'r', 'admin::sqlite-repack', '--max')
  > 
  > def restore():
  >     hg('-R', 'r', 'admin::sqlite-backup', 'copy.sqlite')
  >     for suffix in ['-wal', '-shm']:
  >         if os.path.exists(DATABASE + suffix):
  >             os.unlink(DATABASE + suffix)
  >     os.rename('copy.sqlite', DATABASE)
  > 
  > def check(what):
  >     expected = hg('-R', 'r', *LOG)
  >     assert expected.count(b'diff -r') > 5
  >     assert ask(*LOG) == expected, what
  >     tip = ask('log', '-r', 'tip', '-T', '{node}').decode()
  >     for name in ['f', 'g']:
  >         text = get('raw-file/%s/%s' % (tip, name))
  >         with open('r/' + name, 'rb') as file:
  >             assert file.read() == text, (what, name, text)
  >     for line in get('raw-log').splitlines():
  >         if line.startswith(b'changeset:'):
  >             assert line.split()[-1] in expected, (what, line)
  >             get('raw-rev/' + line.split()[-1].decode())
  > 
  > try:
  >     receive()
  >     hg('clone', '-qU', URL, 'pusher')
  >     check('before')
  >     for number, (what, action) in enumerate([
  >         ('strip', strip), ('repack', repack), ('restore', restore),
  >         ('to revlogs', convert('revlog')), ('to SQLite', convert('sqlite')),
  >         ('censor', censor),
  >     ]):
  >         action()
  >         append('r/f', 'after %s\n' % what)
  >         ask('commit', '-m', 'after ' + what)
  >         check(what)
  >         if number in (3, 4):
  >             hg('-R', 'pusher', 'pull', '-q', URL)
  >             hg('-R', 'pusher', 'update', '-q', 'tip')
  >             append('pusher/g', 'after %s\n' % what)
  >             hg('-R', 'pusher', 'commit', '-m', 'pushed after ' + what)
  >             hg('-R', 'pusher', 'push', '-qr', '.', URL)
  >             ask('update')
  >             check(what)
  >         print(what, ask('verify', '-q').decode())
  > finally:
  >     server.stdin.close()
  >     server.wait()
  > EOF
  $ "$PYTHON" serve.py
  strip 
  repack 
  restore 
  to revlogs 
  to SQLite 
  censor 
  $ hg -R r verify -q
  $ killdaemons.py
  $ cat errors.log
