What hooks see of a transaction, and what is left after a failure.

  $ cat >> $HGRCPATH <<'RC'
  > [extensions]
  > sqlitestore =
  > [storage]
  > new-repo-backend = sqlite
  > [ui]
  > rollback = true
  > RC
  $ rows() {
  >   python3 - <<'PY'
  > import sqlite3
  > db = sqlite3.connect('.hg/store/history.sqlite')
  > print('paths %d, loose %d, frames %d, sealed %s' % (
  >     db.execute('SELECT count(*) FROM path').fetchone()[0],
  >     db.execute('SELECT count(*) FROM rev').fetchone()[0],
  >     db.execute('SELECT count(*) FROM frame').fetchone()[0],
  >     db.execute('SELECT sum(n) FROM idx').fetchone()[0]))
  > db.close()
  > PY
  > }

  $ hg init repo
  $ cd repo
  $ echo base > f
  $ hg commit -qAm base

A hook in another process reads the pending revision. If the hook refuses it,
the revision is removed

  $ echo pending >> f
  $ echo new > g
  $ hg add g
  $ hg commit -m refused --config 'hooks.pretxncommit.a=hg cat -r tip f g; hg log -r tip -p -T "{rev}\n"' --config hooks.pretxncommit.b=false
  base
  pending
  new
  1
  diff -r 3d6c161b3307 -r 44a29e8b88db f
  --- a/f	Thu Jan 01 00:00:00 1970 +0000
  +++ b/f	Thu Jan 01 00:00:00 1970 +0000
  @@ -1,1 +1,2 @@
   base
  +pending
  diff -r 3d6c161b3307 -r 44a29e8b88db g
  --- /dev/null	Thu Jan 01 00:00:00 1970 +0000
  +++ b/g	Thu Jan 01 00:00:00 1970 +0000
  @@ -0,0 +1,1 @@
  +new
  
  transaction abort!
  rollback completed
  abort: pretxncommit.b hook exited with status 1
  [40]
  $ rows
  paths 2, loose 2, frames 0, sealed None
  $ hg verify -q

  $ hg commit -m accepted --config 'hooks.pretxncommit.a=hg cat -r tip f g'
  base
  pending
  new
  $ rows
  paths 3, loose 5, frames 0, sealed None

The same for a changegroup

  $ cd ..
  $ hg clone -q --pull -r 0 repo clone
  $ cd clone
  $ rows
  paths 2, loose 0, frames 2, sealed 2
  $ hg pull -q ../repo --config 'hooks.pretxnchangegroup.a=hg cat -r tip f g' --config hooks.pretxnchangegroup.b=false
  base
  pending
  new
  transaction abort!
  rollback completed
  abort: pretxnchangegroup.b hook exited with status 1
  [40]
  $ rows
  paths 2, loose 0, frames 2, sealed 2
  $ hg verify -q
  $ hg pull -q ../repo
  $ rows
  paths 3, loose 2, frames 3, sealed 3
  $ hg rollback -q
  $ rows
  paths 2, loose 0, frames 2, sealed 2
  $ hg pull -q ../repo
  $ hg verify -q
  $ cd ../repo

A process is killed after its file revisions were committed

  $ cat > $TESTTMP/die.py <<'PY'
  > import os, signal
  > from mercurial import extensions
  > def reposetup(ui, repo):
  >     point = ui.config(b'die', b'at', b'')
  >     if not repo.local() or not point:
  >         return
  >     class dying(repo.__class__):
  >         def transaction(self, *args, **kwargs):
  >             tr = super().transaction(*args, **kwargs)
  >             def die(tr):
  >                 os.kill(os.getpid(), signal.SIGKILL)
  >             if point == b'finalize':
  >                 # after sqlitestore's finalizer, before the changelog's
  >                 tr.addfinalize(b'01-die', die)
  >             elif point == b'end':
  >                 tr.addfinalize(b'zz-die', die)
  >             return tr
  >     repo.__class__ = dying
  > PY
  $ for point in finalize end; do
  >   echo $point >> f
  >   hg commit -m $point --config extensions.die=$TESTTMP/die.py --config die.at=$point > /dev/null 2>&1 || echo killed
  >   rows
  >   hg commit -m again
  >   hg recover -q
  >   rows
  >   hg verify -q
  >   hg cat -r tip f
  >   hg revert -q --no-backup f
  > done
  killed
  paths 3, loose 7, frames 0, sealed None
  abort: abandoned transaction found
  (run 'hg recover' to clean up transaction)
  (verify step skipped, run `hg verify` to check your repository content)
  paths 3, loose 5, frames 0, sealed None
  base
  pending
  killed
  paths 3, loose 7, frames 0, sealed None
  abort: abandoned transaction found
  (run 'hg recover' to clean up transaction)
  (verify step skipped, run `hg verify` to check your repository content)
  paths 3, loose 5, frames 0, sealed None
  base
  pending

The next writer also cleans up, if Mercurial's journal is gone

  $ echo lost >> f
  $ hg commit -m lost --config extensions.die=$TESTTMP/die.py --config die.at=finalize > /dev/null 2>&1
  [137]
  $ rows
  paths 3, loose 7, frames 0, sealed None
  $ hg recover -q --config extensions.sqlitestore=$TESTTMP/none.py 2>&1 | head -1
  *** failed to import extension "sqlitestore" from $TESTTMP/none.py: [Errno 2] No such file or directory: '$TESTTMP/none.py'
  $ hg recover -q
  (verify step skipped, run `hg verify` to check your repository content)
  $ hg commit -m found
  $ rows
  paths 3, loose 7, frames 0, sealed None
  $ hg verify -q
  $ hg log -T '{rev} {desc}\n'
  2 found
  1 accepted
  0 base
