Copies of a repository beside its database, and restoring with admin::sqlite-restore.

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > sqlitestore =
  > strip =
  > [storage]
  > new-repo-backend = sqlite
  > sqlite.auto-repack = no
  > [alias]
  > show = log -GT '{rev} {desc} {bookmarks}\n'
  > EOF
  $ hg init r
  $ cd r
  $ commit() { echo $1 > $1; hg commit -qAm $1; }
  $ save() {
  >   rm -f ../$1.db
  >   hg admin::sqlite-backup -q --rest ../$1.tar
  >   hg admin::sqlite-backup -q ../$1.db
  > }
  $ for i in 0 1 2; do commit $i; done
  $ save early
  $ for i in 3 4; do commit $i; done
  $ hg bookmark -r 4 b
  $ echo '# mine' > .hg/hgrc
  $ mkdir -p .hg/store/.history.sqlite-litestream .hg/cache/x .hg/patches
  $ touch .hg/store/.history.sqlite-litestream/x .hg/cache/x/x .hg/patches/series
  $ save late

The archive has all that is not in the database and not made anew

  $ "$PYTHON" -m tarfile -l ../late.tar | sed 's/ *$//'
  .hg/00changelog.i
  .hg/bookmarks
  .hg/branch (?)
  .hg/hgrc
  .hg/requires
  .hg/patches/series
  .hg/store/00changelog.d (?)
  .hg/store/00changelog.i
  .hg/store/phaseroots
  .hg/store/requires
  $ hg admin::sqlite-backup --rest ../late.tar
  ../late.tar written (* KB) (glob)
  $ hg admin::sqlite-backup --rest ../nowhere/late.tar
  abort: cannot write ../nowhere/late.tar: No such file or directory
  [255]
  $ mkdir ../folder
  $ hg admin::sqlite-backup --rest ../folder
  abort: cannot write ../folder: Is a directory
  [255]
  $ ls ..
  early.db
  early.tar
  folder
  late.db
  late.tar
  r

Both copies of one moment

  $ restore() {
  >   rm -rf ../new
  >   mkdir ../new
  >   cd ../new
  >   "$PYTHON" -m tarfile -e ../$1.tar . > /dev/null
  >   hg admin::sqlite-restore ../$2.db
  >   hg recover -q
  >   hg verify -q
  >   hg show
  > }
  $ restore late late
  database restored (5 changesets)
  no interrupted transaction available
  o  4 4 b
  |
  o  3 3
  |
  o  2 2
  |
  o  1 1
  |
  o  0 0
  
  $ cat .hg/hgrc
  # mine
  $ hg update -q
  $ ls
  0
  1
  2
  3
  4
  $ commit 5
  $ hg verify -q

The rest is newer than the database: nothing of the database is lost

  $ restore late early
  database restored (3 changesets)
  removed 2 newer changesets whose files are not in ../early.db
  no interrupted transaction available
  o  2 2 b
  |
  o  1 1
  |
  o  0 0
  
  $ hg admin::sqlite-stats -T '{revisions}\n'
  6
  $ hg update -q
  $ commit 5
  $ hg verify -q

The rest is older: changesets that it lacks are lost, and their files are removed

  $ restore early late
  database restored (3 changesets)
  no interrupted transaction available
  o  2 2
  |
  o  1 1
  |
  o  0 0
  
  $ hg admin::sqlite-stats -T '{revisions}\n'
  6

Repeating it changes nothing

  $ hg admin::sqlite-restore ../late.db
  database restored (3 changesets)
  $ hg verify -q

A strip between the two copies: what is above it is lost

  $ cd ../r
  $ hg update -q 2
  $ commit branch
  $ hg strip -q --no-backup 3
  $ save stripped
  $ restore stripped late
  database restored (3 changesets)
  removed 1 newer changesets whose files are not in ../late.db
  no interrupted transaction available
  o  2 2 b
  |
  o  1 1
  |
  o  0 0
  
  $ restore stripped stripped
  database restored (4 changesets)
  no interrupted transaction available
  o  3 branch
  |
  o  2 2 b
  |
  o  1 1
  |
  o  0 0
  

A damaged database is replaced, also with a log beside it

  $ "$PYTHON" -c "open('.hg/store/history.sqlite', 'wb').write(b'x' * 9999)"
  $ "$PYTHON" -c "open('.hg/store/history.sqlite-wal', 'wb').write(b'x' * 9999)"
  $ hg admin::sqlite-restore ../stripped.db
  database restored (4 changesets)
  $ hg verify -q

What is no database changes nothing

  $ hg admin::sqlite-restore ../nowhere
  abort: cannot open ../nowhere: No such file or directory
  (it holds the file history; restore it from a backup)
  [255]
  $ hg admin::sqlite-restore ../late.tar
  abort: ../late.tar: file is not a database
  (run 'hg verify'; restore the file from a backup)
  [50]
  $ hg verify -q
  $ ls .hg/store | grep history
  history.sqlite
  $ hg --config storage.new-repo-backend=revlogv1 init ../plain
  $ hg -R ../plain admin::sqlite-restore ../late.db
  abort: this repository does not keep its files in SQLite
  (see 'hg help admin::sqlite-convert')
  [255]
