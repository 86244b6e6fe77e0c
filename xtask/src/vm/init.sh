#!/usr/bin/busybox sh
# The guest's first process: mounts, loads what is not loaded by itself, runs the suite, powers off.
# What it has to tell goes to the second serial port, a section each; the first is the kernel's own console.
export PATH=/usr/sbin:/usr/bin:/usr/local/bin HOME=/root
/usr/bin/busybox --install -s /usr/local/bin

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mount -t tracefs tracefs /sys/kernel/tracing
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t securityfs securityfs /sys/kernel/security
ip link set lo up

. /etc/netdrop-vm
for module in $MODULES; do modprobe "$module"; done
# A table that the tests can fill within moments.
sysctl -qw net.netfilter.nf_conntrack_max=4096

if [ -n "$SHELL_ONLY" ]; then
    setsid sh -c 'exec sh </dev/ttyS0 >/dev/ttyS0 2>&1'
    poweroff -f
fi

exec >/dev/ttyS1 2>&1
stty -onlcr
. /etc/netdrop-report
poweroff -f
