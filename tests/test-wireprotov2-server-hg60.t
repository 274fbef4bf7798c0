#require hg60

Mercurial 6.0 clones and pulls with its own client for version 2

  $ . $TESTDIR/helpers/serve.sh
  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > wireprotov2 =
  > EOF
  $ hg60() {
  >   "$AMALGAM_HG60" --config extensions.wireprotov2=! \
  >     --config experimental.httppeer.advertise-v2=true "$@"
  > }

A history with copies, renames, removals, merges that take files of either side,
a removed file that is added again, a mode change, an empty changeset, and named
branches

  $ hg init server
  $ cd server
  $ mkdir dir
  $ for i in 1 2 3 4 5; do echo $i > dir/$i; echo top$i > $i; done
  $ hg -q commit -A -m 0
  $ hg rm 1
  $ echo more >> 2
  $ hg commit -m 'remove 1'
  $ hg mv 2 two
  $ hg cp 3 three
  $ hg commit -m 'rename and copy'
  $ hg -q up 0
  $ hg -q branch other
  $ hg rm dir/1
  $ echo changed > 3
  $ hg commit -m 'remove dir/1'
  $ chmod +x dir/2
  $ hg commit -m 'change mode'
  $ hg --config ui.merge=:other -q merge 2
  $ hg commit -m merge
  $ hg -q up default
  $ hg --config ui.merge=:local -q merge 4
  $ echo own > dir/3
  $ hg commit -m 'merge the other way'
  $ hg revert -r 0 1

  $ hg commit -m 'bring 1 back'
  $ hg branch -q third
  $ hg commit -m 'empty'
  $ hg phase -p 7
  $ hg bookmark -r 3 mark
  $ cat >> .hg/hgrc << EOF
  > [phases]
  > publish = no
  > EOF
  $ cd ..
  $ serve -R server -A access.log

  $ hg60 clone -q -U http://$LOCALIP:$HGPORT/ full
  $ cut -d' ' -f6-7 access.log
  "GET /?cmd=capabilities
  "POST /api/exp-http-v2-0003/ro/multirequest
  "POST /api/exp-http-v2-0003/ro/changesetdata
  "POST /api/exp-http-v2-0003/ro/manifestdata
  "POST /api/exp-http-v2-0003/ro/filesdata
  $ hg60 -R full verify -q
  $ all='{rev}:{node} {phase} {bookmarks} {manifest} {file_copies}\n'
  $ hg -R server log -T "$all" > expected
  $ hg60 -R full log -T "$all" | diff expected -

  $ for f in 1 2 3 two three dir/1 dir/2; do
  >   hg -R server debugindex $f > a 2>&1
  >   hg -R full debugindex $f > b 2>&1
  >   cut -c1-70 a > a2; cut -c1-70 b > b2; cmp a2 b2
  > done

Pulls of one revision after the other. (Mercurial 6.0 cannot pull a changeset
whose manifest it already has from another branch. This test pulls none.)

  $ : > access.log
  $ hg60 init part
  $ for rev in 1 3 5 tip; do
  >   hg60 -R part pull -q -r $(hg -R server log -r $rev -T '{node}') \
  >     http://$LOCALIP:$HGPORT/
  >   hg60 -R part verify -q
  > done
  $ hg -R server log -T '{node} {phase} {p1node} {p2node}\n' | sort > expected
  $ hg60 -R part log -T '{node} {phase} {p1node} {p2node}\n' | sort | diff expected -
  $ grep -c filesdata access.log
  4

A clone of an empty repository

  $ killdaemons.py
  $ hg init empty
  $ serve -R empty
  $ hg60 clone -q http://$LOCALIP:$HGPORT/ nothing
  $ hg60 -R nothing log

  $ cat error.log

Mercurial 6.0 over version 2 cannot resolve LFS pointers, so the server sends it
the content of LFS files

  $ killdaemons.py
  $ hg init large --config extensions.lfs=
  $ cat >> large/.hg/hgrc << EOF
  > [extensions]
  > lfs =
  > [lfs]
  > track = size(">100B")
  > EOF
  $ cd large
  $ echo small > file
  $ hg commit -q -A -m small
  $ "$PYTHON" -c "print('large\n' * 100)" > file
  $ hg commit -m large
  $ echo more >> file
  $ hg commit -m larger
  $ echo small again > file
  $ hg commit -m small
  $ cd ..
  $ hg --cwd large debugdata file 1 | head -1
  version https://git-lfs.github.com/spec/v1
  $ serve -R large
  $ hg60 clone -q -U http://$LOCALIP:$HGPORT/ content
  $ hg60 -R content verify -q
  $ for rev in 0 1 2 3; do
  >   hg60 -R content cat -r $rev content/file > a
  >   hg -R large cat -r $rev large/file > b
  >   cmp a b
  > done
  $ grep lfs content/.hg/requires
  [1]
  $ cat error.log
