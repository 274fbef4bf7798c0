#require prometheus

Repositories, and servers of several, serve metrics for Prometheus

  $ . $TESTDIR/helpers/serve.sh
  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > wireprotov2 =
  > [wireprotov2]
  > cacher = memory
  > EOF
  $ for name in one two; do
  >   hg init $name
  >   echo content > $name/file
  >   hg -R $name commit -qAm $name -u test
  >   hg -R $name phase --public tip
  > done
  $ cat > web.conf << EOF
  > [paths]
  > one = $TESTTMP/one
  > two = $TESTTMP/two
  > EOF
  $ metrics() {
  >   get-with-headers.py $LOCALIP:$HGPORT "$1/api/metrics" content-type
  > }

Without the option wireprotov2.metrics, a server serves no metrics

  $ serve --web-conf web.conf
  $ metrics one
  404 Not Found
  content-type: text/plain
  
  Unknown API: metrics
  Known APIs: exp-http-v2-0002, exp-http-v2-0003 (no-eol)
  [1]
  $ killdaemons.py

With that option, clones and their cache events are counted

  $ cat >> $HGRCPATH << EOF
  > [wireprotov2]
  > metrics = yes
  > EOF
  $ serve --web-conf web.conf
  $ hg clone -q http://localhost:$HGPORT/one clone1
  $ hg clone -q http://localhost:$HGPORT/one clone2

  $ metrics one > one.txt
  $ head -2 one.txt
  200 OK
  content-type: text/plain; version=*; charset=utf-8* (glob)
  $ grep '^amalgam_cache_events_total' one.txt | sed 's/ [1-9].*/ N/' | sort
  amalgam_cache_events_total{event="hit"} N
  amalgam_cache_events_total{event="miss"} N
  amalgam_cache_events_total{event="store"} N
  $ grep -c '^amalgam_wire_command_seconds_count.*listkeys' one.txt
  1
  $ grep -c '^amalgam_wire_sent_bytes_total' one.txt > /dev/null

The metrics of a repository say nothing of another repository, and name no paths

  $ metrics two | grep -v '^#'
  200 OK
  content-type: text/plain; version=*; charset=utf-8* (glob)
  
  amalgam_scrape_failures 0.0
  $ grep -c "$TESTTMP" one.txt
  0
  [1]

Users who may not pull from a repository may not read its metrics

  $ cat >> one/.hg/hgrc << EOF
  > [web]
  > deny_read = *
  > EOF
  $ metrics one > denied.txt; head -1 denied.txt
  401 read not authorized
  $ cat error.log
  $ killdaemons.py
  $ rm one/.hg/hgrc

One scrape at the root has all repositories. A repository in SQLite says more; a
scraper logs in as any other user.

  $ hg init private --config extensions.sqlitestore= --config storage.new-repo-backend=sqlite
  $ echo content > private/file
  $ hg -R private --config extensions.sqlitestore= commit -qAm private -u test
  $ hg -R private --config extensions.sqlitestore= phase --public tip
  $ cat >> private/.hg/hgrc << EOF
  > [web]
  > allow_read = scraper
  > EOF
  $ hg init hidden
  $ cat >> hidden/.hg/hgrc << EOF
  > [web]
  > hidden = yes
  > EOF
  $ mkdir broken; hg init broken/repo; echo unheard-of >> broken/repo/.hg/requires
  $ cat >> web.conf << EOF
  > group/private = $TESTTMP/private
  > hidden = $TESTTMP/hidden
  > broken = $TESTTMP/broken/repo
  > EOF
  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > basic_auth = $TESTDIR/helpers/basic_auth.py
  > sqlitestore =
  > [wireprotov2]
  > limit.computing = 3
  > EOF
  $ serve --web-conf web.conf
  $ for user in alice scraper; do
  >   hg clone -q http://$user:secret@localhost:$HGPORT/one of-$user
  > done
  $ hg clone -q http://alice:secret@localhost:$HGPORT/hidden hidden1
  $ scrape() {
  >   curl -s -u $1:secret http://localhost:$HGPORT/api/metrics
  > }
  $ repositories() {
  >   sed -n 's/.*repository="\([^"]*\)".*/\1/p' | sort -u
  > }
  $ scrape alice > alice.txt
  $ scrape scraper > scraper.txt
  $ curl -s http://localhost:$HGPORT/api/metrics | repositories
  one
  two
  $ repositories < alice.txt
  one
  two
  $ repositories < scraper.txt
  group/private
  one
  two
  $ grep -c 'private\|hidden\|broken' alice.txt
  0
  [1]
  $ grep '^amalgam_cache_events_total.*"miss"' scraper.txt | sed 's/ .*//' | sort
  amalgam_cache_events_total{event="miss",repository="one"}
  $ grep '^amalgam_\(store\|repo\|scrape\)' scraper.txt | sed 's/bytes\(.*\) .*/bytes\1 N/'
  amalgam_repositories 3.0
  amalgam_scrape_failures 1.0
  amalgam_store_database_bytes{repository="group/private"} N
  amalgam_store_log_bytes{repository="group/private"} N
  amalgam_store_loose_revisions{repository="group/private"} 2.0
  amalgam_store_repacks_total{repository="group/private"} 0.0
  $ grep '^amalgam_wire_\(computing\|waiting\)' alice.txt
  amalgam_wire_computing{repository="one"} 0.0
  amalgam_wire_computing{repository="two"} 0.0
  amalgam_wire_computing_limit{repository="one"} 3.0
  amalgam_wire_computing_limit{repository="two"} 3.0
  amalgam_wire_waiting{repository="one"} 0.0
  amalgam_wire_waiting{repository="two"} 0.0

The cacher belongs to all repositories, also to those that not everybody may read

  $ grep '^amalgam_cache_[sel].*cacher' scraper.txt | sed 's/ .*//'
  amalgam_cache_entries{cacher="memory"}
  amalgam_cache_limit_bytes{cacher="memory"}
  amalgam_cache_size_bytes{cacher="memory"}
  $ grep -c '^amalgam_cache_size' alice.txt
  0
  [1]

A repository that cannot be opened is in the log once

  $ grep -v 'wireprotov2: ' error.log
  [1]
  $ sed 's/.*wireprotov2: [^ ]* //' error.log
  no metrics of $TESTTMP/broken/repo: repository requires features unknown to this Mercurial: unheard-of
  $ killdaemons.py; rm error.log

A value that cannot be read counts as a failure, and hides nothing else

  $ grep -v 'broken' web.conf > web2.conf
  $ serve --web-conf web2.conf
  $ cat >> two/.hg/hgrc << EOF
  > [wireprotov2]
  > limit.computing = many
  > EOF
  $ scrape scraper | grep '^amalgam_\(repo\|scrape\)'
  amalgam_repositories 3.0
  amalgam_scrape_failures 1.0
  $ sed 's/.*no metrics/no metrics/' error.log; rm error.log two/.hg/hgrc
  no metrics of wireprotov2: wireprotov2.limit.computing is not a valid integer ('many')

A repack is counted

  $ hg -R private admin::sqlite-repack -q
  $ scrape scraper | grep '^amalgam_store_[lr]' | grep -v bytes | sed 's/e+09/N/;s/ [0-9.]*N/ N/'
  amalgam_store_last_repack_seconds{repository="group/private"} N
  amalgam_store_loose_revisions{repository="group/private"} 0.0
  amalgam_store_repacks_total{repository="group/private"} 1.0

Only GET; other addresses are those of hgweb

  $ curl -s -X POST -d x http://localhost:$HGPORT/api/metrics
  metrics are only read (no-eol)
  $ curl -s -o /dev/null -w '%{http_code}\n' http://localhost:$HGPORT/api/other
  404
  $ killdaemons.py

A damaged database hides no other repository

  $ dd if=/dev/zero of=private/.hg/store/history.sqlite bs=4096 count=1 conv=notrunc 2> /dev/null
  $ rm -f error.log
  $ serve --web-conf web2.conf
  $ scrape scraper | grep '^amalgam_\(repo\|scrape\|store\)'
  amalgam_repositories 3.0
  amalgam_scrape_failures 1.0
  $ sed 's/.*wireprotov2: [^ ]* //' error.log
  no metrics of sqlitestore: $TESTTMP/private/.hg/store/history.sqlite: file is not a database
  $ killdaemons.py
