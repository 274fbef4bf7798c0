Backups of the database with admin::sqlite-backup.

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > sqlitestore =
  > [storage]
  > new-repo-backend = sqlite
  > EOF

  $ hg init r
  $ cd r
  $ for i in 0 1 2; do echo $i > a; hg commit -qAm $i; done

The destination is a new file or a directory; other destinations are refused

  $ hg admin::sqlite-backup ../copy
  ../copy written (* KB) (glob)
  $ mkdir ../backups
  $ hg admin::sqlite-backup -q ../backups
  $ ls ../backups
  history.sqlite
  $ hg admin::sqlite-backup ../copy
  abort: '../copy' already exists
  [255]
  $ hg admin::sqlite-backup ../nowhere/copy
  abort: cannot write ../nowhere/copy: No such file or directory
  [255]
  $ hg --config storage.new-repo-backend=revlogv1 init ../plain
  $ hg -R ../plain admin::sqlite-backup ../copy2
  abort: this repository does not keep its files in SQLite
  (see 'hg help admin::sqlite-convert')
  [255]

To back up a whole repository, copy everything but the database first, and the
database afterwards. Here a changeset is committed in between

  $ mkdir ../saved
  $ cp -R .hg ../saved/.hg
  $ rm ../saved/.hg/store/history.sqlite*
  $ echo 3 > a
  $ hg commit -qm 3
  $ hg admin::sqlite-backup -q ../saved/.hg/store/history.sqlite

hg recover removes the file revisions that the changelog does not know

  $ cd ../saved
  $ hg recover
  removing file revisions of an interrupted transaction
  (verify step skipped, run `hg verify` to check your repository content)
  $ hg verify -q
  $ hg admin::sqlite-stats -T '{revisions}\n'
  6
  $ hg cat -r tip a
  2
  $ hg update -q tip
  $ echo 3 > a
  $ hg commit -qm 'other 3'
  $ hg verify -q
  $ hg cat -r tip a
  3

Without hg recover, the next transaction removes them

  $ hg clone -q --pull -r 1 . ../older
  $ cd ../older
  $ cp ../copy .hg/store/history.sqlite
  $ rm -f .hg/store/history.sqlite-*
  $ echo 5 > b
  $ hg commit -qAm 5
  $ hg verify -q
  $ hg admin::sqlite-stats -T '{revisions}\n'
  6

A backup made by a hook, while a transaction is open

  $ cd ../r
  $ echo 4 > a
  $ hg commit -qm 4 --config hooks.pretxncommit='hg admin::sqlite-backup -q ../pending'
  $ hg clone -q --pull -r 2 . ../older2
  $ cd ../older2
  $ cp ../pending .hg/store/history.sqlite
  $ rm -f .hg/store/history.sqlite-*
  $ hg recover -q 2>/dev/null
  $ hg verify -q
  $ hg admin::sqlite-stats -T '{revisions}\n'
  6

Backing up a damaged database fails and leaves no file

  $ cd ../r
  $ "$PYTHON" << EOF
  > with open('.hg/store/history.sqlite', 'r+b') as file:
  >     file.seek(4096 * 3)
  >     file.write(b'\377' * 4096)
  > EOF
  $ hg admin::sqlite-backup ../damaged 2>&1 | grep -c 'malformed\|damaged'
  1
  $ ls .. | grep damaged
  [1]
