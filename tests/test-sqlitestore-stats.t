The figures that admin::sqlite-stats shows.

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > sqlitestore =
  > [storage]
  > new-repo-backend = sqlite
  > EOF

A repository of revlogs

  $ hg --config storage.new-repo-backend=revlogv1 init plain
  $ hg -R plain admin::sqlite-stats
  abort: this repository does not keep its files in SQLite
  (see 'hg help admin::sqlite-convert')
  [255]

An empty repository

  $ hg init r
  $ cd r
  $ hg admin::sqlite-stats -T '{files} {revisions} {raw} {stored}\n'
  0 0 0 0

Two files, one with three revisions

  $ echo a > a
  $ f --size a
  a: size=2
  $ "$PYTHON" -c "open('b', 'w').write(''.join('line %d\n' % i for i in range(99)))"
  $ hg commit -qAm 0
  $ for i in 1 2; do echo $i >> b; hg commit -qm $i; done
  $ hg admin::sqlite-stats
  database * KB (glob)
  write-ahead log * (glob)
  free pages                    0 bytes
  size of all texts             2.55 KB
  their stored size * bytes  (*%) (glob)
  files                               2
  directories of manifests            1
  revisions                           7
    loose revisions                   7
  frames                              0
    unused entries                    0
  
  table         rows         size
  frame            0 * (glob)
  piece            0 * (glob)
  idx              0 * (glob)
  rev              7 * (glob)
  path             3 * (glob)
  content          0 * (glob)
  
  deltas to apply for a revision:
              0        3 ########################################
              1        2 ##########################
            2-3        2 ##########################
  
  revisions in a frame:
  
  biggest paths (stored, texts, revisions):
  * bytes    258 bytes        3  00manifest (glob)
  * bytes      2.30 KB        3  b (glob)
       3 bytes      2 bytes        1  a
  $ hg admin::sqlite-stats -n 1 -T '{paths % "{path} {raw} {revisions}\n"}'
  00manifest 258 3

A pull stores revisions in frames

  $ cd ..
  $ hg clone -q --pull -U r clone
  $ hg -R clone admin::sqlite-stats -T json | "$PYTHON" -c "
  > import json, sys
  > (stats,) = json.load(sys.stdin)
  > print(stats['revisions'], stats['loose'], stats['framecount'], stats['unused'])
  > print(stats['deltas'])
  > print(stats['frames'])
  > print([table['rows'] for table in stats['tables']])
  > "
  7 0 2 0
  [{'count': 3, 'from': 0, 'to': 0}, {'count': 2, 'from': 1, 'to': 1}, {'count': 2, 'from': 2, 'to': 3}]
  [{'count': 1, 'from': 2, 'to': 3}, {'count': 1, 'from': 4, 'to': 7}]
  [2, 0, 3, 0, 3, 0]

Stripped revisions stay in frames as unused entries

  $ hg -R clone --config extensions.strip= strip -q --no-backup tip
  $ hg -R clone admin::sqlite-stats -T '{revisions} {unused}\n'
  5 2
