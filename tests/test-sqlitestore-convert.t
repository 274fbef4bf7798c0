Converting a repository from revlogs to SQLite and back.

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > sqlitestore =
  > [experimental]
  > evolution = all
  > EOF
  $ cat > digest.sh << 'EOF'
  > # everything a reader can see of all file revisions
  > hg -R "$1" log -G -p -T '{rev} {node} {files}\n' --hidden | f --sha1
  > EOF

A repository with branches, copies, a hidden changeset, and long and odd names

  $ hg init r
  $ cd r
  $ long=`"$PYTHON" -c "print('x' * 130)"`
  $ mkdir "$long" D.i
  $ echo long > "$long/$long"
  $ echo odd > D.i/'odd name.d'
  $ "$PYTHON" -c "open('text', 'w').write(''.join('%d\n' % i for i in range(999)))"
  $ hg commit -qAm 0
  $ for i in 1 2 3; do echo $i >> text; hg commit -qm $i; done
  $ hg update -q 1
  $ hg copy text copied
  $ hg commit -qm copy
  $ hg merge -q 3
  $ hg commit -qm merge
  $ echo hidden >> text
  $ hg commit -qm hidden
  $ hg debugobsolete `hg id -i --debug`
  1 new obsolescence markers
  obsoleted 1 changesets
  $ hg update -q tip
  $ cd ..
  $ sh digest.sh r > before; cat before
  sha1=* (glob)

Convert it to SQLite

  $ hg -R r admin::sqlite-convert
  9 revisions of 4 files converted
  $ grep sqlite r/.hg/store/requires
  sqlitestore-compression=zstd
  sqlitestore-v3
  $ ls r/.hg/store | grep 'data\|dh\|sqlite'
  data
  history.sqlite

A symbolic link replaces the folder of revlogs, and stops processes that expect
revlogs there

  $ readlink.py r/.hg/store/data
  r/.hg/store/data -> history.sqlite/instead
  $ hg -R r verify -q
  $ sh digest.sh r | cmp - before
  $ hg -R r status
  $ hg -R r admin::sqlite-convert
  nothing to convert

The converted repository can be written to, cloned and streamed

  $ cd r
  $ hg rollback
  no rollback information available
  [1]
  $ echo more >> text
  $ hg commit -qm more
  1 new orphan changesets
  $ hg verify -q
  $ hg --config extensions.strip= strip -q --no-backup tip
  $ hg update -q tip
  $ cd ..
  $ hg clone -q --stream -U ssh://user@dummy/r streamed \
  >    --config ui.ssh="\"$PYTHON\" \"$RUNTESTDIR/dummyssh\""
  $ hg -R streamed verify -q

Convert it back to revlogs: the store contains the same history as before

  $ hg -R r admin::sqlite-convert --to revlog
  9 revisions of 4 files converted
  $ grep sqlite r/.hg/store/requires
  [1]
  $ ls r/.hg/store | grep 'data\|dh\|sqlite'
  data
  dh
  $ hg -R r --config extensions.sqlitestore=! verify -q
  $ sh digest.sh r | cmp - before
  $ hg -R r admin::sqlite-convert --to revlog
  nothing to convert
  $ hg clone -q -U r copied
  $ hg -R copied verify -q

Conversions that are refused

  $ hg -R r admin::sqlite-convert --to cvs
  abort: cannot convert to 'cvs'
  (use one of: sqlite, revlog)
  [10]
  $ hg share -q -U r shared --config extensions.share=
  $ hg -R shared admin::sqlite-convert --config extensions.share=
  abort: cannot convert a share
  (convert its source: $TESTTMP/r/.hg)
  [255]
  $ touch r/.hg/store/journal
  $ hg -R r admin::sqlite-convert
  abort: abandoned transaction found
  (run 'hg recover' to clean up transaction)
  [255]
  $ rm r/.hg/store/journal
  $ hg init indexed --config format.exp-use-fileindex-v1=enable-unstable-format-and-corrupt-my-data
  $ hg -R indexed admin::sqlite-convert | grep -v 'nothing\|0 revisions'
  [1]

A conversion finds damage, and leaves the repository as it was

  $ cp -R r bad
  $ rm bad/.hg/store/data/text.i
  $ echo > bad/.hg/store/data/copied.i
  $ hg -R bad admin::sqlite-convert
  abort: cannot read the history of copied: unpack requires a buffer of 4 bytes
  (run 'hg verify')
  [255]
  $ ls bad/.hg/store | grep 'data\|dh\|sqlite'
  data
  dh
  $ hg -R bad log -r 5 -T '{rev}\n'
  5
