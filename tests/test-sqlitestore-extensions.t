Repositories of other kinds: shares, tree manifests, narrow clones, lfs,
largefiles and subrepositories.

  $ cat >> $HGRCPATH <<'RC'
  > [extensions]
  > sqlitestore =
  > [storage]
  > new-repo-backend = sqlite
  > RC
  $ paths() { python3 -c 'import sqlite3, sys; db = sqlite3.connect(sys.argv[1] + "/.hg/store/history.sqlite"); print(*sorted(r[0].decode() for r in db.execute("SELECT path FROM path WHERE kind = ?", sys.argv[2:]))); db.close()' $1 $2; }
  $ files() { paths $1 0; }
  $ directories() { paths $1 1; }
  $ hg init source
  $ cd source
  $ mkdir in out
  $ for i in 0 1 2; do
  >   echo $i >> in/f
  >   echo $i >> out/g
  >   hg commit -qAm $i
  > done
  $ hg copy -q out/g in/from-out
  $ hg commit -m copy
  $ cd ..

Shares: commit on either side, then unshare

  $ for safe in yes no; do
  >   hg clone -q -U --pull source s --config format.use-share-safe=$safe
  >   hg share -q s shared --config extensions.share= --config format.use-share-safe=$safe
  >   cd shared
  >   find . -name history.sqlite
  >   echo shared >> in/f
  >   hg commit -qm shared
  >   hg verify -q
  >   cd ../s
  >   hg update -q
  >   echo source >> in/f
  >   hg commit -qm source
  >   cd ../shared
  >   hg cat -r tip in/f | tail -2
  >   hg unshare --config extensions.share=
  >   find . -name history.sqlite
  >   hg update -q
  >   echo unshared >> in/f
  >   hg commit -qm unshared
  >   hg verify -q
  >   cd ..
  >   hg -R s verify -q
  >   rm -r s shared
  > done
  shared
  source
  ./.hg/store/history.sqlite
  shared
  source
  ./.hg/store/history.sqlite

Tree manifests

  $ hg clone -q --pull source tree --config experimental.treemanifest=yes
  $ cd tree
  $ grep tree .hg/store/requires .hg/requires
  .hg/store/requires:treemanifest
  $ echo tree >> in/f
  $ hg commit -qm tree
  $ hg verify -q
  $ directories .
   in/ out/
  $ ls .hg/store | grep meta
  [1]
  $ hg strip -q . --config extensions.strip=
  $ hg verify -q
  $ cd ..

Narrow clones: only what is in the narrowspec is stored

  $ cat > narrow.rc <<'RC'
  > [extensions]
  > narrow =
  > [experimental]
  > narrow = yes
  > RC
  $ cat narrow.rc >> $HGRCPATH
  $ hg clone -q --narrow ssh://user@dummy/source narrow --include in --config ui.ssh="\"$PYTHON\" \"$RUNTESTDIR/dummyssh\""
  $ cd narrow
  $ files .
  in/f in/from-out
  $ hg log -T '{rev} {file_copies}\n' -r tip
  3 
  $ echo narrow >> in/f
  $ hg commit -qm narrow
  $ hg verify -q
  $ hg tracked --addinclude out --config ui.ssh="\"$PYTHON\" \"$RUNTESTDIR/dummyssh\"" -q
  $ files .
  in/f in/from-out out/g
  $ hg verify -q
  $ cat out/g
  0
  1
  2
  $ hg tracked --removeinclude out --config ui.ssh="\"$PYTHON\" \"$RUNTESTDIR/dummyssh\"" -q
  $ files .
  in/f in/from-out
  $ hg verify -q
  $ cd ..

Large files kept by the lfs extension

  $ cat >> $HGRCPATH <<'RC'
  > [extensions]
  > narrow = !
  > lfs =
  > [lfs]
  > track = size(">1000")
  > usercache = $TESTTMP/lfscache
  > RC
  $ hg init lfs
  $ cd lfs
  $ python3 -c 'print("large" * 1000)' > large
  $ echo small > small
  $ hg commit -qAm lfs
  $ hg rename large renamed
  $ hg commit -m rename
  $ hg debugdata renamed 0 2> /dev/null | grep -c x-hg-copy
  2
  $ hg cat -r 1 renamed | md5sum
  e4107171607d3c6cc8d096f8f5892219  -
  $ md5sum < renamed
  e4107171607d3c6cc8d096f8f5892219  -
  $ hg log -T '{rev} {lfs_files}\n'
  1 large renamed
  0 large
  $ hg verify -q
  $ cd ..
  $ hg clone -q --pull lfs lfs2
  $ hg -R lfs2 verify -q
  $ cmp lfs/renamed lfs2/renamed

Large files kept by the largefiles extension

  $ cat >> $HGRCPATH <<'RC'
  > [extensions]
  > lfs = !
  > largefiles =
  > [largefiles]
  > usercache = $TESTTMP/largecache
  > RC
  $ hg init large
  $ cd large
  $ echo big > big
  $ hg add -q --large big
  $ hg commit -qm large
  $ echo bigger >> big
  $ hg commit -qm larger
  $ files .
  .hglf/big
  $ hg verify -q --large --lfa
  $ cd ..
  $ hg clone -q --pull large large2
  $ cat large2/big
  big
  bigger
  $ hg -R large2 verify -q

Subrepositories in SQLite and with revlogs

  $ cat >> $HGRCPATH <<'RC'
  > [extensions]
  > largefiles = !
  > RC
  $ hg init parent
  $ cd parent
  $ hg init sub
  $ hg init plain --config storage.new-repo-backend=revlogv1
  $ printf 'sub = sub\nplain = plain\n' > .hgsub
  $ echo s > sub/s
  $ echo p > plain/p
  $ hg -R sub add -q sub/s
  $ hg -R plain add -q plain/p
  $ hg add -q .hgsub
  $ hg commit -qSm parent
  $ cd ..
  $ hg clone -q --pull parent parent2
  $ cat parent2/sub/s parent2/plain/p
  s
  p
  $ hg -R parent2 verify -q
