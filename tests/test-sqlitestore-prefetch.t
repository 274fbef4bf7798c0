Reading the texts of many files ahead.

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > sqlitestore =
  > [storage]
  > new-repo-backend = sqlite
  > EOF

  $ hg init source
  $ cd source
  $ mkdir d
  $ for i in 0 1 2 3 4 5 6 7 8 9; do echo $i > $i; echo d$i > d/$i; done
  $ hg commit -qAm 0
  $ for i in 0 1 2 3 4; do echo more >> $i; hg copy -q $i d/c$i; done
  $ hg commit -qm 1
  $ cd ..
  $ hg clone -q --pull -U source r
  $ cd r

Files are read ahead by one query, not one by one: count how many indexes of
files are opened

  $ cat > ../count.py << EOF
  > from mercurial import extensions
  > from hgext3rd.sqlitestore.reading import store
  > def uisetup(ui):
  >     opened = []
  >     def index(orig, self, path, *kind):
  >         if kind != (1,):
  >             opened.append(path)
  >         return orig(self, path, *kind)
  >     extensions.wrapfunction(store.Store, 'index', index)
  >     ui.atexit(lambda: ui.write(b'indexes opened: %d\n' % len(opened)))
  > EOF
  $ alias hgc='hg --config extensions.count=../count.py --config worker.enabled=no'
  $ hgc update -q 0
  indexes opened: 0
  $ cat 3 d/3
  3
  d3
  $ hgc update -q 1
  indexes opened: * (glob)
  $ cat 3 d/c3
  3
  more
  3
  more
  $ hg status
  $ hgc archive -q -r 1 ../archived
  indexes opened: [01] (re)
  $ diff -r -x '.hg*' . ../archived
  $ rm -r d [0-9]
  $ hgc revert -q --all
  indexes opened: * (glob)
  $ hg status
  $ hgc cat -r 0 1 2
  1
  2
  indexes opened: 2

A diff reads each text twice, but only once from the database

  $ hgc diff -r null -r 1 | grep -v '^[-+ d@]'
  indexes opened: 0

Commands on several changesets announce all of them at first, and then each one:
only the latter are read ahead

  $ cat > ../loads.py << EOF
  > from mercurial import extensions
  > from hgext3rd.sqlitestore.reading import prefetch
  > def uisetup(ui):
  >     def load(orig, store, wanted):
  >         orig(store, wanted)
  >         ui.write(b'%d texts read ahead\n' % len(store.ready))
  >     extensions.wrapfunction(prefetch, '_load', load)
  > EOF
  $ hg init ../three
  $ hg -R ../three pull -q -r 1 .
  $ cd ../three
  $ hg update -q 1
  $ echo more >> 1
  $ hg commit -qm 2
  $ hg export --config extensions.loads=../loads.py 0 1 2 | grep ahead
  20 texts read ahead
  $ cd ../r

A few files, or loose revisions, are read one by one

  $ echo loose > 3
  $ hg commit -qm 2
  $ hgc cat -r tip 3
  loose
  indexes opened: 1
  $ hg update -q null
  $ hgc update -q tip
  indexes opened: 1
  $ cat 3
  loose

With workers

  $ hg update -q null
  $ hg update -q tip --config worker.numcpus=2 --config worker.backgroundclose=no \
  >   --config worker.enabled=yes
  $ hg status
  $ diff -r -x '.hg*' -x 3 . ../archived

Texts that were read ahead are checked like all others

  $ hg update -q null
  $ "$PYTHON" << EOF
  > import sqlite3
  > from hgext3rd.amalgam.codecs import chunks
  > with sqlite3.connect('.hg/store/history.sqlite') as db:
  >     # The frame of files was stored last.
  >     frame, data = db.execute('SELECT id, data FROM frame ORDER BY id DESC').fetchone()
  >     text = chunks.decode(data).replace(b'd5', b'd6')
  >     db.execute('UPDATE frame SET data = ? WHERE id = ?', (chunks.RAW + text, frame))
  > EOF
  $ hg update -q tip --config worker.enabled=no
  abort: integrity check failed on d/5:0
  [50]
