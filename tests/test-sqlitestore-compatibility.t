Commands and extensions of Mercurial that use file storage in unusual ways. Most
of these cases were found by running Mercurial's own tests with sqlitestore.

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > censor =
  > rebase =
  > shelve =
  > sqlitestore =
  > [storage]
  > new-repo-backend = sqlite
  > EOF

Rebase strips a chain of copies, each stored as a delta of the one before, in
files that are removed one after the other

  $ hg init copies
  $ cd copies
  $ echo a > a
  $ hg ci -Aqm 'a'
  $ hg cp a b
  $ echo b > b
  $ hg ci -qm 'b of a'
  $ hg cp b c
  $ echo c > c
  $ hg ci -qm 'c of b'
  $ hg cp c d
  $ echo d > d
  $ hg ci -qm 'd of c'
  $ hg up -q 0
  $ echo x > x
  $ hg ci -Aqm 'unrelated'
  $ hg rebase -q -s 1 -d 4
  $ hg log -T '{rev} {desc}: {join(file_copies, " ")}\n'
  4 d of c: d (c)
  3 c of b: c (b)
  2 b of a: b (a)
  1 unrelated: 
  0 a: 
  $ hg cat -r tip a b c d
  a
  b
  c
  d
  $ hg verify -q
  $ cd ..

A transaction and a weak proxy of it are treated as the same transaction:
unshelve makes a temporary commit, and applies a bundle that adds a new file

  $ hg init shelved
  $ cd shelved
  $ echo a > a
  $ hg ci -Aqm 'a'
  $ echo b > b
  $ hg add b
  $ hg shelve -q
  $ echo c > c
  $ hg add c
  $ hg --config shelve.store=strip unshelve
  unshelving change 'default'
  temporarily committing pending changes (restore with 'hg unshelve --abort')
  rebasing shelved changes
  $ hg st
  A b
  A c
  $ hg verify -q
  $ cd ../copies

A rollback prints nothing more than usual

  $ hg rollback -n
  no rollback information available
  [1]
  $ hg up -q tip
  $ echo e > e
  $ hg ci -Aqm 'e'
  $ hg rollback
  repository tip rolled back to revision 4 (undo commit)
  working directory now based on revision 4
  $ hg verify -q
  $ cd ..

A program may open a repository before it loads extensions. Mercurial then loads
them while it opens the repository

  $ cat > opens.py << EOF
  > from mercurial import ui
  > try:
  >     from mercurial.repo.factory import repository
  > except ImportError:
  >     from mercurial.hg import repository  # hg <= 7.1
  > repo = repository(ui.ui.load(), b'copies')
  > print(len(repo.file(b'a')), repo[b'tip'][b'd'].data())
  > EOF
  $ "$PYTHON" opens.py
  1 b'd\n'

Mercurial's censor command opens the file for reading only

  $ hg init censored
  $ cd censored
  $ echo 'a secret of some length' > a
  $ hg ci -Aqm 'secret'
  $ echo public > a
  $ hg ci -qm 'public'
  $ hg censor -q -r 0 a --tombstone gone
  $ hg cat -r 0 a
  abort: censored node: * (glob)
  (set censor.policy to ignore errors)
  [255]
  $ hg cat -r 1 a
  public

Debug commands that need a revlog refuse files in SQLite, the others work

  $ hg debugrevlog a
  abort: the history of 'a' is not in a revlog
  (see 'hg help admin::sqlite-stats')
  [10]
  $ hg debugdeltachain a
  abort: the history of 'a' is not in a revlog
  (see 'hg help admin::sqlite-stats')
  [10]
  $ hg debugrevlogstats | sed 's/^ *[0-9]* *[0-9]* //'
  rev-count   data-size inl type      target 
  no  changelog 
  $ hg debugindex a | sed 's/ *$//'
     rev linkrev       nodeid    p1-nodeid    p2-nodeid
       0       0 721b881a4059 000000000000 000000000000
       1       1 65c94a2a1298 721b881a4059 000000000000
  $ hg debugrevlogindex -f 1 a
     rev flag     size   link     p1     p2       nodeid
       0 8000       19      0     -1     -1 721b881a4059
       1 0000        7      1      0     -1 65c94a2a1298
  $ hg debugrevlogindex -f 1 -v a
  abort: the history of 'a' is not in a revlog
  (see 'hg help admin::sqlite-stats')
  [10]
  $ hg debugdata a 1
  public
  $ hg debug-repair-issue6528 --dry-run
  abort: the file history of this repository is not in revlogs
  (convert it with 'hg admin::sqlite-convert --to revlog', repair it, and convert it back)
  [20]

So do the commands of Mercurial's contrib/perf.py. Those that only read texts
work; those that measure the parts of a revlog refuse.

  $ hg init ../perf
  $ cd ../perf
  $ for i in 0 1 2 3; do echo $i >> a; hg commit -qAm $i; done
  $ cat > perf.sh << 'EOF'
  > while read -r command; do
  >   if hg $command --config extensions.perf="$RUNTESTDIR/../contrib/perf.py" \
  >     --config perf.stub=yes --config perf.run-limits=0-1 > out 2>&1
  >   then echo "$command: works"
  >   else echo "$command: `grep '^abort' out || tail -1 out`"
  >   fi
  > done
  > EOF
  $ sh perf.sh << EOF
  > perf::annotate a
  > perf::bdiff a 0
  > perf::bdiff a 0 --blocks
  > perf::bdiff -c --alldata 0
  > perf::bundle -r tip
  > perf::cca
  > perf::changegroupchangelog
  > perf::diffwd
  > perf::log
  > perf::manifest tip
  > perf::pathcopies 0 tip
  > perf::stream-locked-section
  > perf::templating -r tip
  > perf::unidiff a 0
  > perf::unidiff -c --alldata 0
  > perfrevlogrevisions a
  > perfrevlogindex a
  > perfrevlogwrite a
  > perfrevlogchunks a
  > perfrevlogrevision a 1
  > EOF
  perf::annotate a: works
  perf::bdiff a 0: works
  perf::bdiff a 0 --blocks: works
  perf::bdiff -c --alldata 0: works
  perf::bundle -r tip: works
  perf::cca: works
  perf::changegroupchangelog: works
  perf::diffwd: works
  perf::log: works
  perf::manifest tip: works
  perf::pathcopies 0 tip: works
  perf::stream-locked-section: works
  perf::templating -r tip: works
  perf::unidiff a 0: works
  perf::unidiff -c --alldata 0: works
  perfrevlogrevisions a: works
  perfrevlogindex a: abort: the history of 'a' is not in a revlog
  perfrevlogwrite a: abort: the history of 'a' is not in a revlog
  perfrevlogchunks a: abort: the history of 'a' is not in a revlog
  perfrevlogrevision a 1: abort: the history of 'a' is not in a revlog
  $ cd ..

The database needs a store. Without one the backend is ignored, like other
options that need a store

  $ hg init server
  $ cd server
  $ echo a > a
  $ hg ci -Aqm 0
  $ cd ..
  $ hg clone -q --pull --config format.usestore=no server flat
  ignoring 'storage.new-repo-backend=sqlite' because it is incompatible with disabled 'format.usestore' config
  $ hg debugrequirements -R flat | egrep 'store|sqlite'
  [1]
  $ hg -R flat cat -r tip flat/a
  a
  $ cd ..

The keyword extension has its own class of files

  $ hg init keywords
  $ cd keywords
  $ cat >> .hg/hgrc <<EOF
  > [extensions]
  > keyword =
  > [keyword]
  > a =
  > [keywordmaps]
  > Summary = {desc}
  > EOF
  $ echo '$Summary$' > a
  $ echo '$Summary$' > b
  $ hg ci -Aqm one
  $ hg cat a b
  $Summary: one $
  $Summary$
  $ hg cat a b --config extensions.keyword=!
  $Summary$
  $Summary$
  $ echo more >> a
  $ hg ci -qm two
  $ hg diff -c tip a | tail -n 2
   $Summary$
  +more
  $ hg verify -q
  $ test -d .hg/store/data
  [1]
  $ cd ..

The database gets the permissions of the folder of the store, even if the
repository was shared with a group after it was created

  $ umask 077
  $ hg init group
  $ chmod 0770 group/.hg/store
  $ cd group
  $ echo a > a
  $ hg ci -Aqm 0 --config 'hooks.pretxncommit.list=ls -l .hg/store/history.sqlite* | cut -c 1-10'
  -rw-rw----
  -rw-rw----
  -rw-rw----
  $ ls -l .hg/store/history.sqlite* | cut -c 1-10
  -rw-rw----
