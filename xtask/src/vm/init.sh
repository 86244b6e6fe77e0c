#!/bin/sh
# The guest's first process: mounts, loads what is not loaded by itself, runs the suite, powers off.
# What it has to tell goes to the second serial port, a section each; the first is the kernel's own console.
export PATH=/usr/local/bin:/usr/sbin:/usr/bin HOME=/root

off() {
    echo o >/proc/sysrq-trigger
    # It is asynchronous, and a first process that ends is a panic.
    sleep 60
}

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/shm
ln -s /proc/self/fd /dev/fd
ln -s /proc/self/fd/0 /dev/stdin
ln -s /proc/self/fd/1 /dev/stdout
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mount -t tracefs tracefs /sys/kernel/tracing
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t securityfs securityfs /sys/kernel/security
ip link set lo up

. /etc/netdrop/settings
for module in $MODULES; do modprobe "$module"; done
# A table that the tests can fill within moments.
sysctl -qw net.netfilter.nf_conntrack_max=4096

if [ -n "$SHELL_ONLY" ]; then
    setsid -c -w sh -i </dev/ttyS0 >/dev/ttyS0 2>&1
    off
fi

# What a test says without being asked goes to the console, so that each line of the report is one.
exec >/dev/ttyS1
stty -F /dev/ttyS1 -onlcr
. /etc/netdrop/report
off
