# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by .t files that start servers.
#
# serve [OPTION...]   Start "hg serve" with these options in the background, on
#     port $HGPORT. It appends its errors to error.log. The test runner stops it
#     at the end of the test, and killdaemons.py stops it earlier.

serve() {
    hg serve -p "$HGPORT" -d --pid-file hg.pid -E error.log "$@" || return
    cat hg.pid >> "$DAEMON_PIDS"
}
