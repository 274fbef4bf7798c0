Pulls of repositories that lack whole segments fetch these

  $ . $TESTDIR/helpers/serve.sh
  $ cat > small.py << EOF
  > from hgext3rd.wireprotov2.segments import cut
  > cut.LEAST_CHANGESETS = 4
  > EOF
  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > wireprotov2 =
  > EOF
  $ hg init server
  $ cd server
  $ for n in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do
  >   echo $n > f
  >   echo $n > f$n
  >   hg commit -qAm $n -d "$n 0"
  >   test $n != 9 || hg update -q 7
  > done
  $ hg bookmark -r 12 mark
  $ hg phase --public -r 'all()'
  $ cd ..
  $ cat > server/.hg/hgrc << EOF
  > [extensions]
  > small = $TESTTMP/small.py
  > [wireprotov2]
  > cacher = directory
  > EOF
  $ serve -R server -A access.log
  $ url=http://localhost:$HGPORT/
  $ requests() {
  >   sed -E 's/.*"([A-Z]+) ([^ ]*) .*/\2/; s/.*(cmd=[a-z]*).*/\1/' access.log
  >   : > access.log
  > }
  $ hg init old
  $ hg -R old pull -q -r 5 server
  $ cp -R old older
  $ cp -R old drafts
  $ requests > /dev/null

The first request of a pull lists what is missing. A segment of which a part is
there is fetched as well. The ordinary pull that follows finds nothing.

  $ hg -R old pull $url
  pulling from http://localhost:$HGPORT/
  fetching 11 changesets in 3 segments
  added 9 changesets with 18 changes to 12 files (+1 heads)
  new changesets * (glob)
  searching for changes
  no changes found
  adding remote bookmark mark
  (run 'hg heads' to see heads, 'hg merge' to merge)
  $ requests
  cmd=capabilities
  /api/exp-http-v2-0003/ro/multirequest
  /api/exp-http-v2-0003/ro/segmentdata
  /api/exp-http-v2-0003/ro/segmentdata
  /api/exp-http-v2-0003/ro/segmentdata
  /api/exp-http-v2-0003/ro/multirequest
  $ hg -R old verify -q
  $ hg -R server log -T '{node} {phase}\n' | sort > expected
  $ hg -R old log -T '{node} {phase}\n' | sort | diff expected -

A small pull takes as many requests as with version 1, also if it is the one that
closes a segment

  $ hg clone -q server v1
  $ echo more > server/f
  $ hg -R server commit -qm more -d '20 0'
  $ requests > /dev/null
  $ hg -R v1 pull -q $url --config wireprotov2.client=no
  $ requests
  cmd=capabilities
  cmd=batch
  cmd=getbundle
  $ hg -R old pull -q $url
  $ requests
  cmd=capabilities
  /api/exp-http-v2-0003/ro/multirequest
  /api/exp-http-v2-0003/ro/multirequest
  $ hg -R old pull -q $url
  $ requests
  cmd=capabilities
  /api/exp-http-v2-0003/ro/multirequest
  /api/exp-http-v2-0003/ro/multirequest
  $ hg -R old log -r tip -T '{desc}\n'
  more

With -r and -B, only segments that consist of wanted changesets

  $ cp -R older older1
  $ hg -R older pull -r 9 -r 12 $url
  pulling from http://localhost:$HGPORT/
  fetching 8 changesets in 2 segments
  added 6 changesets with 12 changes to 9 files (+1 heads)
  new changesets e80bbbe7564b:81fe61b54680
  searching for changes
  adding changesets
  adding manifests
  adding file changes
  adding remote bookmark mark
  added 1 changesets with 2 changes to 2 files
  new changesets a42e4258c5ad
  (run 'hg heads' to see heads, 'hg merge' to merge)
  $ requests
  cmd=capabilities
  cmd=batch
  /api/exp-http-v2-0003/ro/multirequest
  /api/exp-http-v2-0003/ro/changesetdata
  /api/exp-http-v2-0003/ro/segmentdata
  /api/exp-http-v2-0003/ro/segmentdata
  /api/exp-http-v2-0003/ro/multirequest
  $ hg -R older1 pull -q -B mark $url
  $ hg -R older1 log -T '{desc} '
  12 11 10 7 6 5 4 3 2 1 0  (no-eol)
  $ hg -R older log -T '{desc} '
  12 11 10 9 8 7 6 5 4 3 2 1 0  (no-eol)
  $ hg -R older verify -q

Drafts and secret changesets make no difference; the server need not know them

  $ hg -R drafts update -q
  $ echo x > drafts/x
  $ hg -R drafts commit -qAm x -d '0 0'
  $ echo y > drafts/y
  $ hg -R drafts commit -qAm y -d '0 0' --secret
  $ cp -R drafts some
  $ hg -R some pull -q -r 5 -r 8 server
  $ hg -R some phase --draft --force 7 8
  $ requests > /dev/null
  $ hg -R drafts pull $url
  pulling from http://localhost:$HGPORT/
  fetching 12 changesets in 3 segments
  added 10 changesets with 19 changes to 12 files (+2 heads)
  new changesets e80bbbe7564b:d21f2fdddba8
  searching for changes
  no changes found
  adding remote bookmark mark
  (run 'hg heads' to see heads, 'hg merge' to merge)
  $ requests
  cmd=capabilities
  /api/exp-http-v2-0003/ro/multirequest
  /api/exp-http-v2-0003/ro/segmentdata
  /api/exp-http-v2-0003/ro/segmentdata
  /api/exp-http-v2-0003/ro/segmentdata
  /api/exp-http-v2-0003/ro/multirequest
  $ hg -R drafts verify -q
  $ hg -R drafts log -T '{desc}:{phase} '
  more:public 14:public 13:public 12:public 11:public 10:public 9:public 8:public 7:public 6:public y:secret x:draft 5:public 4:public 3:public 2:public 1:public 0:public  (no-eol)
  $ hg -R drafts pull $url
  pulling from http://localhost:$HGPORT/
  searching for changes
  no changes found
  $ requests
  cmd=capabilities
  /api/exp-http-v2-0003/ro/multirequest
  /api/exp-http-v2-0003/ro/multirequest

What is public on the server becomes public

  $ hg -R some log -T '{desc}:{phase} '
  8:draft 7:draft 6:draft y:draft x:draft 5:public 4:public 3:public 2:public 1:public 0:public  (no-eol)
  $ hg -R some pull $url --config hooks.txnclose-phase='echo $HG_OLDPHASE $HG_PHASE'
  pulling from http://localhost:$HGPORT/
  fetching 8 changesets in 2 segments
  added 7 changesets with 13 changes to 8 files (+1 heads)
  new changesets fedcb8fd250a:d21f2fdddba8
  searching for changes
  no changes found
  adding remote bookmark mark
  draft public
  draft public
  draft public
  public
  public
  public
  public
  public
  public
  public
  (run 'hg heads .' to see heads, 'hg merge' to merge)
  $ requests
  cmd=capabilities
  /api/exp-http-v2-0003/ro/multirequest
  /api/exp-http-v2-0003/ro/segmentdata
  /api/exp-http-v2-0003/ro/segmentdata
  /api/exp-http-v2-0003/ro/multirequest
  $ hg -R some verify -q
  $ hg -R some log -T '{desc}:{phase} '
  more:public 14:public 13:public 12:public 11:public 10:public 9:public 8:public 7:public 6:public y:draft x:draft 5:public 4:public 3:public 2:public 1:public 0:public  (no-eol)

The open segment is fetched for its own sake if it is large

  $ cat > large.py << EOF
  > from hgext3rd.wireprotov2.pull import catchup
  > catchup.LEAST_OPEN = 1
  > EOF
  $ hg clone -q -U --pull server nearly
  $ cp -R nearly nearly1
  $ echo last > server/f
  $ hg -R server commit -qm last -d '21 0'
  $ hg -R server phase --public tip
  $ requests > /dev/null
  $ hg -R nearly pull $url
  pulling from http://localhost:$HGPORT/
  searching for changes
  adding changesets
  adding manifests
  adding file changes
  added 1 changesets with 1 changes to 1 files
  new changesets * (glob)
  (run 'hg update' to get a working copy)
  $ hg -R nearly1 pull $url --config extensions.large=large.py
  pulling from http://localhost:$HGPORT/
  fetching 1 changesets in 1 segments
  added 1 changesets with 1 changes to 1 files
  new changesets * (glob)
  searching for changes
  no changes found
  (run 'hg update' to get a working copy)
  $ requests > /dev/null

A repository of nothing but drafts

  $ hg clone -q server both
  $ hg -R both phase --draft --force -r 0
  $ hg -R both update -q
  $ echo z > both/z
  $ hg -R both commit -qAm z -d '0 0'
  $ hg -R both pull $url
  pulling from http://localhost:$HGPORT/
  searching for changes
  no changes found
  17 local changesets published
  $ requests
  cmd=capabilities
  /api/exp-http-v2-0003/ro/multirequest
  /api/exp-http-v2-0003/ro/multirequest
  $ hg -R both log -r 'draft()' -T '{desc}\n'
  z

An unrelated repository gets no segments

  $ hg init unrelated
  $ echo x > unrelated/x
  $ hg -R unrelated commit -qAm x
  $ hg -R unrelated phase --public tip
  $ hg -R unrelated pull $url
  pulling from http://localhost:$HGPORT/
  searching for changes
  abort: repository is unrelated
  [255]
  $ hg -R unrelated log -T '{desc} '
  x  (no-eol)
  $ hg -R unrelated phase --draft --force tip
  $ hg -R unrelated pull $url
  pulling from http://localhost:$HGPORT/
  searching for changes
  abort: repository is unrelated
  [255]
  $ cat error.log
