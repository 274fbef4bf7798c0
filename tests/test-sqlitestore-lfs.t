Changegroups with the texts of revisions whose texts the lfs extension keeps
outside of the store.

  $ cat >> "$HGRCPATH" << EOF
  > [extensions]
  > lfs =
  > sqlitestore =
  > [storage]
  > new-repo-backend = sqlite
  > [lfs]
  > url = file:$TESTTMP/remote
  > EOF

The same first changeset in two repositories: one stores the text of the file,
the other an lfs pointer

  $ for name in plain lfs; do
  >   hg init $name
  >   test $name = lfs && printf '[lfs]\ntrack = all()\n' >> lfs/.hg/hgrc
  >   for n in `"$PYTHON" -c 'print(*range(200))'`; do echo "line $n"; done \
  >     > $name/f
  >   hg -R $name commit -q -A -d '0 0' -m first $name/f
  > done
  $ hg --cwd lfs debugdata f 0 | head -1
  version https://git-lfs.github.com/spec/v1

A delta of the text cannot be applied to the stored pointer

  $ echo changed >> plain/f
  $ hg -R plain commit -d '0 0' -m second
  $ hg -R plain bundle -q -r 1 --base 0 changed.hg
  $ hg -R lfs unbundle -q changed.hg
  $ hg -R lfs verify -q
  $ hg --cwd lfs cat -r 1 f | tail -2
  line 199
  changed
