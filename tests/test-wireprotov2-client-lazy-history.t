#testcases revlog database

Commands that rewrite history in lazy clones, and narrow ones

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > wireprotov2 =
  > sqlitestore =
  > histedit =
  > narrow =
  > EOF
  $ hg init server
  $ cd server
  $ cat >> .hg/hgrc << EOF
  > [extensions]
  > narrow = !
  > EOF
  $ mkdir in out
  $ for i in 0 1 2 3 4 5; do
  >     for f in a b c d e; do echo $f$i > in/$f; echo $f$i > out/$f; done
  >     hg commit -q -A -m "r$i" -d "$i 0"
  > done
  $ hg update -q 2
  $ echo side > in/side
  $ for f in a b c d e; do echo side >> out/$f; done
  $ hg commit -q -A -m side -d '6 0'
  $ hg serve -p $HGPORT -d --pid-file ../hg.pid -A ../access.log -E ../error.log
  $ cat ../hg.pid >> $DAEMON_PIDS
  $ cd ..
#if database
  $ cat >> $HGRCPATH << EOF
  > [storage]
  > new-repo-backend = sqlite
  > EOF
#endif
  $ cat > requests.sh << EOF
  > # how many requests for content a command makes
  > lines=\$(cat "$TESTTMP/access.log" | wc -l)
  > "\$@"
  > tail -n +\$((lines + 1)) "$TESTTMP/access.log" |
  >   grep -c '/ro/\(filedata\|filesdata\|multirequest\) ' | sed 's/^/requests: /'
  > EOF
  $ requests() { sh "$TESTTMP/requests.sh" "$@"; }
  $ hg clone -q -U --lazy http://localhost:$HGPORT/ pristine
  $ fresh() { cp -R "$TESTTMP/pristine" "$TESTTMP/$1"; cd "$TESTTMP/$1"; }

Graft

  $ fresh grafted
  $ hg update -q 2
  $ requests hg graft 6
  grafting 6:80b7cb92041a "side" (tip)
  requests: 1
  $ cat in/side out/a
  side
  a2
  side
  $ hg verify -q

  $ fresh refused
  $ hg update -q 2
  $ hg graft 4 --config paths.default=
  grafting 4:e0549f6dda31 "r4"
  abort: in/a of changeset e0549f6dda31 is not here: the repository has no default path to fetch it from
  [50]
  $ hg status
  $ hg summary | grep -c interrupted
  0
  [1]
  $ hg graft 4 --tool :other
  grafting 4:e0549f6dda31 "r4"

Revert

  $ fresh reverted
  $ hg update -q 5
  $ requests hg revert -q -r 1 in
  requests: 1
  $ cat in/a
  a1
  $ hg status
  M in/a
  M in/b
  M in/c
  M in/d
  M in/e
  $ hg revert -q --all --no-backup --config paths.default=
  $ hg status
  $ hg revert -q -r 0 --all --config paths.default=
  abort: in/a of changeset f3353a970d05 is not here: the repository has no default path to fetch it from
  [50]
  $ hg status

Histedit

  $ fresh edited
  $ hg phase -q --draft --force 3:5
  $ hg update -q 5
  $ requests hg histedit -q -r 3 --commands - << EOF
  > pick 3
  > fold 4
  > drop 5
  > EOF
  requests: 4
  $ hg log -G -T '{rev} {desc|firstline}\n' -r '2:'
  @  4 r3
  |
  | o  3 side
  |/
  o  2 r2
  |
  ~
  $ hg cat -r . in/a
  a4
  $ hg verify -q

Narrow clones

  $ cd ..
  $ requests hg clone -q --lazy --narrow --include in http://localhost:$HGPORT/ narrowed
  requests: 2
  $ cd narrowed
  $ ls in
  a
  b
  c
  d
  e
  side
  $ requests hg diff -r 0 -r 5 --stat
   in/a |  2 +-
   in/b |  2 +-
   in/c |  2 +-
   in/d |  2 +-
   in/e |  2 +-
   5 files changed, 5 insertions(+), 5 deletions(-)
  requests: 1
  $ hg verify -q
  $ requests hg tracked -q --addinclude out
  requests: 1
  $ requests hg cat -r 3 out/a
  a3
  requests: 0
  $ requests hg admin::fetch-files -q
  requests: 1
  $ grep shallow .hg/store/requires
  [1]
  $ hg verify -q

  $ grep -c Traceback ../error.log
  0
  [1]

Content that the server has censored. The file has content of its own: others with
the same content may still have it

  $ cd ../server
  $ hg update -q 5
  $ echo password > in/secret
  $ hg commit -q -A -m secret -d '7 0'
  $ echo safe > in/secret
  $ hg commit -q -m safe -d '8 0'
  $ cd ..
  $ hg clone -q -U --lazy http://localhost:$HGPORT/ before
  $ hg -R before update -q 4
  $ cd server
  $ hg --config extensions.censor= censor -q -r 7 in/secret
  $ cd ../before
  $ hg update -r 7
  abort: in/secret of changeset cf8219463c89 is not here: http://localhost:$HGPORT/: the server has censored it
  [50]
  $ hg status
  $ hg identify -n
  4
  $ hg update -q 8
  $ cat in/secret
  safe
