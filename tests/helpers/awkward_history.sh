# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by .t files that transfer history.
#
# awkward_history REPO    Create a repository with everything that is hard to
#     transfer: removed files, copies and renames across directories, flags, a
#     file that becomes a symlink, criss-cross merges, a file node that two
#     changesets introduce, an empty manifest, a closed branch, a tag, a
#     subrepository, a bookmark, and both public and draft changesets.
# same_history A B        Compare the nodes, parents, linkrevs, phases and
#     bookmarks of two repositories.
# describe_history REPO   Print what same_history compares.

awkward_history() {
    hg init "$1"
    hg init "$1-sub"
    (
        cd "$1" || exit 1
        n=0
        commit() {
            hg commit -q -A -d "$n 0" "$@" || exit 1
            n=$((n + 1))
        }
        mkdir -p d/sub
        echo a > a
        echo b > d/b
        echo c > d/sub/c
        commit -m 'r0 base'
        echo a2 > a
        commit -m 'r1 change'
        hg rm d/b
        commit -m 'r2 remove'
        hg up -q 0
        hg mv -q a d/a
        echo x > x
        chmod +x x
        ln -s x l
        commit -m 'r3 rename, flags'
        hg merge -q 2 -t :local > /dev/null 2>&1
        commit -m 'r4 merge'
        hg up -q 2
        hg cp -q d/sub/c c2
        rm a
        ln -s c2 a
        commit -m 'r5 copy, file to symlink'
        hg up -q 3
        echo m1 > m
        commit -m 'r6 left'
        hg up -q 5
        echo n1 > n
        commit -m 'r7 right'
        hg up -q 6
        hg merge -q 7 -t :local > /dev/null 2>&1
        commit -m 'r8 cross'
        hg up -q 7
        hg merge -q 6 -t :local > /dev/null 2>&1
        commit -m 'r9 criss'
        hg up -q 8
        hg merge -q 9 -t :local > /dev/null 2>&1
        commit -m 'r10 criss-cross'
        hg up -q 1
        echo same > same
        commit -m 'r11 node once'
        hg up -q 2
        echo same > same
        commit -m 'r12 node twice'
        hg rm -q a d same
        commit -m 'r13 empty manifest'
        hg branch -q feature
        echo f > f
        commit -m 'r14 branch'
        commit --close-branch -m 'r15 close'
        hg up -q 10
        hg tag -d '16 0' v1
        hg bookmark -r 4 early
        n=17
        (cd "../$1-sub" && echo s > s && hg commit -q -A -m s -d '0 0')
        echo "sub = ../$1-sub" > .hgsub
        hg clone -q "../$1-sub" sub
        commit -m 'r17 subrepository'
        hg phase --public -r 'all() - 15 - tip'
        hg up -q 10
    )
}

same_history() {
    describe_history "$1" > "$1.history"
    describe_history "$2" > "$2.history"
    cmp "$1.history" "$2.history" && echo "$1 and $2 are the same"
}

describe_history() {
    "$PYTHON" "$TESTDIR/helpers/describe_history.py" "$1"
}
