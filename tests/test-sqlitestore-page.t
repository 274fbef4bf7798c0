#require serve

The page "storage" of hgweb

  $ . "$TESTDIR/helpers/serve.sh"
  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > sqlitestore =
  > [storage]
  > new-repo-backend = sqlite
  > EOF
  $ hg init r
  $ cd r
  $ mkdir src
  $ "$PYTHON" -c "open('src/big.py', 'w').write(''.join('line %d\n' % i for i in range(999)))"
  $ echo small > README
  $ hg commit -qAm 0 -d '1577880000 0'
  $ echo more >> src/big.py
  $ hg commit -qm 1 -d '1583020800 0'
  $ "$PYTHON" << EOF
  > names = (b'<script>alert(1)<', b'"quoted&\'.<b>', b'na\xefve.txt', b'new\tline')
  > for name in names:
  >     import os
  >     os.makedirs(b'odd', exist_ok=True)
  >     open(os.path.join(b'odd', name), 'wb').write(name)
  > EOF
  $ hg commit -qAm odd -d '1583020800 0' 2> /dev/null
  $ serve
  $ get() {
  >   get-with-headers.py $LOCALIP:$HGPORT "$@"
  > }

The page has tables and pictures, and is neither kept nor framed by others

  $ get storage content-type cache-control x-frame-options etag > ../page
  $ head -5 ../page
  200 Script output follows
  content-type: text/html; charset=ascii
  cache-control: no-store
  x-frame-options: DENY
  
  $ grep '<h[345]' ../page | sed 's/<div.*//'
  <h3>storage</h3>
  <h4 class="am-section">Database</h4>
  <h5>Growth</h5>
  <h5>What the database holds</h5>
  <h5>Delta chains</h5>
  <h5>Biggest paths</h5>
  <h5>Kinds of files</h5>
  $ grep -c '<svg xmlns="http://www.w3.org/2000/svg" role="img"' ../page
  3
  $ grep -c 'storage">storage</a></li>' ../page
  1

Names cannot be markup

  $ grep -o 'odd/[^<]*' ../page | sort
  odd/&lt;script&gt;alert(1)&lt;
  odd/&quot;quoted&amp;&#x27;.&lt;b&gt;
  odd/na&#65533;ve.txt
  odd/new&#65533;line
  $ grep -c '<script>alert' ../page
  0
  [1]

The navigation of Mercurial's pages leads to it, in every style that has one

  $ for style in paper coal gitweb monoblue spartan; do
  >   get "shortlog?style=$style" | grep -c 'href="/storage'
  > done
  1
  1
  1
  1
  1
  $ get "raw-log" | grep storage
  [1]

It exists in every style, except in feeds

  $ for style in paper coal gitweb monoblue spartan; do
  >   get "$style-storage" > ../$style.html
  >   head -1 ../$style.html
  >   grep -c 'aria-label="stored contents by month of the changeset"' ../$style.html
  > done
  200 Script output follows
  1
  200 Script output follows
  1
  200 Script output follows
  1
  200 Script output follows
  1
  200 Script output follows
  1
  $ get atom-storage | head -1
  404 this page is not a feed
  $ get raw-storage content-type | grep -v -e size -e database -e stored
  200 Script output follows
  content-type: text/plain; charset=utf-8
  
  # Database
  
  all texts* (glob)
  revisions	10
  files	6
  loose revisions	10	never repacked
  
  ## Growth
  
  ## Growth by year
  2020	10	* (glob)
  
  Loose revisions move into frames, and free pages are given back, with a repack.
  
  rev	loose revisions	10	* (glob)
  path	paths	7	* (glob)
  
  ## Delta chains
  How many deltas are applied to read a revision. Reading is fast if most revisions need few.
  
  ## Biggest paths
  src/big.py	* (glob)
  00manifest	* (glob)
  odd/<script>alert(1)<	* (glob)
  odd/"quoted&'.<b>	* (glob)
  odd/na*ve.txt	* (glob)
  odd/new*line	* (glob)
  README	* (glob)
  
  ## Kinds of files
  .py	* (glob)
  (none)	* (glob)
  .<b>	* (glob)
  .txt	* (glob)

Programs get the figures of admin::sqlite-stats, under the same names

  $ cat > ../compare.py << EOF
  > import json, subprocess, sys
  > page = json.load(open('../page.json'))
  > command = ['hg', 'admin::sqlite-stats', '-T', 'json', '-n', '20']
  > [stats] = json.loads(subprocess.check_output(command))
  > for name in ('size', 'wal'):
  >     # The log is moved into the database when the last process closes it.
  >     del stats[name], page[name]
  > print('same' if stats.items() <= page.items() else (stats, page))
  > print(sorted(page.keys() - stats.keys()))
  > print(page['growth'][0]['month'], page['growth'][1]['month'], page['current'])
  > print([path['path'] for path in page['paths'] if 've.txt' in path['path']])
  > EOF
  $ get --bodyfile ../page.json json-storage content-type
  200 Script output follows
  content-type: application/json
  
  $ "$PYTHON" ../compare.py
  same
  ['current', 'growth', 'kinds', 'measured', 'repacked', 'repository']
  2020-01 2020-03 True
  ['odd/na\udcefve.txt']

Figures follow the history

  $ echo again >> README
  $ hg commit -qm again
  $ get raw-storage | grep ^revisions
  revisions	12
  $ hg admin::sqlite-repack -q
  $ get raw-storage | grep -e '^# ' -e '^## F' -e '^loose' | sed 's/20..-..-../DATE/'
  # Database
  loose revisions	0	last repack DATE
  ## Frames

Paths that only secret changesets have are not shown

  $ echo secret > codename-x
  $ hg add codename-x
  $ hg commit -qm secret --secret
  $ get raw-storage > ../raw
  $ grep codename ../raw
  [1]
  $ grep ^revisions ../raw
  revisions	14

The page is only read

  $ "$PYTHON" << EOF
  > import os, urllib.error, urllib.request
  > try:
  >     urllib.request.urlopen('http://localhost:%s/storage' % os.environ['HGPORT'], b'x=y')
  > except urllib.error.HTTPError as e:
  >     print(e.code, e.headers['Allow'])
  > EOF
  405 GET, HEAD

The permission to read is checked before anything is read

  $ killdaemons.py
  $ cat >> .hg/hgrc << EOF
  > [web]
  > deny_read = *
  > EOF
  $ mv .hg/store/history.sqlite saved
  $ serve
  $ for page in storage json-storage; do get $page | head -1; done
  401 read not authorized
  401 read not authorized
  $ killdaemons.py
  $ mv saved .hg/store/history.sqlite
  $ rm .hg/hgrc
  $ cd ..

A server of several repositories has a summary of those that its index lists

  $ hg init hidden
  $ cat > hidden/.hg/hgrc << EOF
  > [web]
  > hidden = yes
  > EOF
  $ hg init private
  $ cat > private/.hg/hgrc << EOF
  > [web]
  > allow_read = alice
  > EOF
  $ hg --config storage.new-repo-backend=revlogv1 init plain
  $ cat > web.conf << EOF
  > [paths]
  > group/one = $TESTTMP/r
  > group/hidden = $TESTTMP/hidden
  > private = $TESTTMP/private
  > plain <b> = $TESTTMP/plain
  > EOF
  $ serve --web-conf web.conf
  $ get 'storage?style=raw' content-type cache-control
  200 Script output follows
  content-type: text/plain; charset=utf-8
  cache-control: no-store
  
  # All repositories
  
  repositories	2
  database	* (glob)
  texts	* (glob)
  files	7
  revisions	14
  loose revisions	2
  
  ## Repositories
  repository	database	texts	files	revisions	loose revisions
  group/one	* (glob)
  plain <b>	\xe2\x80\x93	\xe2\x80\x93	\xe2\x80\x93	\xe2\x80\x93	\xe2\x80\x93 (esc)
  $ get 'group/storage?style=json' | grep -o '"name": "[^"]*"'
  "name": "group/one"
  $ for style in paper coal gitweb monoblue spartan; do
  >   get "storage?style=$style" | grep -e '<h4' -e 'plain'
  > done | sort | uniq -c | sed 's/^ *//'
  5 <h4 class="am-section">All repositories</h4>
  5 </tr></thead> (?)
  5 <tr><td>plain &lt;b&gt;</td>.* (re)
  $ get 'storage?style=rss' | head -1
  404 this page is not a feed
  $ get plain%20%3Cb%3E/raw-storage
  200 Script output follows
  
  # Database
  
  This repository keeps its history in revlogs. hg admin::sqlite-convert moves it into a database.
  $ get private/storage | head -1
  401 read not authorized
  $ get nothing/storage | head -1
  404 Not Found
  $ cat r/error.log error.log
