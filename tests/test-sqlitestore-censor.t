Censoring removes content from the database file for good.

  $ cat >> $HGRCPATH <<'RC'
  > [extensions]
  > sqlitestore =
  > censor =
  > [storage]
  > new-repo-backend = sqlite
  > sqlite.compression = none
  > sqlite.auto-repack = no
  > [ui]
  > rollback = true
  > RC

Without compression, the test can search for the bytes

  $ search() { cat .hg/store/history.sqlite* | tr -d '\n' | grep -c "$1"; }
  $ edit() { with="$1"; shift; for f in "$@"; do sed "$with" $f > ../edited; cat ../edited > $f; done; }
  $ hg init repo
  $ cd repo
  $ python3 -c 'for i in range(200): print("common line", i)' > f
  $ cp f other
  $ hg commit -qAm base
  $ python3 -c 'print("SECRET-" + "9f8e7d")' >> f
  $ python3 -c 'print("OTHER-" + "9f8e7d")' >> other
  $ hg commit -qm secret
  $ echo 'after' >> f
  $ edit s/OTHER/clean/ other
  $ hg commit -qm after
  $ hg copy -q f copied
  $ echo 'in the copy' >> copied
  $ hg commit -qm copy
  $ edit /SECRET/d f copied
  $ hg commit -qm clean
  $ cat f copied > wanted
  $ search SECRET-9f8e7d
  1

The content is in changesets 1 and 2 of f, and in 3 of its copy, where it stays

  $ hg censor -r 1 f
  checking for the censored content in 1 heads
  checking for the censored content in the working directory
  censoring 1 file revisions
  $ hg censor -r 2 f
  checking for the censored content in 1 heads
  checking for the censored content in the working directory
  censoring 1 file revisions
  $ hg cat -r 3 copied | tail -3
  SECRET-9f8e7d
  after
  in the copy
  $ search OTHER-9f8e7d
  1
  $ hg censor -q -r 1 other
  $ search OTHER-9f8e7d
  0
  [1]
  $ cat f copied | cmp - wanted
  $ hg cat -r 1 f
  abort: censored node: 467a878f34f5
  (set censor.policy to ignore errors)
  [255]
  $ hg cat -r 4 f | tail -1
  after
  $ hg cat -r 4 copied | tail -1
  in the copy
  $ hg verify -q --config censor.policy=ignore
  $ hg log -T '{rev} {desc}\n' f
  4 clean
  2 after
  1 secret
  0 base

The same with sealed revisions: the others in their frames must survive

  $ cd ..
  $ hg init packed
  $ cd packed
  $ hg init ../donor
  $ cd ../donor
  $ python3 -c 'for i in range(200): print("common line", i)' > f
  $ cp f twin
  $ hg commit -qAm base
  $ python3 -c 'print("SECRET-" + "9f8e7d")' >> f
  $ cp f twin
  $ hg commit -qm secret
  $ edit /SECRET/d f
  $ echo after >> f
  $ hg commit -qm after
  $ cd ../packed
  $ hg pull -q ../donor
  $ hg update -q
  $ search SECRET-9f8e7d
  2
  $ hg censor -r 1 f
  checking for the censored content in 1 heads
  checking for the censored content in the working directory
  censoring 1 file revisions
  $ hg cat -r 1 f
  abort: censored node: 467a878f34f5
  (set censor.policy to ignore errors)
  [255]
  $ hg cat -r 2 f | tail -1
  after
  $ hg cat -r 1 twin | tail -1
  SECRET-9f8e7d
  $ hg verify -q --config censor.policy=ignore
  $ search SECRET-9f8e7d
  1
  $ rm twin
  $ echo replaced > twin
  $ hg commit -qm 'replace twin'
  $ hg censor -r 1 twin
  checking for the censored content in 1 heads
  checking for the censored content in the working directory
  censoring 1 file revisions
  $ hg cat -r 0 twin | tail -1
  common line 199
  $ hg verify -q --config censor.policy=ignore
  $ search SECRET-9f8e7d
  0
  [1]

The same after a repack, when equal texts share one entry

  $ cd ../donor
  $ hg admin::sqlite-repack -q
  $ hg verify -q
  $ hg censor -r 1 f
  checking for the censored content in 1 heads
  checking for the censored content in the working directory
  censoring 1 file revisions
  $ hg cat -r 1 f
  abort: censored node: 467a878f34f5
  (set censor.policy to ignore errors)
  [255]
  $ hg cat -r 1 twin | tail -1
  SECRET-9f8e7d
  $ hg verify -q --config censor.policy=ignore
  $ hg admin::sqlite-repack -q
  $ hg cat -r 1 twin | tail -1
  SECRET-9f8e7d
  $ hg verify -q --config censor.policy=ignore

Content that a strip left in a frame is removed as well

  $ cd ..
  $ hg clone -q --pull packed stripped -r 0
  $ cd stripped
  $ hg update -q
  $ python3 -c 'print("SECRET-" + "stripped")' > big
  $ hg commit -qAm new
  $ cd ..
  $ hg clone -q --pull stripped stripped2
  $ cd stripped2
  $ hg strip -q tip --config extensions.strip= --no-backup
  $ search SECRET-stripped
  1
  $ echo x >> f
  $ hg commit -qm x
  $ echo y >> f
  $ hg commit -qm y
  $ hg censor -r 1 f
  checking for the censored content in 1 heads
  checking for the censored content in the working directory
  censoring 1 file revisions
  $ search SECRET-stripped
  0
  [1]
  $ hg verify -q --config censor.policy=ignore

Exchange of censored revisions with a repository of revlogs

  $ cd ..
  $ hg clone -q --pull -U repo plain --config storage.new-repo-backend=revlogv1
  $ hg -R plain verify -q --config censor.policy=ignore
  $ hg clone -q --pull -U plain back
  $ hg -R back verify -q --config censor.policy=ignore
  $ hg -R back cat -r 1 back/f
  abort: censored node: 467a878f34f5
  (set censor.policy to ignore errors)
  [255]
  $ hg -R back cat -r 4 back/f | tail -1
  after

A tombstone may be longer than the text it replaces

  $ cd repo
  $ echo tiny >> other
  $ hg commit -qAm tiny
  $ echo bigger >> other
  $ hg commit -qm bigger
  $ python3 -c 'print("x" * 10000)' > reason
  $ hg censor -q -r 5 other -t "`cat reason`"
  $ hg cat -r 5 other
  abort: censored node: * (glob)
  (set censor.policy to ignore errors)
  [255]
  $ hg cat -r 6 other | tail -1
  bigger
  $ hg verify -q --config censor.policy=ignore

If there is no room to vacuum the database, the transaction is complete, and
the next transaction that has room removes the content

  $ cd ..
  $ hg init tight
  $ cd tight
  $ python3 -c 'import os; open("large", "wb").write(os.urandom(3 << 20))'
  $ echo SECRET-tight > f
  $ hg commit -qAm secret
  $ echo open > f
  $ hg commit -qm open
  $ cat > ../limited.py <<EOF
  > import os, resource, sys
  > resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, 3 << 20))
  > os.execvp('hg', sys.argv[1:])
  > EOF
  $ "$PYTHON" ../limited.py hg censor -q -r 0 f
  removed content stays in free space (the next transaction tries again): cannot use $TESTTMP/tight/.hg/store/history.sqlite: disk I/O error
  $ hg cat -r 0 f
  abort: censored node: * (glob)
  (set censor.policy to ignore errors)
  [255]
  $ wipe() { python3 -c 'import sqlite3; print(*sqlite3.connect(".hg/store/history.sqlite").execute("SELECT value FROM counter WHERE name = \"wipe\""))'; }
  $ wipe
  (1,)
  $ echo more >> f
  $ hg commit -qm more
  $ wipe
  (0,)
