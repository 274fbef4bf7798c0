Raw files are those of one state of the store, even while another process commits

  $ . $TESTDIR/helpers/serve.sh
  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > wireprotov2 =
  > [devel]
  > all-warnings = no
  > EOF
  $ create_history() {
  >   cd $1
  >   mkdir d
  >   for i in 1 2 3; do echo $i > $i; echo $i > d/$i; done
  >   hg commit -q -A -m 0
  >   hg mv 1 one
  >   hg rm d/2
  >   hg commit -m 1
  >   cd ..
  > }
  $ start_commits() {
  >   cat > commits.py << EOF
  > import contextlib, importlib, os, sys
  > with contextlib.suppress(ImportError):
  >     importlib.import_module('mercurial.initialization').init()
  > from mercurial import hg, ui, context
  > repo = hg.repository(ui.ui.load(), os.fsencode(sys.argv[1]))
  > n = 0
  > while n < 400 and (n < 3 or not os.path.exists('stop')):
  >     n += 1
  >     parents = (repo[b'tip'].node(), repo.nullid)
  >     text = b'%d\n' % n * 2000
  >     def file(repo, ctx, path):
  >         return context.memfilectx(repo, ctx, path, text)
  >     ctx = context.memctx(
  >         repo, parents, b'commit %d' % n, [b'd/3', b'new%d' % (n % 50)], file
  >     )
  >     ctx.commit()
  >     with open('count', 'w') as fh:
  >         print(n, file=fh)
  > EOF
  >   rm -f stop count
  >   "$PYTHON" commits.py $1 &
  >   # Wait for the first commit: from then on the store changes.
  >   "$PYTHON" $TESTDIR/helpers/wait_for.py count
  > }

Clones are made of raw files while another process commits. Each clone must be
valid, and must have a contiguous part of the history.

  $ check_clones() {
  >   for n in 1 2 3; do
  >     "$PYTHON" $TESTDIR/helpers/clone_raw_files.py http://$LOCALIP:$HGPORT \
  >       $1 $1-$n
  >   done
  >   touch stop
  >   wait
  >   for n in 1 2 3; do
  >     # The list of file logs is not transferred.
  >     hg -R $1-$n debugrebuildfncache > /dev/null
  >     hg -R $1-$n verify -q
  >     hg -R $1-$n log -T '{node}\n' > nodes
  >     hg -R $1 log -r $(tail -1 nodes):$(head -1 nodes) -T '{node}\n' \
  >       | sort > expected
  >     sort nodes | diff expected -
  >   done
  >   hg -R $1-1 manifest -r 1 --debug
  > }

  $ hg init revlogs
  $ create_history revlogs
  $ serve -R revlogs
  $ start_commits revlogs
  $ check_clones revlogs
  5d9299349fc01ddd25d0070d149b124d8f10411e 644   2
  2661d26c649684b482d10f91960cc3db683c38b4 644   3
  b8e02f6433738021a065f94175c7cd23db5f05be 644   d/1
  2661d26c649684b482d10f91960cc3db683c38b4 644   d/3
  c9d3ba3864c818e54ce561932a1e6e7d89415d22 644   one
  $ killdaemons.py

The same with files in SQLite

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > sqlitestore =
  > [storage]
  > new-repo-backend = sqlite
  > EOF
  $ hg init sqlite
  $ create_history sqlite
  $ serve -R sqlite
  $ start_commits sqlite
  $ check_clones sqlite
  5d9299349fc01ddd25d0070d149b124d8f10411e 644   2
  2661d26c649684b482d10f91960cc3db683c38b4 644   3
  b8e02f6433738021a065f94175c7cd23db5f05be 644   d/1
  2661d26c649684b482d10f91960cc3db683c38b4 644   d/3
  c9d3ba3864c818e54ce561932a1e6e7d89415d22 644   one
  $ ls sqlite-3/.hg/store | grep sqlite
  history.sqlite
  $ killdaemons.py

A server that does not allow stream clones does not send raw files

  $ hg init closed
  $ cat > closed/.hg/hgrc << EOF
  > [server]
  > uncompressed = no
  > EOF
  $ serve -R closed
  $ "$PYTHON" $TESTDIR/helpers/clone_raw_files.py http://$LOCALIP:$HGPORT \
  >   closed none 2>&1 | tail -1
  urllib.error.HTTPError: HTTP Error 404: Not Found

  $ cat error.log
