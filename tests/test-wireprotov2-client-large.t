Clones of large files into a database keep one text of each

  $ . $TESTDIR/helpers/serve.sh
  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > wireprotov2 =
  > sqlitestore =
  > [storage]
  > sqlite.auto-repack = no
  > EOF
  $ cat > small.py << EOF
  > from hgext3rd.wireprotov2.segments import cut
  > cut.LEAST_CHANGESETS = 4
  > EOF
  $ cat > edit.py << EOF
  > # edit.py NUMBER FILE...: change a few bytes of files of 3 MB.
  > import os, random, sys
  > for name in sys.argv[2:]:
  >     noise = random.Random(name)
  >     data = bytearray(noise.randbytes(3 << 20))
  >     for number in range(int(sys.argv[1])):
  >         at = noise.randrange(len(data) - 100)
  >         data[at:at + 100] = noise.randbytes(100)
  >     with open(name, 'wb') as file:
  >         file.write(data)
  > EOF
  $ stored() {
  >     python -c "import os; print(sum(
  >         os.path.getsize(os.path.join(at, name))
  >         for at, _dirs, names in os.walk('$1/.hg/store') for name in names))"
  > }

  $ hg init server
  $ cd server
  $ for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do
  >     python $TESTTMP/edit.py $n image music
  >     echo $n >> text
  >     hg commit -q -A -m $n
  > done
  $ cat >> .hg/hgrc << EOF
  > [extensions]
  > small = $TESTTMP/small.py
  > [wireprotov2]
  > cacher = directory
  > EOF
  $ serve
  $ cd ..

Later segments have deltas of revisions that earlier ones brought

  $ hg clone -U http://localhost:$HGPORT/ clone \
  >     --config storage.new-repo-backend=sqlite
  fetching 14 changesets in 4 segments
  added 14 changesets with 42 changes to 3 files
  new changesets * (glob)
  searching for changes
  no changes found
  $ hg -R clone verify -q
  $ test $(stored clone) -lt 6600000
  $ hg clone -q -U http://localhost:$HGPORT/ revlogs
  $ test $(stored clone) -lt $(expr $(stored revlogs) \* 11 / 10)

A pull brings no other copy

  $ cd server
  $ for n in 15 16 17 18; do
  >     python $TESTTMP/edit.py $n image music
  >     hg commit -q -m $n
  > done
  $ cd ..
  $ hg -R clone pull -q
  $ hg -R clone verify -q
  $ test $(stored clone) -lt 6600000

Rollbacks, repacks and later commits work as ever

  $ hg -R clone rollback -q
  $ hg -R clone verify -q
  $ hg -R clone pull -q
  $ hg -R clone admin::sqlite-repack -q
  $ hg -R clone verify -q
  $ test $(stored clone) -lt 6600000
  $ hg -R clone update -q
  $ cmp clone/image server/image
  $ cmp clone/music server/music
  $ (cd clone; python $TESTTMP/edit.py 19 image; hg commit -q -m 19)
  $ hg -R clone verify -q
  $ cat server/error.log
