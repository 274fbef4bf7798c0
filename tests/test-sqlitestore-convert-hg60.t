#require hg60

Converting repositories made by the extension sqlitestore of Mercurial 6.0.

  $ cat > old.sh << 'EOF'
  > "$AMALGAM_HG60" --config extensions.sqlitestore= \
  >   --config storage.new-repo-backend=sqlite "$@"
  > EOF

A repository in the format of that extension

  $ sh old.sh init r
  $ cd r
  $ for i in 1 2 3; do echo $i >> text; sh ../old.sh commit -qAm $i; done
  $ sh ../old.sh copy text copied
  $ sh ../old.sh commit -qm copy
  $ "$PYTHON" -c "open('large', 'w').write('same line\n' * 9999)"
  $ sh ../old.sh commit -qAm large
  $ sh ../old.sh update -q 1
  $ echo other >> text
  $ sh ../old.sh commit -qm other
  $ sh ../old.sh log -p -T '{rev} {node}\n' > ../before
  $ grep sqlite .hg/requires .hg/store/requires 2> /dev/null | sed 's/.*://'
  exp-sqlite-001
  exp-sqlite-comp-001=zstd

Mercurial without an extension refuses the repository; this extension names the
command that converts it

  $ hg log -r tip
  abort: repository requires features unknown to this Mercurial: * (glob)
  (see https://mercurial-scm.org/wiki/MissingRequirement for more information)
  [255]
  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > sqlitestore =
  > EOF
  $ hg log -r tip -T '{rev}\n'
  5
  $ hg cat -r tip text
  abort: this repository has an old format (exp-sqlite-001)
  (run 'hg admin::sqlite-convert')
  [255]
  $ echo more >> text
  $ hg commit -m more
  abort: this repository has an old format (exp-sqlite-001)
  (run 'hg admin::sqlite-convert')
  [255]
  $ hg revert -q --no-backup text
  abort: this repository has an old format (exp-sqlite-001)
  (run 'hg admin::sqlite-convert')
  [255]

Its history stays the same when it is converted to SQLite, or to revlogs

  $ cp -R . ../r2
  $ hg admin::sqlite-convert
  6 revisions of 3 files converted
  $ ls .hg/store | grep 'data\|sqlite'
  data
  history.sqlite
  $ hg verify -q
  $ hg log -p -T '{rev} {node}\n' | cmp - ../before
  $ hg commit -qm more
  $ hg verify -q
  $ cd ../r2
  $ hg admin::sqlite-convert --to revlog
  6 revisions of 3 files converted
  $ hg --config extensions.sqlitestore=! verify -q
  $ hg log -p -T '{rev} {node}\n' | cmp - ../before
