The steps of docs/upgrading.rst.

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > sqlitestore =
  > EOF

Trying a new version on a copy
------------------------------

  $ hg init project --config storage.new-repo-backend=sqlite
  $ cd project
  $ for n in 1 2 3; do echo $n > f; hg commit -qAm $n -d "$n 0"; done
  $ hg admin::sqlite-backup --rest $TESTTMP/rest.tar
  $TESTTMP/rest.tar written * (glob)
  $ hg admin::sqlite-backup $TESTTMP/history.sqlite
  $TESTTMP/history.sqlite written * (glob)
  $ mkdir ../trial && cd ../trial && tar -xf ../rest.tar
  $ hg admin::sqlite-restore ../history.sqlite
  database restored (3 changesets)
  $ hg verify -q
  $ hg log -r tip -T '{desc}\n'
  3
  $ cd ..

From revlogs and back
---------------------

  $ hg init revlogs --config storage.new-repo-backend=revlogv1
  $ hg -R revlogs pull -q -u project
  $ cd revlogs
  $ hg log -r tip -T '{node}\n' > ../before
  $ hg verify -q
  $ hg admin::sqlite-convert
  3 revisions of 1 files converted
  $ hg verify -q
  $ hg admin::sqlite-repack -q
  $ hg log -r tip -T '{node}\n' | cmp - ../before
  $ hg --config extensions.sqlitestore=! log
  abort: repository requires features unknown to this Mercurial: sqlitestore-compression=zstd sqlitestore-v3
  (see https://mercurial-scm.org/wiki/MissingRequirement for more information)
  [255]
  $ hg admin::sqlite-convert --to revlog
  3 revisions of 1 files converted
  $ hg --config extensions.sqlitestore=! verify -q
  $ hg log -r tip -T '{node}\n' | cmp - ../before

A damaged revlog stops the conversion, and nothing is changed

  $ cp .hg/store/data/f.i ../f.i
  $ printf damaged | dd of=.hg/store/data/f.i bs=1 seek=70 conv=notrunc 2> /dev/null
  $ hg admin::sqlite-convert
  abort: * (glob)
  [50]
  $ grep sqlite .hg/store/requires
  [1]
  $ cp ../f.i .hg/store/data/f.i
  $ hg verify -q
  $ cd ..

From the extension that came with Mercurial
-------------------------------------------

  $ cp -R project old
  $ cat > legacy.py << EOF
  > import sys
  > sys.path.insert(0, '$TESTDIR/helpers')
  > from mercurial import ui
  > from mercurial import extensions
  > extensions.loadall(ui.ui.load())
  > import sqlitestore_legacy
  > sqlitestore_legacy.make_legacy(b'old')
  > EOF
  $ "$PYTHON" legacy.py 2> /dev/null
  $ cd old
  $ hg cat -r tip f
  abort: this repository has an old format (exp-sqlite-001)
  (run 'hg admin::sqlite-convert')
  [255]
  $ cp -R . ../old2
  $ hg admin::sqlite-convert
  3 revisions of 1 files converted
  $ hg verify -q
  $ cd ../old2
  $ hg admin::sqlite-convert --to revlog
  3 revisions of 1 files converted
  $ hg --config extensions.sqlitestore=! verify -q
  $ cd ..

From development versions
-------------------------

An unknown requirement

  $ cp -R project v2
  $ sed 's/sqlitestore-v3/sqlitestore-v2/' project/.hg/store/requires > v2/.hg/store/requires
  $ hg -R v2 admin::sqlite-convert
  abort: repository requires features unknown to this Mercurial: sqlitestore-v2
  (see https://mercurial-scm.org/wiki/MissingRequirement for more information)
  [255]

Tables of an early version of sqlitestore-v3, which kept manifests in revlogs. The
revlogs must not be taken for what an interrupted conversion left.

  $ cp -R project v3
  $ "$PYTHON" -c "import sqlite3; sqlite3.connect('v3/.hg/store/history.sqlite').execute('alter table path rename column kind to other')"
  $ echo manifests > v3/.hg/store/00manifest.i
  $ hg -R v3 admin::sqlite-convert
  abort: cannot use $TESTTMP/v3/.hg/store/history.sqlite: no such column: kind
  (run 'hg verify')
  [255]
  $ hg -R v3 admin::sqlite-convert --to revlog
  abort: cannot use $TESTTMP/v3/.hg/store/history.sqlite: no such column: kind
  (run 'hg verify')
  [255]
  $ cat v3/.hg/store/00manifest.i
  manifests

Taking back keep-wal
--------------------

  $ cd project
  $ echo 4 > f
  $ hg commit -m 4 --config storage.sqlite.keep-wal=yes
  $ ls .hg/store | grep wal
  history.sqlite-wal
  $ echo 5 > f
  $ hg commit -m 5
  $ ls .hg/store | grep wal
  [1]
