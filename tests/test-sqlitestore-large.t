Many revisions, many files, unusual names

  $ cat > history.py << EOF
  > from mercurial import context, registrar
  > cmdtable = {}
  > command = registrar.command(cmdtable)
  > LONG = b'/'.join(b'%d' % n * 100 for n in range(9))
  > NAMES = [
  >     b'A', b'a', b'_a', b'__a', b'~61', b'%61', b'a b', b' a', b'a.', b'a..',
  >     b'.a', b'b.i', b'b.d', b'b.i.hg/c', b'b.hg/c', b'c.d/e', b'c.i/e', b'c',
  >     b'aux', b'com1.txt', b'00manifest.i', b'data/a.i', b'dh/a.i', b'meta/a',
  >     b'history.sqlite', b"it's", b'"quoted"', b'back\\\\slash', b'tab\t', b'*',
  >     b'?', b'\xff\xfe', b'\xc3\xa9', b'e\xcc\x81', b'\x01\x1f\x7f', b'-a', b'a:b',
  >     b'n' * 255, LONG, LONG.upper(), LONG + b'.i', b'\xe9' * 200 + b'/x',
  > ]
  > @command(b'makehistory', [])
  > def makehistory(ui, repo):
  >     def commit(files):
  >         def file(repo, ctx, path):
  >             return context.memfilectx(repo, ctx, path, files[path])
  >         ctx = context.memctx(
  >             repo, (repo[b'tip'].node(), None), b'x', sorted(files), file,
  >             user=b'test', date=b'0 0')
  >         repo.commitctx(ctx)
  >     with repo.lock(), repo.transaction(b'history'):
  >         commit({name: b'named %s\n' % name for name in NAMES})
  >         commit({b'many/%d' % n: b'%d\n' % n for n in range(2000)})
  >         lines = [b'%d\n' % n for n in range(100)]
  >         for n in range(1200):
  >             lines[n * 7 % 100] = b'changed in %d\n' % n
  >             commit({b'often': b''.join(lines)})
  > @command(b'checknames', [])
  > def checknames(ui, repo):
  >     for name in NAMES:
  >         data = repo[0][name].data()
  >         assert data == b'named %s\n' % name, (name, data)
  > EOF
  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > history = $TESTTMP/history.py
  > sqlitestore =
  > [storage]
  > new-repo-backend = sqlite
  > sqlite.auto-repack = no
  > EOF

  $ hg init repo
  $ cd repo
  $ hg makehistory
  $ hg verify -q
  $ hg checknames
  $ hg log -r tip -T '{rev} {node|short}\n'
  1201 * (glob)
  $ cd ..

Both sides of a pull have the same changesets, also after a conversion

  $ hg clone -q -U --pull --config storage.new-repo-backend=revlogv1 repo revlogs
  $ hg clone -q -U --pull revlogs again
  $ hg verify -R again -q
  $ hg checknames -R again
  $ hg admin::sqlite-convert -R revlogs
  3241 revisions of 2042 files converted
  $ hg checknames -R revlogs
  $ hg admin::sqlite-repack -R again -q
  $ hg checknames -R again
  $ hg -R again annotate -r tip again/often | sed -n '1p;50p;100p'
  1102: changed in 1100
  1109: changed in 1107
  1159: changed in 1157
  $ hg -R again --config extensions.strip= strip -q --no-backup 2
  $ hg verify -R again -q
  $ hg checknames -R again
