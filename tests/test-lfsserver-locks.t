#require serve

Pushes that change files which other users have locked.

  $ . "$TESTDIR/helpers/serve.sh"
  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > lfsserver =
  > [ui]
  > ssh = "$PYTHON" "$RUNTESTDIR/dummyssh"
  > EOF
  $ cat > challenge.py << EOF
  > # Ask for a password, as a server in front of hgweb does.
  > from mercurial.hgweb import common
  > def challenge(hgweb, req, op):
  >     if op in (b'push', b'upload') and not req.remoteuser:
  >         raise common.ErrorResponse(
  >             401, b'who?', [(b'WWW-Authenticate', b'Basic realm="test"')])
  > common.permhooks.insert(0, challenge)
  > EOF
  $ hg init server
  $ cat >> server/.hg/hgrc << EOF
  > [extensions]
  > basic_auth = $TESTDIR/helpers/basic_auth.py
  > challenge = $TESTTMP/challenge.py
  > [web]
  > push_ssl = no
  > allow-push = alice, bob
  > [lfsserver]
  > enforce-locks = yes
  > EOF
  $ serve -R server
  $ lock() {
  >   "$PYTHON" - "$@" << EOF
  > import base64, json, os, sys, urllib.error, urllib.request
  > user, path = sys.argv[1:3]
  > document = {'path': path}
  > if len(sys.argv) > 3:
  >     document['ref'] = {'name': sys.argv[3]}
  > pair = base64.b64encode(f'{user}:secret'.encode()).decode()
  > media = 'application/vnd.git-lfs+json'
  > port = os.environ['HGPORT']
  > with urllib.request.urlopen(urllib.request.Request(
  >     f'http://localhost:{port}/.git/info/lfs/locks',
  >     json.dumps(document).encode(),
  >     {'Content-Type': media, 'Authorization': f'Basic {pair}'},
  > )) as response:
  >     print(response.status, json.load(response)['lock']['owner']['name'])
  > EOF
  > }
  $ lock alice models/a.bin
  201 alice
  $ lock bob b.bin refs/heads/main
  201 bob
  $ lock alice 'é.bin'
  201 alice

  $ hg admin::lfs-locks -R server | sed -e 's/ID:[0-9a-f]\{32\}/ID/' -e 's/20[^ ]* [^ ]*/DATE/'
  models/a.bin	alice	ID	DATE UTC
  b.bin	bob	refs/heads/main	ID	DATE UTC
  \xc3\xa9.bin	alice	ID	DATE UTC (esc)
  3 locks

  $ hg clone -q server client
  $ cd client
  $ cat >> .hg/hgrc << EOF
  > [paths]
  > alice = http://alice:secret@localhost:$HGPORT/
  > bob = http://bob:secret@localhost:$HGPORT/
  > ssh = ssh://user@dummy/server
  > EOF
  $ mkdir models
  $ echo a > models/a.bin
  $ hg ci -qAm a

A push by the owner of the locks, and by others

  $ hg push bob
  pushing to http://bob:***@localhost:$HGPORT/
  searching for changes
  remote: adding changesets
  remote: adding manifests
  remote: adding file changes
  remote: models/a.bin is locked by alice
  remote: error: pretxnchangegroup.lfs-locks hook failed: push refused: models/a.bin is locked by alice
  remote: transaction abort!
  remote: rollback completed
  remote: push refused: models/a.bin is locked by alice
  remote: ('git lfs unlock --force' removes a lock)
  abort: push failed on remote
  [100]
  $ hg -R ../server log -T '{rev}\n'
  $ hg push bob --config devel.legacy.exchange=bundle1 2>&1 | grep -v adding
  pushing to http://bob:***@localhost:$HGPORT/
  searching for changes
  remote: models/a.bin is locked by alice
  remote: error: pretxnchangegroup.lfs-locks hook failed: push refused: models/a.bin is locked by alice
  remote: transaction abort!
  remote: rollback completed
  $ hg push -q ssh
  remote: push refused: models/a.bin is locked by alice
  remote: ('git lfs unlock --force' removes a lock)
  abort: push failed on remote
  [100]
  $ hg push -q ../server
  models/a.bin is locked by alice
  error: pretxnchangegroup.lfs-locks hook failed: push refused: models/a.bin is locked by alice
  transaction abort!
  rollback completed
  abort: push refused: models/a.bin is locked by alice
  ('git lfs unlock --force' removes a lock)
  [255]
  $ hg -R ../server log -T '{rev}\n'
  $ hg push -q alice
  $ hg -R ../server log -T '{rev} {desc}\n'
  0 a

The user of a push over ssh is REMOTE_USER, or the user of the system.

  $ echo a2 > models/a.bin
  $ hg ci -qm a2
  $ REMOTE_USER=bob hg push -q ssh 2>&1 | grep "refused.*by"
  remote: push refused: models/a.bin is locked by alice
  $ REMOTE_USER=alice hg push -q ssh
  $ echo a3 > models/a.bin
  $ hg ci -qm a3
  $ LOGNAME=bob hg push -q ../server 2>&1 | grep "refused.*by"
  error: pretxnchangegroup.lfs-locks hook failed: push refused: models/a.bin is locked by alice
  abort: push refused: models/a.bin is locked by alice
  $ LOGNAME=alice hg push -q ../server

All changesets of a push count, also if a later one undoes the change, and so do
removed and renamed files, and locks that git-lfs took for a branch.

  $ echo b > b.bin
  $ echo e > 'é.bin'
  $ hg ci -qAm three
  $ hg rm b.bin
  $ hg mv models/a.bin c.bin
  $ hg ci -qm removed
  $ hg push alice 2>&1 | grep "refused.*by"
  remote: error: pretxnchangegroup.lfs-locks hook failed: push refused: b.bin is locked by bob
  remote: push refused: b.bin is locked by bob
  $ hg push bob 2>&1 | grep "refused.*by"
  remote: error: pretxnchangegroup.lfs-locks hook failed: push refused: models/a.bin is locked by alice (and 1 more)
  remote: push refused: models/a.bin is locked by alice (and 1 more)

An override, where the server accepts variables of pushes

  $ hg push -q bob --pushvars LFS_FORCE=yes 2>&1 | grep "refused.*by"
  remote: push refused: models/a.bin is locked by alice (and 1 more)
  $ cat >> ../server/.hg/hgrc << EOF
  > [push]
  > pushvars.server = yes
  > EOF
  $ hg push bob 2>&1 | grep pushvars
  remote: (use --pushvars LFS_FORCE=yes to override the locks)
  $ hg push -q bob --pushvars LFS_FORCE=no 2>&1 | grep "refused.*by"
  remote: push refused: models/a.bin is locked by alice (and 1 more)
  $ hg push bob --pushvars LFS_FORCE=yes
  pushing to http://bob:***@localhost:$HGPORT/
  searching for changes
  remote: adding changesets
  remote: adding manifests
  remote: adding file changes
  remote: models/a.bin is locked by alice
  remote: \xc3\xa9.bin is locked by alice (esc)
  remote: locks of 2 files overridden
  remote: added 2 changesets with 3 changes to 3 files

A pull on the server is not a push, and without the option nothing is enforced.

  $ mkdir models
  $ echo a4 > models/a.bin
  $ hg ci -qAm a4
  $ hg -R ../server pull -q .
  $ hg -R ../server log -r tip -T '{desc}\n'
  a4
  $ echo a5 > models/a.bin
  $ hg ci -qm a5
  $ echo '[lfsserver]' >> ../server/.hg/hgrc
  $ echo 'enforce-locks = no' >> ../server/.hg/hgrc
  $ hg push -q bob
  $ echo 'enforce-locks = yes' >> ../server/.hg/hgrc

The message names only some of many files.

  $ for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22; do
  >   echo $n > many$n
  > done
  $ hg ci -qAm many
  $ hg locate 'many*' > ../names
  $ "$PYTHON" - << EOF
  > import sqlite3
  > with sqlite3.connect('../server/.hg/store/lfs/locks.sqlite') as db:
  >     for n in open('../names'):
  >         db.execute('INSERT INTO lock (id, path, ref, owner, locked_at)'
  >                    " VALUES (?1, ?1, '', 'alice', 0)", (n.strip(),))
  > EOF
  $ hg push bob 2>&1 | grep locked | tail -n 4
  remote: many7 is locked by alice
  remote: 2 more files are locked
  remote: error: pretxnchangegroup.lfs-locks hook failed: push refused: many1 is locked by alice (and 21 more)
  remote: push refused: many1 is locked by alice (and 21 more)

A database of locks that cannot be read: nothing is pushed.

  $ mv ../server/.hg/store/lfs/locks.sqlite ../locks
  $ echo nonsense > ../server/.hg/store/lfs/locks.sqlite
  $ hg push -q ../server
  the lock database cannot be used: file is not a database
  error: pretxnchangegroup.lfs-locks hook failed: LFS locks cannot be checked
  transaction abort!
  rollback completed
  abort: LFS locks cannot be checked
  [255]
  $ hg -R ../server admin::lfs-locks
  abort: the lock database cannot be used: file is not a database
  [255]
  $ mv ../locks ../server/.hg/store/lfs/locks.sqlite

Breaking locks
--------------

  $ cd ../server
  $ hg admin::lfs-locks --break
  abort: name the files or owners whose locks to break
  (use --all to break all locks)
  [10]
  $ hg admin::lfs-locks nothing
  0 locks
  [1]
  $ hg admin::lfs-locks --break b.bin -T json
  [
   {
    "broken": true,
    "date": [*, 0], (glob)
    "id": "*", (glob)
    "owner": "bob",
    "path": "b.bin",
    "ref": "refs/heads/main"
   }
  ]
  broke 1 locks
  $ hg admin::lfs-locks --owner bob
  0 locks
  [1]
  $ hg admin::lfs-locks -q --break `hg admin::lfs-locks -T '{id}' -q models/a.bin`
  models/a.bin	alice	ID:* (glob)
  $ hg admin::lfs-locks -q --break --owner alice many1 many2 many3 | wc -l | tr -d ' '
  3
  $ hg admin::lfs-locks --break --all -T '{path}\n' | tail -n 2
  many9
  broke 20 locks
  $ hg admin::lfs-locks
  0 locks
  $ hg -R ../client push -q bob
  $ cat ../error.log
