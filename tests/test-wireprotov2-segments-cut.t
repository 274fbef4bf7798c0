How public history is cut into segments

  $ . $TESTDIR/helpers/awkward_history.sh
  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > strip =
  > wireprotov2 =
  > EOF
  $ segments() {
  >     "$PYTHON" "$TESTDIR/helpers/dump_segments.py" "$@"
  > }
  $ unbundle_all() {
  >     for bundle in "$2"/*.hg; do
  >         hg -R "$1" unbundle -q "$bundle" || return 1
  >     done
  > }
  $ nodes() {
  >     hg -R "$1" log -T '{node} {manifest}\n' | sort
  > }

Applied in order, segments give the public history, in the public phase

  $ awkward_history server
  $ segments server all 4 19
  00.hg 4 0-3 closed c30e8d8c4909
  01.hg 4 4-7 closed a9535347b6ee
  02.hg 4 8-11 closed 92a0d5eba5b3
  03.hg 4 12-15 closed 2af8d89f2cc2
  04.hg 2 16-17 open 324bb47b79e5
  $ hg init copy
  $ unbundle_all copy all
  $ hg -R copy verify -q
  17: repository $TESTTMP/copy/sub not found
  $ nodes server > server.nodes; nodes copy > copy.nodes
  $ cmp server.nodes copy.nodes
  $ hg -R copy log -r 'not public()'

Closed segments stay as they are when history grows

  $ cd server
  $ hg up -q tip
  $ echo more > more
  $ hg commit -q -A -m more -d '30 0'
  $ cd ..
  $ segments server more 4
  00.hg 4 0-3 closed c30e8d8c4909
  01.hg 4 4-7 closed a9535347b6ee
  02.hg 4 8-11 closed 92a0d5eba5b3
  03.hg 4 12-15 closed 2af8d89f2cc2
  04.hg 3 16-18 open 07dc477055aa

Without the record, the same segments are cut again

  $ rm server/.hg/cache/wireprotov2-segments
  $ segments server again 4
  00.hg 4 0-3 closed c30e8d8c4909
  01.hg 4 4-7 closed a9535347b6ee
  02.hg 4 8-11 closed 92a0d5eba5b3
  03.hg 4 12-15 closed 2af8d89f2cc2
  04.hg 3 16-18 open 07dc477055aa

  $ cat > server/.hg/cache/wireprotov2-segments << EOF
  > torn
  > EOF
  $ segments server again 4
  00.hg 4 0-3 closed c30e8d8c4909
  01.hg 4 4-7 closed a9535347b6ee
  02.hg 4 8-11 closed 92a0d5eba5b3
  03.hg 4 12-15 closed 2af8d89f2cc2
  04.hg 3 16-18 open 07dc477055aa

In a repository that does not publish, segments hold no drafts

  $ cp -R server drafts
  $ cat >> drafts/.hg/hgrc << EOF
  > [phases]
  > publish = no
  > EOF
  $ segments drafts drafts.d 4
  00.hg 4 0-3 closed c30e8d8c4909
  01.hg 4 4-7 closed a9535347b6ee
  02.hg 4 8-11 closed 92a0d5eba5b3
  03.hg 4 12-14 16-16 closed 849fcb07d3e2

A changeset that is published late goes into a later segment

  $ hg init late
  $ cd late
  $ for n in 0 1 2 3 4 5 6 7; do
  >     echo $n > $n
  >     hg commit -q -A -m $n -d "$n 0"
  >     if [ $n = 2 ]; then hg up -q 0; fi
  > done
  $ hg phase --public -r 'all()'
  $ hg phase --force --secret -r 2
  $ cd ..
  $ segments late late.1 3
  00.hg 3 0-1 3-3 closed 218ccaa08367
  01.hg 3 4-6 closed 1fafcdc5269c
  02.hg 1 7-7 open 09ab39c8fdb6
  $ hg -R late phase --public -r 2
  $ segments late late.2 3
  00.hg 3 0-1 3-3 closed 218ccaa08367
  01.hg 3 4-6 closed 1fafcdc5269c
  02.hg 2 2-2 7-7 open b005cee2f167
  $ hg init late-copy
  $ unbundle_all late-copy late.2
  $ hg -R late-copy verify -q
  $ hg -R late-copy log -T '{desc} ' -r 'reverse(all())'; echo
  7 2 6 5 4 3 1 0 

A segment needs the ancestors of its changesets and nothing else

  $ hg init part
  $ hg -R part pull -q late -r 4
  $ hg -R part unbundle -q late.2/01.hg
  $ hg -R part log -T '{desc} ' -r 'reverse(all())'; echo
  6 5 4 3 0 

No segment holds changesets that were stripped or became secret

  $ hg -R late strip -q --no-backup 7 --force
  $ segments late late.3 3
  00.hg 3 0-1 3-3 closed 218ccaa08367
  01.hg 3 4-6 closed 1fafcdc5269c
  02.hg 1 2-2 open b9ab909e3124
  $ hg -R late phase --force --secret -r 5
  $ segments late late.4 3
  00.hg 3 0-1 3-3 closed 218ccaa08367
  01.hg 2 2-2 4-4 open f872709c64a9

Replicas with the same order of changesets have the same segments, in any storage

  $ hg clone -q -U server replica --pull --config format.revlog-compression=zlib
  $ segments server a.d 4 > a; segments replica b.d 4 > b
  $ cmp a b

After revisions were renumbered, no segment is sent under an old name

  $ hg init one
  $ cd one
  $ for n in 0 1 2 3; do
  >     echo $n > $n
  >     hg commit -q -A -m $n -d "$n 0"
  >     hg up -q 0
  > done
  $ cd ..
  $ segments one one.d 3
  00.hg 3 0-2 closed ed949d7f4a0f
  01.hg 1 3-3 open 549c9b6fe055
  $ cp one/.hg/cache/wireprotov2-segments record
  $ hg init two
  $ hg -R two pull -q one -r 3
  $ hg -R two pull -q one -r 2
  $ hg -R two pull -q one -r 1
  $ hg -R two log -T '{rev}:{desc}\n'
  3:1
  2:2
  1:3
  0:0

  $ cp record two/.hg/cache/wireprotov2-segments
  $ segments two two.d 3
  00.hg 3 0-2 closed renumbered
  01.hg 1 3-3 open a59c9f2df662
  $ segments two two.d 3
  00.hg 3 0-2 closed 970e7fc89ab7
  01.hg 1 3-3 open a59c9f2df662

Replicas that share a cacher agree, in whatever order they received changesets

  $ rm one/.hg/cache/wireprotov2-segments two/.hg/cache/wireprotov2-segments
  $ cat >> $HGRCPATH << EOF
  > [wireprotov2]
  > cacher = directory
  > cacher.directory.path = $TESTTMP/shared
  > cacher.identity = one and two
  > EOF
  $ segments one one.e 2 > one.agreed
  $ segments two two.e 2 > two.agreed
  $ cat one.agreed two.agreed
  00.hg 2 0-1 closed ce11a89ab2c6
  01.hg 2 2-3 closed 8683f4b2595e
  00.hg 2 0-0 3-3 closed ce11a89ab2c6
  01.hg 2 1-2 closed 8683f4b2595e
  $ hg init two-copy
  $ unbundle_all two-copy two.e
  $ hg -R two-copy verify -q
  $ hg -R two-copy log -T '{rev}:{desc}\n'
  3:2
  2:3
  1:1
  0:0

A replica that lacks changesets cuts what it has, and agrees later

  $ rm two/.hg/cache/wireprotov2-segments
  $ hg -R two strip -q --no-backup 'desc(3)'
  $ hg -R two log -T '{rev}:{desc}\n'
  2:1
  1:2
  0:0
  $ segments two two.f 2
  00.hg 2 0-0 2-2 closed ce11a89ab2c6
  01.hg 1 1-1 open 9e51af318b4d
  $ hg -R two pull -q one
  $ segments two two.g 2
  00.hg 2 0-0 2-2 closed ce11a89ab2c6
  01.hg 2 1-1 3-3 closed 8683f4b2595e
  $ cat >> $HGRCPATH << EOF
  > cacher = none
  > EOF

Tree manifests need changegroup 03

  $ hg init tree --config experimental.treemanifest=yes
  $ cd tree
  $ mkdir -p a/b
  $ echo 1 > a/b/f
  $ hg commit -q -A -m 1 -d '1 0'
  $ echo 2 > a/b/f
  $ hg commit -q -m 2 -d '2 0'
  $ cd ..
  $ segments tree tree.d 1 19
  00.hg 1 0-0 closed 322de601f679
  01.hg 1 1-1 closed 006f9720eb4f
  $ hg init tree-copy --config experimental.treemanifest=yes
  $ unbundle_all tree-copy tree.d
  $ hg -R tree-copy verify -q
  $ hg -R tree-copy debugrequires | grep tree
  treemanifest

An empty repository has no segments

  $ hg init empty
  $ segments empty empty.d 3
