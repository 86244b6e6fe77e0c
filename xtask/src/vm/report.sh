# What a kernel does with netdrop, a section each: in a guest, and on this machine for its own kernel.
section() { echo "== $*"; }

section release
uname -r
section suite
"$SUITE" --show-output --skip cluster:: --skip alone:: $FILTER
# Those that disturb all others.
case $FILTER in
"" | *alone*) "$SUITE" --show-output --test-threads=1 alone:: ;;
esac
section status
for module in $LATE_MODULES; do modprobe "$module"; done
$NETDROP_BIN status --local --output json
section reasons
$NETDROP_BIN reasons --output json
section end
