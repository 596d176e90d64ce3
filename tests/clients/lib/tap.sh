# TAP for shell suites: check TITLE COMMAND... runs the command (usually a function of the suite) in a subshell with
# `set -e`; finish prints the plan. Its output is kept and shown as comments when it fails.

number=0
failures=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

check() {
	local title=$1
	shift
	number=$((number + 1))
	# Not `if (...)`: there the shell would ignore -e.
	(set -euo pipefail; "$@") >"$scratch/out" 2>&1 </dev/null
	if [ $? -eq 0 ]; then
		echo "ok $number - $title"
	else
		echo "not ok $number - $title"
		sed 's/^/# /' "$scratch/out"
		failures=$((failures + 1))
	fi
}

# same WANTED GOT
same() {
	[ "$1" = "$2" ] || { printf 'wanted: %s\ngot:    %s\n' "$1" "$2"; return 1; }
}

# says TEXT COMMAND...: the command fails and its output has the text.
says() {
	local text=$1 said
	shift
	if said=$("$@" 2>&1); then
		echo "should have failed: $*"
		return 1
	fi
	case $said in
	*"$text"*) ;;
	*) printf 'wanted: %s\ngot:    %s\n' "$text" "$said"; return 1 ;;
	esac
}

finish() {
	echo "1..$number"
	[ "$failures" -eq 0 ]
}
