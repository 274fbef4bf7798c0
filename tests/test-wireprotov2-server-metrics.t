#require prometheus

Each repository serves its own metrics for Prometheus

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
