# SPDX-License-Identifier: Apache-2.0
# bash completion for dvm(1): dvm itself knows what may follow.
_dvm() {
	local IFS=$'\n'
	COMPREPLY=($("${COMP_WORDS[0]}" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
	if [ ${#COMPREPLY[@]} -eq 0 ]; then
		compopt -o default
	fi
	return 0
}
complete -F _dvm dvm
