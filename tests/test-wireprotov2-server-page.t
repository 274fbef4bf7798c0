#require serve

What the page "storage" of hgweb says of segments and of the cache

  $ . "$TESTDIR/helpers/serve.sh"
  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > wireprotov2 =
  > [wireprotov2]
  > cacher = directory
  > EOF
  $ hg init one
  $ hg init other
  $ cd one
  $ for i in 0 1 2; do
  >   echo $i > file
  >   hg commit -qAm $i -u test -d "$i 0"
  > done
  $ hg phase --public tip
  $ cd ..
  $ get() {
  >   get-with-headers.py $LOCALIP:$HGPORT "$@"
  > }
  $ show() {
  >   get --bodyfile page.json "$1?style=json" > headers
  >   "$PYTHON" - "$2" << EOF
  > import json, sys
  > page = json.load(open('page.json'))
  > for name in ('segments', 'cacher', 'cacheevents'):
  >     found = page[name]
  >     if name == 'segments' and found:
  >         found['list'] = [(part['changesets'], part['open'], part['state'])
  >                          for part in found['list']]
  >     if name == 'cacher' and found and found['size']:
  >         found['size'] = 'some'
  >     print(name, found)
  > EOF
  > }

  $ serve -R one
  $ show storage
  segments {'changesets': 3, 'closed': 0, 'list': [(3, True, 'missing')]}
  cacher {'entries': 0, 'limit': 2147483648, 'name': 'directory', 'size': 0}
  cacheevents None
  $ killdaemons.py
  $ hg -R one admin::wire-warm -q
  $ serve -R one
  $ show storage
  segments {'changesets': 3, 'closed': 0, 'list': [(3, True, 'cached')]}
  cacher {'entries': 2, 'limit': 2147483648, 'name': 'directory', 'size': 'some'}
  cacheevents None
  $ get raw-storage
  200 Script output follows
  
  # Clones and the cache
  
  closed segments	0	3 public changesets
  ready in the cache	1 of 1	spans and open segments
  in the cache (directory)	* (glob)
  cached responses	2
  
  With wireprotov2.metrics, answers of the cache are counted.
  
  ## Segments
  segment	changesets	estimated size	in the cache
  * (open)	3	* KB	yes (glob)
  $ killdaemons.py

A cacher that other repositories can use is not described if there are any

  $ cat > web.conf << EOF
  > [paths]
  > one = one
  > other = other
  > EOF
  $ serve --web-conf web.conf --config wireprotov2.cacher=memory
  $ show one/storage
  segments {'changesets': 3, 'closed': 0, 'list': [(3, True, 'missing')]}
  cacher None
  cacheevents None
  $ killdaemons.py

Without segments, or without version 2

  $ serve -R one --config narrowacl.default.includes=file
  $ show storage | head -1
  segments None
  $ get storage | grep -o 'Clones get no segments[^<]*'
  Clones get no segments, because access to this repository is limited or it lacks a part of the history.
  $ killdaemons.py
  $ serve -R one --config wireprotov2.serve=no
  $ get storage | head -1
  400 method not found
