#testcases revlog database

Clones over ssh that lack content of files, and complete themselves

  $ cat >> $HGRCPATH << EOF
  > [ui]
  > ssh = "$PYTHON" "$RUNTESTDIR/dummyssh"
  > [extensions]
  > wireprotov2 =
  > sqlitestore =
  > EOF
  $ hg init server
  $ cd server
  $ mkdir d
  $ for i in 0 1 2 3 4 5; do
  >     echo $i >> d/a
  >     for f in b c e f g; do echo $i$f > $f; done
  >     hg commit -q -A -m "r$i" -d "$i 0"
  > done
  $ cat > ../small.py << EOF
  > from hgext3rd.wireprotov2.segments import cut
  > cut.LEAST_CHANGESETS = 4
  > EOF
  $ cat >> .hg/hgrc << EOF
  > [extensions]
  > small = $TESTTMP/small.py
  > [wireprotov2]
  > cacher = directory
  > EOF
  $ cd ..
#if database
  $ cat >> $HGRCPATH << EOF
  > [storage]
  > new-repo-backend = sqlite
  > EOF
#endif
  $ url=ssh://user@dummy/server
  $ connections() {
  >   "$@" --debug 2>&1 | grep -c '^running'
  > }

A lazy clone uses one connection, also for the update

  $ connections hg clone --lazy $url lazy
  1
  $ cd lazy
  $ cat d/a
  0
  1
  2
  3
  4
  5
  $ cat .hg/store/shallow/limits
  *
  $ hg status

What is read later is fetched

  $ connections hg -q update 2
  1
  $ cat b
  2b
  $ connections hg -q update 2
  0
  [1]
  $ hg log -p -r 1 b | grep '^[+-]'
  --- a/b	Thu Jan 01 00:00:00 1970 +0000
  +++ b/b	Thu Jan 01 00:00:01 1970 +0000
  -0b
  +1b
  $ hg cat -r 0 c --config wireprotov2.on-demand=no
  abort: c of changeset 7e866975b2d9 is not here: wireprotov2.on-demand keeps it from being fetched from ssh://user@dummy/server
  [50]
  $ hg cat -r 0 c
  0c

A pull brings no content

  $ cd ../server
  $ echo new > b
  $ hg commit -q -m new -d '6 0'
  $ cd ../lazy
  $ hg pull -q
  $ hg cat -r tip b --config wireprotov2.on-demand=no
  abort: b of changeset * is not here: * (glob)
  [50]
  $ connections hg -q update tip
  1
  $ cat b
  new
  $ hg verify -q
  $ hg admin::fetch-files
  fetched the content of * revisions of 6 files (glob)
  this repository has the content of all its files now
  $ hg verify -q
  $ test -e .hg/store/shallow
  [1]
  $ cd ..

A depth

  $ hg clone -q --depth 2 $url deep
  $ cd deep
  $ hg cat -r 5 b --config wireprotov2.on-demand=no
  5b
  $ hg cat -r 4 b --config wireprotov2.on-demand=no
  abort: b of changeset * is not here: * (glob)
  [50]
  $ hg cat -r 4 b
  4b
  $ hg pull -q --depth 100
  $ test -e .hg/store/shallow
  [1]
  $ hg verify -q
  $ cd ..

A delta of what is not here, which needs the text while deltas are being read

  $ hg clone -q -U -r 5 --depth 1 $url based
  $ cd server
  $ hg update -q 2
  $ for n in 1 2 3 4 5 6 7 8 9; do echo $n$n$n$n$n$n$n$n$n$n$n >> d/a; done
  $ hg commit -q -m branch -d '7 0'
  $ cd ../based
  $ connections hg pull -q
  2
  $ hg cat -r tip d/a | tail -1
  99999999999
  $ hg verify -q
  $ cd ..

A narrow clone, which version 1 of this server cannot make

  $ hg clone -q --narrow --include path:d $url narrow --config extensions.narrow= \
  >   --lazy
  $ cd narrow
  $ ls
  d
  $ tail -1 d/a
  99999999999
  $ hg tracked --addinclude path:b --config extensions.narrow= -q
  $ cat b
  2b
  $ cd ..

Servers that cannot do it

  $ hg clone -U --lazy $url fails --config wireprotov2.client=no
  abort: the server cannot leave out the data of files
  (this requires wire protocol version 2)
  [255]
  $ hg clone -U --depth 1 $url fails --config wireprotov2.client=no
  abort: the server cannot limit the depth of what it sends
  (this requires wire protocol version 2)
  [255]
