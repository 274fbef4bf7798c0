A server computes a limited number of clones and pulls at a time

  $ . $TESTDIR/helpers/serve.sh
  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > wireprotov2 =
  > EOF
  $ hg init repo
  $ for name in a b c; do
  >   echo $name > repo/$name
  >   hg -R repo commit -qAm $name -u test -d '0 0'
  > done
  $ cat >> repo/.hg/hgrc << EOF
  > [wireprotov2]
  > limit.computing = 1
  > limit.waiting = 0
  > [web]
  > push_ssl = no
  > allow_push = *
  > EOF
  $ serve -R repo
  $ url=http://localhost:$HGPORT

"hold COMMAND..." runs a command while another process has the only slot

  $ cat > hold.py << EOF
  > import os, subprocess, sys
  > from hgext3rd.wireprotov2.server import slots
  > folder = os.fsencode(os.environ.get('FOLDER', 'repo/.hg/cache/wireprotov2-slots'))
  > slot = slots.take(folder, 1, 0)
  > assert slot is not None
  > sys.exit(subprocess.call(sys.argv[1:]))
  > EOF
  $ hold() { "$PYTHON" hold.py "$@"; }

Clients get an answer as long as slots are free

  $ hg clone -qU $url before
  $ hg clone -qU $url before1 --config wireprotov2.client=no

A stock client learns that it may try again

  $ hold hg clone -qU $url stock --config extensions.wireprotov2=!
  abort: HTTP Error 503: Service Unavailable
  [100]
  $ hold get-with-headers.py $LOCALIP:$HGPORT \
  >   '?cmd=changegroup&roots=0000000000000000000000000000000000000000' \
  >   retry-after
  503 Service Unavailable
  retry-after: 10
  
  too many clones and pulls at the moment; try again later
  [1]
  $ hold get-with-headers.py $LOCALIP:$HGPORT '?cmd=stream_out' retry-after
  503 Service Unavailable
  retry-after: 10
  
  too many clones and pulls at the moment; try again later
  [1]

Requests that compute little need no slot, neither do pushes and pulls of nothing

  $ hold hg identify $url
  177f92b77385
  $ hold hg -R before pull -q $url
  $ hold hg -R before1 pull -q $url --config extensions.wireprotov2=!
  $ hg -R before update -q
  $ echo d > before/d
  $ hg -R before commit -qAm d -u test -d '0 0'
  $ hold hg -R before push -q $url

This client waits as long as the server asks, says so, and goes on

  $ cat > release.py << EOF
  > # The pause ends when the other process has released the slot.
  > import os, time
  > pause = time.sleep
  > def sleep(seconds):
  >     assert 10 <= seconds <= 12.5, seconds
  >     open('go', 'w').close()
  >     while not os.path.exists('gone'):
  >         pause(0.01)
  > time.sleep = sleep
  > EOF
  $ cat > wait.py << EOF
  > import os, time
  > open('held', 'w').close()
  > while not os.path.exists('go'):
  >     time.sleep(0.01)
  > EOF
  $ (hold "$PYTHON" wait.py; touch gone) &
  $ while [ ! -e held ]; do sleep 0.1; done
  $ hg clone -U $url patient --config extensions.release=release.py
  requesting all changes
  (http://localhost:$HGPORT/api/exp-http-v2-0003: HTTP error 503: Service Unavailable; trying again in 1?.? seconds, as the server asks) (glob)
  adding changesets
  adding manifests
  adding file changes
  added 4 changesets with 4 changes to 4 files
  new changesets * (glob)
  $ wait

It gives up in the end, as it does with a server that is away

  $ hold hg clone -U $url impatient --config wireprotov2.retry=0
  requesting all changes
  abort: http://localhost:$HGPORT/api/exp-http-v2-0003: HTTP error 503: Service Unavailable
  (the server is busy; try again later)
  [100]
  $ hg -R patient verify -q

With limit.waiting, clients wait in the server instead. All of these are served,
one after the other, whether they know version 2 or not.

  $ killdaemons.py
  $ cat >> repo/.hg/hgrc << EOF
  > [wireprotov2]
  > limit.waiting = 600
  > EOF
  $ serve -R repo
  $ for i in 1 2 3 4 5 6; do
  >   hg clone -qU $url new$i > new$i.out 2>&1 &
  >   hg clone -qU $url old$i --config extensions.wireprotov2=! > old$i.out 2>&1 &
  > done
  $ wait
  $ cat new?.out old?.out
  $ for name in new? old?; do hg -R $name log -r tip -T '{rev}\n'; done | uniq -c
       12 3

A response that comes from the cache needs no slot

  $ killdaemons.py
  $ cat >> repo/.hg/hgrc << EOF
  > [wireprotov2]
  > limit.waiting = 0
  > cacher = directory
  > EOF
  $ serve -R repo
  $ hg clone -qU $url fills
  $ hold hg clone -qU $url cached
  $ hg -R cached log -r tip -T '{rev}\n'
  3

Repositories that name the same folder have a common limit; nothing is limited if
the folder cannot be made

  $ killdaemons.py
  $ hg clone -qU repo other
  $ cat > web.conf << EOF
  > [paths]
  > repo = $TESTTMP/repo
  > other = $TESTTMP/other
  > EOF
  $ cat >> $HGRCPATH << EOF
  > [wireprotov2]
  > limit.computing = 1
  > limit.waiting = 0
  > limit.folder = $TESTTMP/common
  > EOF
  $ serve --web-conf web.conf
  $ FOLDER=common hold hg clone -qU $url/other x --config extensions.wireprotov2=!
  abort: HTTP Error 503: Service Unavailable
  [100]
  $ cat error.log
  $ rm -r common; touch common
  $ hg clone -qU $url/other x --config extensions.wireprotov2=!
  $ cat error.log
  * requests are not limited: [Errno *] *: b'$TESTTMP/common' (glob)
