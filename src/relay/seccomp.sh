#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Makes the list of system calls that the relay may make out of the "#syscalls:" comments in the
# files named: to the end of the comment, which is one line, follow names of calls.
set -eu

if grep -n '#syscalls:' "$@" | grep -v '\*/$'; then
	echo 'seccomp.sh: the comment must be one line' >&2
	exit 1
fi
echo '/* Made by seccomp.sh. */'
echo 'static const char *const seccomp_calls[] = {'
sed -n 's,^.*#syscalls: *\([^*]*\).*$,\1,p' "$@" | tr ' ' '\n' | grep . | LC_ALL=C sort -u |
	sed 's/.*/\t"&",/'
echo '};'
