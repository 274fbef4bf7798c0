Rewriting and undoing history in a SQLite repository.

  $ cat >> $HGRCPATH <<'RC'
  > [extensions]
  > sqlitestore =
  > strip =
  > rebase =
  > histedit =
  > shelve =
  > [storage]
  > new-repo-backend = sqlite
  > [ui]
  > rollback = true
  > interactive = false
  > RC

  $ rows() {
  >   python3 - <<'PY'
  > import sqlite3
  > db = sqlite3.connect('.hg/store/history.sqlite')
  > print('paths %d, loose %d' % (
  >     db.execute('SELECT count(*) FROM path').fetchone()[0],
  >     db.execute('SELECT count(*) FROM rev').fetchone()[0]))
  > db.close()
  > PY
  > }

  $ hg init repo
  $ cd repo
  $ for i in 0 1 2 3; do
  >   echo $i >> f
  >   echo $i > g$i
  >   hg commit -qAm c$i
  > done
  $ rows
  paths 6, loose 12

rollback removes the revisions of the last transaction

  $ hg rollback
  repository tip rolled back to revision 2 (undo commit)
  working directory now based on revision 2
  $ rows
  paths 5, loose 9
  $ hg verify -q
  $ cat f g3 | tail -2
  3
  3
  $ hg commit -qAm c3
  $ rows
  paths 6, loose 12

rollback of a transaction without file content does not undo the previous one

  $ hg branch -q other
  $ hg commit -qm 'no files'
  $ hg rollback -q
  $ rows
  paths 6, loose 12
  $ hg verify -q
  $ hg branch -qf default

strip, and unbundle the backup

  $ hg log -p > ../before
  $ hg strip -q 1
  $ rows
  paths 3, loose 3
  $ hg verify -q
  $ hg log -T '{desc}\n'
  c0
  $ hg unbundle -q .hg/strip-backup/*-backup.hg
  $ hg update -q
  $ rows
  paths 6, loose 9
  $ hg log -p > ../after
  $ cmp ../before ../after

strip in the middle keeps unrelated changesets with higher numbers

  $ hg update -q 0
  $ echo side > side
  $ echo side >> f
  $ hg commit -qAm side
  $ hg log -p -r 4 > ../before
  $ hg strip -q 'desc(c1)'
  $ hg log -T '{rev} {desc}\n'
  1 side
  0 c0
  $ hg verify -q
  $ hg log -p -r tip > ../after
  $ diff ../before ../after | grep -v changeset:
  1c1
  ---
  3d2
  < parent:      0:273e4af488a5
  $ hg unbundle -q `ls -t .hg/strip-backup/*-backup.hg | head -1`
  $ hg verify -q

A copy stays readable after its source is stripped

  $ hg update -q 'desc(side)'
  $ python3 -c 'for i in range(3000): print(i)' > big
  $ hg commit -qAm big
  $ hg update -q 'desc(c3)'
  $ python3 -c 'for i in range(3001): print(i)' > copied
  $ hg commit -qAm 'same content under another name'
  $ hg strip -q 'desc(big)'
  $ hg verify -q
  $ hg cat -r tip copied | tail -1
  3000

amend, rebase, histedit, shelve

  $ hg log -G -T '{rev} {desc}\n'
  @  5 same content under another name
  |
  o  4 c3
  |
  o  3 c2
  |
  o  2 c1
  |
  | o  1 side
  |/
  o  0 c0
  
  $ echo more >> g3
  $ hg commit -q --amend -m amended
  $ hg rebase -q -s 'desc(side)' -d 'desc(amended)' --tool :other
  $ hg verify -q
  $ hg log -G -T '{rev} {desc}\n'
  o  5 side
  |
  @  4 amended
  |
  o  3 c3
  |
  o  2 c2
  |
  o  1 c1
  |
  o  0 c0
  
  $ hg cat -r 'desc(side)' f g3
  0
  side
  3
  more
  $ hg update -q 'desc(side)'
  $ hg histedit -q 'desc(amended)' --commands - <<CMD
  > `hg log -r 'desc(side)' -T 'pick {node|short}'`
  > `hg log -r 'desc(amended)' -T 'pick {node|short}'`
  > CMD
  $ hg verify -q
  $ hg log -T '{rev} {desc} {files}\n'
  5 amended copied g3
  4 side f side
  3 c3 f g3
  2 c2 f g2
  1 c1 f g1
  0 c0 f g0
  $ echo shelved >> f
  $ hg shelve -q
  $ hg status
  $ hg unshelve -q
  $ hg status
  M f
  $ hg commit -qm unshelved
  $ hg verify -q

Bundle repositories

  $ hg bundle -q --all ../all.hg
  $ hg -R ../all.hg log -p > ../from-bundle
  $ hg log -p > ../from-repo
  $ cmp ../from-bundle ../from-repo
  $ cd ..
  $ hg init other
  $ cd other
  $ hg pull -q -r 1 ../repo
  $ hg incoming -n -p -T '{rev}\n' ../all.hg | sed -n '4,11p'
  diff -r 3f7f63b469fa -r 4863edcf2f2a f
  --- a/f	Thu Jan 01 00:00:00 1970 +0000
  +++ b/f	Thu Jan 01 00:00:00 1970 +0000
  @@ -1,2 +1,3 @@
   0
   side
  +shelved
  
  $ hg -R ../all.hg cat -r 'desc(unshelved)' f | tail -1
  shelved
  $ hg -R ../all.hg annotate -r 'desc(unshelved)' f | tail -2
  4: side
  6: shelved
  $ cd ..

Union repositories of SQLite and revlogs, in either order

  $ hg clone -q --pull -U repo plain --config storage.new-repo-backend=revlogv1
  $ ls plain/.hg/store | grep sqlite
  [1]
  $ hg -R repo log -p > repo.log
  $ for union in other+repo other+plain; do
  >   hg -R union:$union log -p > union.log
  >   cmp repo.log union.log
  > done
  $ hg clone -q --pull -U -r 1 repo part --config storage.new-repo-backend=revlogv1
  $ hg -R union:part+repo log -p > union.log
  $ cmp repo.log union.log
