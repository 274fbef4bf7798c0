Identical large contents are stored once, however they arrive.

  $ cat >> $HGRCPATH <<'RC'
  > [extensions]
  > sqlitestore =
  > RC
  $ kilobytes() { echo $(( $(wc -c < $1/.hg/store/history.sqlite) / 1024 )); }
  $ noise() { python3 -c "import random, sys; sys.stdout.buffer.write(random.Random($1).randbytes($2))"; }

A history in which 20 paths get the same megabyte in the first changeset and
another one in the second, which also adds one more path with it. The third
changeset renames that path

  $ hg init plain
  $ cd plain
  $ for i in 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 20; do
  >   mkdir d$i
  >   noise 1 1000000 > d$i/same
  > done
  $ hg commit -qAm one
  $ noise 2 1000000 | tee d??/same > /dev/null
  $ cp d01/same late
  $ hg commit -qAm two
  $ hg rename late later
  $ hg commit -qm three
  $ cd ..

A clone stores two megabytes. So does a clone that pulls in steps

  $ hg clone -q --pull -U plain cloned --config storage.new-repo-backend=sqlite
  $ test $(kilobytes cloned) -lt 2200 || kilobytes cloned
  $ hg clone -q --pull -U -r 0 plain steps --config storage.new-repo-backend=sqlite
  $ hg -R steps pull -q -r 1
  $ hg -R steps pull -q
  $ test $(kilobytes steps) -lt 2200 || kilobytes steps
  $ for repo in cloned steps; do
  >   hg -R $repo verify -q
  >   hg -R plain archive -r 2 a && hg -R $repo archive -r 2 b && diff -r a b -x .hg_archival.txt; rm -r a b
  > done

A pull finds content that was committed before

  $ hg init committed --config storage.new-repo-backend=sqlite
  $ cd committed
  $ noise 2 1000000 > mine
  $ hg commit -qAm mine
  $ hg pull -qf ../plain
  warning: repository is unrelated
  $ test $(kilobytes .) -lt 2200 || kilobytes .
  $ hg verify -q

The content stays after the first path that had it was stripped

  $ cd ..
  $ hg -R committed --config extensions.strip= strip -q --no-backup --force 0
  $ hg -R committed verify -q
  $ hg -R committed cat -r 'desc(two)' committed/d07/same | cmp - plain/d07/same

A repack also stores it once

  $ hg -R steps admin::sqlite-repack -q
  $ test $(kilobytes steps) -lt 2200 || kilobytes steps
  $ hg -R steps verify -q
