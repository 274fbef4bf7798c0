#require serve
#testcases revlog database

Lazy and shallow clones of a repository with large files, by a client with lfs

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > wireprotov2 =
  > sqlitestore =
  > lfs =
  > [lfs]
  > track = **.bin
  > usercache = $TESTTMP/usercache
  > [web]
  > push_ssl = no
  > allow-push = *
  > EOF
#if database
  $ cat >> $HGRCPATH << EOF
  > [storage]
  > new-repo-backend = sqlite
  > EOF
#endif
  $ hg init server
  $ cd server
  $ echo text > text
  $ echo large > a.bin
  $ hg commit -qAm one
  $ echo more >> text
  $ hg mv a.bin b.bin
  $ hg commit -qm two
  $ hg serve -p $HGPORT -d --pid-file ../hg.pid -E ../error.log
  $ cat ../hg.pid >> $DAEMON_PIDS
  $ cd ..
  $ for how in --lazy '--depth 1'; do
  >   hg clone -qU $how http://localhost:$HGPORT/ clone
  >   hg -R clone update -q 0
  >   cat clone/text clone/a.bin
  >   hg -R clone update -q
  >   cat clone/text clone/b.bin
  >   hg -R clone log -G -f -T '{desc}\n' clone/b.bin
  >   hg -R clone files -T '{path} {size}\n' clone
  >   hg -R clone verify -q
  >   hg -R clone admin::fetch-files
  >   hg -R clone verify -q
  >   rm -r clone
  > done
  text
  large
  text
  more
  large
  @  two
  |
  o  one
  
  b.bin 6
  text 10
  fetched the content of 4 revisions of 3 files
  this repository has the content of all its files now
  text
  large
  text
  more
  large
  @  two
  |
  o  one
  
  b.bin 6
  text 10
  fetched the content of 2 revisions of 2 files
  this repository has the content of all its files now
  $ hg clone -q --lazy http://localhost:$HGPORT/ clone
  $ cd clone
  $ echo again >> b.bin
  $ hg commit -qm three
  $ hg push -q
  $ cd ..
  $ hg -R server cat -r tip server/b.bin
  large
  again
  $ cat error.log
