A cache shows nobody more than the repository does

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > blackbox =
  > censor =
  > wireprotov2 =
  > [blackbox]
  > track = wireprotov2-cache
  > [experimental]
  > evolution = all
  > server.allow-hidden-access = *
  > EOF
  $ call() {
  >     "$PYTHON" $TESTDIR/helpers/wire_call.py "$@"
  > }
  $ events() {
  >     sed 's/.*> //; s/ for [0-9a-f]\{40\}$//' server/.hg/blackbox.log
  >     rm server/.hg/blackbox.log
  > }
  $ hg init server
  $ cd server
  $ cat >> .hg/hgrc << EOF
  > [phases]
  > publish = no
  > [wireprotov2]
  > cacher = memory
  > EOF
  $ echo public > a
  $ hg commit -q -A -m public -d '0 0'
  $ hg phase --public .
  $ echo hidden > a
  $ hg commit -m hidden -d '1 0'
  $ echo draft > a
  $ hg commit --amend -q -m draft -d '2 0'
  $ echo secret > a
  $ hg commit --secret -m secret -d '3 0'
  $ hg log --hidden -T '{rev} {phase} {desc}{if(obsolete, " obsolete")}\n'
  3 secret secret
  2 draft draft
  1 draft hidden obsolete
  0 public public
  $ file() {
  >     hg --hidden manifest --debug -r "$1" | cut -c1-40
  > }
  $ node() {
  >     hg --hidden log -r "$1" -T '{node}'
  > }
  $ hidden=`file 1`; draft=`file 2`; secret=`file 3`
  $ hiddenset=`node 1`; draftset=`node 2`; public=`node 0`
  $ cd ..
  $ hg serve -R server -p $HGPORT -d --pid-file hg.pid -E error.log
  $ cat hg.pid > $DAEMON_PIDS
  $ URL=http://localhost:$HGPORT/
  $ ALL="http://localhost:$HGPORT/?access-hidden=1"

A user who may see hidden changesets fills the cache. Others do not get them

  $ call "$ALL" filedata path="b'a'" fields="[b'revision']" nodes=nodes:$hidden
  {'status': 'ok'}
  {'totalitems': 1}
  {'fieldsfollowing': [['revision', 7]], 'node': 'ee23e22700c4314a31baa6f1b2b4ae5301c88861'}
  hidden
  
  $ call "$ALL" filedata path="b'a'" fields="[b'revision']" nodes=nodes:$hidden
  {'status': 'ok'}
  {'totalitems': 1}
  {'fieldsfollowing': [['revision', 7]], 'node': 'ee23e22700c4314a31baa6f1b2b4ae5301c88861'}
  hidden
  
  $ call $URL filedata path="b'a'" fields="[b'revision']" nodes=nodes:$hidden
  {'error': {'args': ['ee23e22700c4314a31baa6f1b2b4ae5301c88861'], 'message': 'unknown file node: %s'}, 'status': 'error'}
  $ events
  cacher constructed for filedata
  cache miss
  storing cache entry
  cacher constructed for filedata
  cache hit
  cacher constructed for filedata
  cache miss
  cacher exiting due to error
  $ cat > hiddenset.py << EOF
  > import sys
  > sys.path.insert(0, '$TESTDIR/helpers')
  > from wire_call import call, readable
  > revisions = [
  >     {b'type': b'changesetexplicit', b'nodes': [bytes.fromhex('$hiddenset')]}
  > ]
  > args = {b'fields': [b'parents'], b'revisions': revisions}
  > for url in sys.argv[1:]:
  >     print(readable(call(url, b'changesetdata', args)[0]['status'.encode()]))
  > EOF
  $ PYTHONPATH="$TESTDIR/helpers:$PYTHONPATH" "$PYTHON" hiddenset.py "$ALL" "$ALL" $URL
  ok
  ok
  error
  $ events
  cacher constructed for changesetdata
  cache miss
  storing cache entry
  cacher constructed for changesetdata
  cache hit
  cacher constructed for changesetdata
  cache miss
  cacher exiting due to error

Nobody gets secret changesets

  $ call "$ALL" filedata path="b'a'" fields="[b'revision']" nodes=nodes:$secret
  {'error': {'args': ['b391f51e9db71bfda6f08c1a10105d47027c4938'], 'message': 'unknown file node: %s'}, 'status': 'error'}

A draft that was cached is not sent after it becomes secret

  $ call $URL filedata path="b'a'" fields="[b'revision']" nodes=nodes:$draft
  {'status': 'ok'}
  {'totalitems': 1}
  {'fieldsfollowing': [['revision', 6]], 'node': 'f6332243f311476f6bfdec36cbae5bbe7c1eaf2e'}
  draft
  
  $ call $URL filedata path="b'a'" fields="[b'revision']" nodes=nodes:$draft
  {'status': 'ok'}
  {'totalitems': 1}
  {'fieldsfollowing': [['revision', 6]], 'node': 'f6332243f311476f6bfdec36cbae5bbe7c1eaf2e'}
  draft
  
  $ hg -R server phase --force --secret -r 2
  $ call $URL filedata path="b'a'" fields="[b'revision']" nodes=nodes:$draft
  {'error': {'args': ['f6332243f311476f6bfdec36cbae5bbe7c1eaf2e'], 'message': 'unknown file node: %s'}, 'status': 'error'}
  $ events
  cacher constructed for filedata
  cache miss
  cacher exiting due to error
  cacher constructed for filedata
  cache miss
  storing cache entry
  cacher constructed for filedata
  cache hit
  cacher constructed for filedata
  cache miss
  cacher exiting due to error

The same for segments

  $ cat >> server/.hg/hgrc << EOF
  > [phases]
  > publish = yes
  > EOF
  $ hg -R server phase --draft -r 2
  $ name=`call $URL segments | sed -n 's/.*name.: .\([0-9a-f]*\).*/\1/p'`
  $ "$PYTHON" $TESTDIR/helpers/get_segment.py $URL one.hg
  2 changesets, changegroup 02, application/x-mercurial-pack
  $ "$PYTHON" $TESTDIR/helpers/get_segment.py $URL two.hg
  2 changesets, changegroup 02, application/x-mercurial-pack
  $ events
  cacher constructed for segmentdata
  cache miss
  storing cache entry
  cacher constructed for segmentdata
  cache hit
  $ hg -R server phase --force --secret -r 2
  $ "$PYTHON" $TESTDIR/helpers/get_segment.py $URL one.hg
  1 changesets, changegroup 02, application/x-mercurial-pack

  $ call $URL segmentdata name=hex:$name
  {'error': {'args': ['0e35f1a8d8346bb96a6274904d486e0f256caa44'], 'message': 'unknown segment: %s'}, 'status': 'error'}

A file revision that was cached is not sent after it was censored

  $ hg -R server phase --public --hidden -r 2
  $ public=`hg -R server manifest --debug -r 0 | cut -c1-40`
  $ call $URL filedata path="b'a'" fields="[b'revision']" nodes=nodes:$public
  {'status': 'ok'}
  {'totalitems': 1}
  {'fieldsfollowing': [['revision', 7]], 'node': 'e529a3c58d93fe5b9a52892e93fbdea792a0b222'}
  public
  
  $ call $URL filedata path="b'a'" fields="[b'revision']" nodes=nodes:$public
  {'status': 'ok'}
  {'totalitems': 1}
  {'fieldsfollowing': [['revision', 7]], 'node': 'e529a3c58d93fe5b9a52892e93fbdea792a0b222'}
  public
  
  $ hg -R server update -q null
  $ hg --cwd server censor -q -r 0 a
  $ call $URL filedata path="b'a'" fields="[b'revision']" nodes=nodes:$public
  {'status': 'ok'}
  {'totalitems': 1}
  {'fieldsfollowing': [['revision', 15]], 'node': 'e529a3c58d93fe5b9a52892e93fbdea792a0b222'}
  \x01 (esc)
  censored: 
  \x01 (esc)
  
  $ events
  cacher constructed for segmentdata
  cache miss
  storing cache entry
  cacher constructed for filedata
  cache miss
  storing cache entry
  cacher constructed for filedata
  cache hit
  cacher constructed for filedata
  cache miss
  storing cache entry
  $ cat server/.hg/store/wireprotov2-censored
  e529a3c58d93fe5b9a52892e93fbdea792a0b222 a
  $ cat error.log

Censored history is cut and cloned like any other

  $ hg clone -q -U $URL clone 2>&1 | grep -v warning
  [1]
  $ hg -R clone log -T '{rev} {desc}\n'
  1 draft
  0 public
  $ hg --cwd clone cat -r 0 a --config censor.policy=ignore
