#require serve

The page "lfs" of hgweb

  $ . "$TESTDIR/helpers/serve.sh"
  $ cat >> $HGRCPATH << EOF
  > [blackbox]
  > track = lfsserver
  > [extensions]
  > blackbox =
  > lfs =
  > lfsserver =
  > [lfs]
  > track = size(">20B")
  > usercache = $TESTTMP/cache
  > [ui]
  > ssh = "$PYTHON" "$RUNTESTDIR/dummyssh"
  > EOF
  $ hg init server
  $ cd server
  $ "$PYTHON" << EOF
  > import os
  > for path, size in (
  >     (b'models/a.bin', 3000), (b'models/b.bin', 2000), (b'top.bin', 500),
  >     (b'<i>\xef"/x.bin', 400), (b'small/text', 10),
  > ):
  >     os.makedirs(os.path.dirname(path) or b'.', exist_ok=True)
  >     with open(path, 'wb') as f:
  >         f.write(path[:1] * size)
  > EOF
  $ hg commit -qAm 0 2> /dev/null
  $ mkdir codename
  $ "$PYTHON" -c "open('codename/secret.bin', 'w').write('s' * 100)"
  $ hg commit -qAm secret --secret
  $ cat >> .hg/hgrc << EOF
  > [extensions]
  > basic_auth = $TESTDIR/helpers/basic_auth.py
  > [web]
  > push_ssl = no
  > allow-push = alice, bob
  > [lfsserver]
  > quota = 10000
  > EOF
  $ cd ..
  $ http() {
  >   "$PYTHON" "$TESTDIR/helpers/send_form.py" "$@"
  > }
  $ lock() {
  >   "$PYTHON" - "$@" << EOF
  > import base64, json, os, sys, urllib.request
  > pair = base64.b64encode(f'{sys.argv[1]}:secret'.encode()).decode()
  > urllib.request.urlopen(urllib.request.Request(
  >     'http://localhost:%s/.git/info/lfs/locks' % os.environ['HGPORT'],
  >     json.dumps({'path': sys.argv[2]}).encode(),
  >     {'Content-Type': 'application/vnd.git-lfs+json', 'Authorization': f'Basic {pair}'})).read()
  > EOF
  > }
  $ serve -R server
  $ lock alice models/a.bin
  $ lock bob '<b>é.bin'

Everybody who may read sees usage and locks; folders of secret files have no
names, and no name is markup

  $ http GET lfs > page
  $ head -1 page
  200 Script output follows 
  $ grep '<h[345]' page | sed 's/<div.*//'
  <h3>large files</h3>
  <h4 class="am-section">Usage and locks</h4>
  <h5>Quota</h5>
  <h5>By folder</h5>
  <h5>By time since the upload</h5>
  <h5>Locks</h5>
  $ grep -c -e codename -e '<i>' -e '<b>' -e unlock page
  0
  [1]
  $ http GET 'lfs?style=raw' | sed 's/20[^ ]* [^ ]* UTC/DATE/'
  200 Script output follows 
  # Usage and locks
  
  large files	5
  their size	5.86 KB
  uploads in progress	0 B
  quota	9.77 KB	60.0% used
  
  ## Quota
  
  ## By folder
  folder	blobs	size
  models/	2	4.88 KB
  ./	1	500 B
  <i>\xef\xbf\xbd"/	1	400 B (esc)
  (unreferenced)	1	100 B
  
  ## By time since the upload
  
  ## Locks
  file	owner	branch	since
  models/a.bin	alice	all branches	DATE
  <b>\xc3\xa9.bin	bob	all branches	DATE (esc)
  $ for style in paper coal gitweb monoblue spartan; do
  >   http GET "$style-lfs" > styled
  >   grep -c '<td>models/a.bin</td>' styled
  > done
  1
  1
  1
  1
  1

Programs get the rows of admin::lfs-usage and admin::lfs-locks

  $ http GET 'lfs?style=json' | sed 1d > page.json
  $ cat > compare.py << EOF
  > import json, subprocess
  > page = json.load(open('page.json', encoding='utf-8'))
  > def command(name):
  >     return json.loads(subprocess.check_output(
  >         ['hg', '-q', '-R', 'server', name, '-T', 'json']))
  > usage = command('admin::lfs-usage')
  > print([row for row in usage if row not in page['usage']])
  > print([row for row in page['usage'] if row not in usage])
  > locks = command('admin::lfs-locks')
  > for lock in locks:
  >     del lock['broken']
  > print(locks == page['locks'] or (locks, page['locks']))
  > EOF
  $ "$PYTHON" compare.py
  [{'blobs': 1, 'bytes': 100, 'group': 'folder', 'name': 'codename/'}]
  [{'blobs': 1, 'bytes': 100, 'group': 'folder', 'name': '(unreferenced)'}]
  True

Only those who may push get buttons, each with a token of their own

  $ fields() {
  >   http GET lfs "$1" > page
  >   grep -o 'name="[a-z]*" value="[^"]*"' page | sed 's/name="\(.*\)" value="\(.*\)"/\1=\2/'
  > }
  $ fields carol
  $ fields alice > alice
  $ sed 's/[0-9a-f]\{32,\}/HEX/' alice
  unlock=HEX
  token=HEX
  unlock=HEX
  token=HEX
  $ fields bob > bob
  $ grep unlock alice > ids; grep unlock bob | cmp - ids
  $ grep token bob | cmp -s - alice
  [1]
  $ first=`sed -n 1p alice`; second=`sed -n 3p alice`
  $ token=`sed -n 2p alice`; other=`sed -n 4p alice`; bobs=`sed -n 2p bob`

Without a token, with that of another lock or another user, or if a browser says
that another site made the request, nothing is unlocked

  $ refused() {
  >   http POST lfs "$@" | grep -e '^[1-5]' -e another -e outdated | head -2
  >   hg -R server admin::lfs-locks | tail -1
  > }
  $ refused alice $first
  403 this form is outdated, or does not come from this server: reload the page and try again 
  this form is outdated, or does not come from this server: reload the page and try again
  2 locks
  $ refused alice $first token= | head -1
  403 this form is outdated, or does not come from this server: reload the page and try again 
  $ refused alice $first $other | head -1
  403 this form is outdated, or does not come from this server: reload the page and try again 
  $ refused alice $first $bobs | head -1
  403 this form is outdated, or does not come from this server: reload the page and try again 
  $ refused alice $first $token Sec-Fetch-Site:cross-site | head -1
  403 another site has made this request 
  $ refused alice $first $token Sec-Fetch-Site:same-site | head -1
  403 another site has made this request 
  $ refused alice $first $token Origin:http://evil.example | head -1
  403 another site has made this request 
  $ refused alice $first $token Origin:null | head -1
  403 another site has made this request 
  $ refused alice $first $token Content-Type:text/plain | head -1
  415 send application/x-www-form-urlencoded 
  $ refused alice $first $token x=`"$PYTHON" -c "print('x' * 5000)"` | head -1
  413 the form is too large 
  $ refused alice a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1 i=1 | head -1
  400 the form is malformed 
  $ refused '' $first $token | head -1
  401 push not authorized 
  $ refused carol $first $token
  403 push not authorized 
  2 locks
  $ http GET "lfs?$first&$token" alice | sed -n 1p
  200 Script output follows 
  $ refused alice
  403 this form is outdated, or does not come from this server: reload the page and try again 
  this form is outdated, or does not come from this server: reload the page and try again
  2 locks

With it, those who may push can unlock what others locked, and get back to the
page; a second request finds nothing to do

  $ http POST 'lfs?style=gitweb' alice $first $token Sec-Fetch-Site:same-origin
  303 See Other /lfs?style=gitweb
  $ http POST lfs alice $first $token
  303 See Other /lfs
  $ http POST lfs alice $second $other Origin:http://localhost:$HGPORT
  303 See Other /lfs
  $ hg -R server admin::lfs-locks
  0 locks
  $ grep -o 'unlocked .*' server/.hg/blackbox.log
  unlocked models/a.bin of alice
  unlocked <b>\xc3\xa9.bin of bob (esc)
  $ http GET raw-lfs | tail -1
  No file is locked.

The secret of forms is not for others, and all processes use it

  $ f --mode --size server/.hg/cache/lfs-form-secret | sed 's/mode=6[0-6]0/mode=6x0/'
  server/.hg/cache/lfs-form-secret: size=32, mode=6x0
  $ lock alice models/a.bin
  $ fields alice > before
  $ killdaemons.py
  $ serve -R server
  $ fields alice | cmp - before

Through a proxy, the origin is the address that the proxy announces

  $ first=`sed -n 1p before`; token=`sed -n 2p before`
  $ refused alice $first $token Origin:https://hg.example.com | sed 1d
  another site has made this request
  1 locks
  $ http POST lfs alice $first $token Origin:https://hg.example.com X-Forwarded-Host:hg.example.com X-Forwarded-Proto:https
  303 See Other /lfs

Without locks, or without LFS, there are none

  $ killdaemons.py
  $ serve -R server --config lfsserver.locks=no
  $ http POST lfs alice $first $token | sed -n 1p
  404 file locks are disabled on this server 
  $ http GET raw-lfs | grep -c -i lock
  1
  $ killdaemons.py
  $ serve -R server --config lfsserver.serve=no
  $ http GET lfs | sed -n 1p
  400 method not found 
  $ http GET shortlog | grep -c large
  0
  [1]
  $ killdaemons.py

Who may not pull sees no locks, and who may not read sees nothing

  $ serve -R server --config web.allow-pull=no
  $ http GET raw-lfs alice | grep -c -i -e '^## Lock' -e 'No file'
  0
  [1]
  $ killdaemons.py
  $ serve -R server --config web.allow_read=bob
  $ http GET raw-lfs alice | sed -n 1p
  401 read not authorized 
  $ http POST lfs alice $first $token | sed -n 1p
  401 read not authorized 
  $ http GET raw-lfs bob | sed -n 1p
  200 Script output follows 
  $ killdaemons.py

The summary of a server has the figures of its repositories

  $ cat > web.conf << EOF
  > [paths]
  > assets = server
  > EOF
  $ serve --web-conf web.conf
  $ http GET 'storage?style=raw'
  200 Script output follows 
  # All repositories
  
  repositories	1
  large files	5
  their size	5.86 KB
  locks	0
  
  ## Repositories
  repository	large files	their size	locks
  assets	5	5.86 KB	0
