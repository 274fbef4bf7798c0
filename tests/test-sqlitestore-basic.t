Creation and everyday commands of a repository with its files in SQLite.

  $ cat >> $HGRCPATH <<'RC'
  > [extensions]
  > sqlitestore =
  > [storage]
  > new-repo-backend = sqlite
  > RC

Create a repository. Its requirements name the format and the compression

  $ hg init repo
  $ cd repo
  $ grep sqlite .hg/store/requires .hg/requires
  .hg/store/requires:sqlitestore-compression=zstd
  .hg/store/requires:sqlitestore-v3
  $ ls .hg/store | grep -v requires
  history.sqlite

A Mercurial without the extension names the requirement it lacks

  $ hg --config extensions.sqlitestore=! log
  abort: repository requires features unknown to this Mercurial: sqlitestore-compression=zstd sqlitestore-v3
  (see https://mercurial-scm.org/wiki/MissingRequirement for more information)
  [255]

Commit, copy, rename, remove

  $ echo one > a
  $ mkdir -p dir/sub
  $ echo deep > dir/sub/b
  $ hg commit -qAm 'first'
  $ echo two >> a
  $ hg copy a acopy
  $ hg rename dir/sub/b dir/b
  $ hg commit -m 'copies'
  $ hg remove acopy
  $ printf '\1\nlooks like metadata\n' > meta
  $ : > empty
  $ hg commit -qAm 'remove, add odd ones'
  $ find .hg/store/data 2> /dev/null
  [1]

  $ hg log -G -T '{rev} {desc} {join(file_copies, " ")}\n'
  @  2 remove, add odd ones
  |
  o  1 copies acopy (a) dir/b (dir/sub/b)
  |
  o  0 first
  
  $ hg cat -r 1 acopy
  one
  two
  $ hg cat -r 0 dir/sub/b
  deep
  $ hg annotate -u -n a
  test 0: one
  test 1: two
  $ hg diff -r 0 -r tip --git
  diff --git a/a b/a
  --- a/a
  +++ b/a
  @@ -1,1 +1,2 @@
   one
  +two
  diff --git a/dir/sub/b b/dir/b
  rename from dir/sub/b
  rename to dir/b
  diff --git a/empty b/empty
  new file mode 100644
  diff --git a/meta b/meta
  new file mode 100644
  --- /dev/null
  +++ b/meta
  @@ -0,0 +1,2 @@
  +\x01 (esc)
  +looks like metadata
  $ hg cat meta
  \x01 (esc)
  looks like metadata
  $ hg status
  $ hg status --rev 0 --rev 2 -C
  M a
  A dir/b
    dir/sub/b
  A empty
  A meta
  R dir/sub/b

Branches and a merge

  $ hg update -q 0
  $ echo zero > a.new
  $ cat a >> a.new
  $ mv a.new a
  $ hg commit -m 'other side'
  created new head
  $ hg merge -q 2
  $ cat a
  zero
  one
  two
  $ hg commit -m 'merge'
  $ hg log -G -T '{rev} {desc}\n' a
  @    4 merge
  |\
  o :  3 other side
  | :
  | o  1 copies
  |/
  o  0 first
  
  $ hg update -q null
  $ hg update
  4 files updated, 0 files merged, 0 files removed, 0 files unresolved
  $ hg archive -t files ../archive
  $ ls ../archive
  a
  dir
  empty
  meta

All file history is in one database with an application id and a version

  $ hg verify
  checking changesets
  checking manifests
  crosschecking files in changesets and manifests
  checking files
  checking dirstate
  checked 5 changesets with 9 changes to 6 files
  $ f=.hg/store/history.sqlite
  >>> import sqlite3, sys
  >>> db = sqlite3.connect('.hg/store/history.sqlite')
  >>> one = lambda sql: db.execute(sql).fetchone()[0]
  >>> print('%x' % one('PRAGMA application_id'), one('PRAGMA user_version'))
  416d6c46 3
  >>> print(one('PRAGMA journal_mode'), one('PRAGMA page_size'))
  wal 4096
  >>> print(one('PRAGMA integrity_check'))
  ok
  >>> print(one('SELECT count(*) FROM path'))
  7
  >>> db.close()

grep searches old revisions

  $ hg grep --all deep
  dir/b:1:+:deep
  dir/sub/b:0:+:deep
  $ cd ..

Other compressions, and an unknown one

  $ for name in zlib none; do
  >   hg init $name --config storage.sqlite.compression=$name
  >   cd $name
  >   for i in 1 2 3; do
  >     python3 -c 'import sys; print("\n".join(map(str, range(int(sys.argv[1]), 2000))))' $i > numbers
  >     hg commit -qAm $i
  >   done
  >   grep sqlite .hg/store/requires .hg/requires | grep -c $name
  >   hg verify -q
  >   hg cat -r 1 numbers | head -1
  >   cd ..
  > done
  1
  2
  1
  2
  $ hg init bad --config storage.sqlite.compression=brotli
  abort: unknown compression for storage.sqlite.compression: 'brotli'
  (use one of: zstd, zlib, none)
  [255]
  $ hg init bad --config storage.new-repo-backend=other
  abort: unable to determine repository requirements for storage backend: other
  [255]
  $ test -e bad
  [1]

The default backend is still the default

  $ hg init plain --config storage.new-repo-backend=revlogv1
  $ ls plain/.hg/store
  requires
  $ grep -c sqlite plain/.hg/requires plain/.hg/store/requires
  plain/.hg/requires:0
  plain/.hg/store/requires:0
  [1]

The database is not opened before file content is needed

  $ cd repo
  $ mv .hg/store/history.sqlite .hg/store/hidden
  $ hg log -r tip -T '{rev} {desc}\n'
  4 merge
  $ hg heads -T '{rev}\n'
  4
  $ hg manifest -r 3
  a
  dir/sub/b
  $ mv .hg/store/hidden .hg/store/history.sqlite
