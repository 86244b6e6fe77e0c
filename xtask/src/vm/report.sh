# What a kernel does with netdrop, a section each: in the guest, and on this machine for its own kernel.
section() { echo "== $*"; }

section release
uname -r
section status
$NETDROP_BIN status --local --output json
section reasons
$NETDROP_BIN reasons --output json
section suite
"$SUITE" --show-output --skip cluster:: $FILTER
section end
