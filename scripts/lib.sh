# Shared by the demo and the bench; to be sourced. Both run in a network
# namespace of their own, which stands for the host, so that they are safe to
# run anywhere and anything they leave goes with it.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# enter_host re-runs the calling script in a fresh network namespace.
enter_host() {
	if [ "$(id -u)" != 0 ]; then
		echo "$(basename "$0"): needs root, for namespaces and mounts" >&2
		exit 1
	fi
	[ -n "${PATCHBAY_INSIDE:-}" ] || PATCHBAY_INSIDE=1 exec unshare --net -- "$0" "$@"
}

# swept re-runs the calling script and takes away what that leaves however it ends, by a signal or
# in the middle: its processes, the control groups of its containers and $work. The script has to be
# process 1 of its own (own_processes), so that all it has started ends with it, mounts too.
swept() {
	[ -z "${PATCHBAY_WORK:-}" ] || return 0
	export PATCHBAY_WORK
	PATCHBAY_WORK=$(mktemp -d /tmp/pb.XXXXXX)
	"$0" "$@" &
	inner=$!
	trap sweep EXIT
	trap 'exit 143' INT TERM HUP
	wait "$inner"
	exit
}

sweep() {
	code=$?
	trap - EXIT
	trap '' INT TERM HUP # one that comes to the whole group comes twice
	set +e
	kill -KILL "$inner" 2>/dev/null
	wait "$inner" 2>/dev/null
	# The namespace ends behind its first process; a group that still has one cannot be removed.
	local place tries
	find "$PATCHBAY_WORK" -mindepth 3 -maxdepth 4 -path '*/containers/*' -prune -printf '%f\n' 2>/dev/null | while read -r id; do
		for place in /sys/fs/cgroup/patchbay-"$id" /sys/fs/cgroup/*/patchbay-"$id"; do
			for ((tries = 0; tries < 50; tries++)); do
				[ -d "$place" ] && ! rmdir "$place" 2>/dev/null || break
				sleep 0.1
			done
		done
	done
	rm -rf "$PATCHBAY_WORK"
	exit "$code"
}

# prepare makes a temporary directory for all state ($work) and a second
# namespace, kept by the process $far, that stands for the world outside; the
# link to it is called "uplink".
prepare() {
	work=${PATCHBAY_WORK:-$(mktemp -d /tmp/pb.XXXXXX)}
	export PATCHBAY_ROOT=$work/root PATCHBAY_RUN_ROOT=$work/run PATCHBAY_CONFIG=$work/config.toml
	: >"$PATCHBAY_CONFIG"
	unset PATCHBAY_PLUGIN_PATH
	export PATH=$repository/dist/bin:$PATH
	trap finish EXIT

	mkfifo "$work/ready"
	keep far --net
	wire $$ "$far"
}

# keep VARIABLE NAMESPACE... starts a process that keeps new namespaces, given as options of
# unshare, and puts its pid into the variable.
keep() {
	local variable=$1
	shift
	unshare "$@" sh -c "echo >$work/ready; exec sleep infinity" &
	printf -v "$variable" %d $!
	read -r <"$work/ready"
}

# wire HOST FAR links the network namespaces of two processes: the first stands for a host, the
# second for the world outside.
wire() {
	local near="nsenter --net=/proc/$1/ns/net ip" outside="nsenter --net=/proc/$2/ns/net ip"
	$near link set lo up
	$near link add uplink type veth peer name lan netns "$2"
	$near addr add 192.0.2.2/24 dev uplink
	$near addr add 2001:db8::2/64 dev uplink nodad
	$near link set uplink up
	$outside link set lo up
	$outside addr add 192.0.2.1/24 dev lan
	$outside addr add 2001:db8::1/64 dev lan nodad
	$outside link set lan up
	$outside addr add 198.51.100.1/32 dev lo
	$near route add default via 192.0.2.1
	$near -6 route add default via 2001:db8::1
}

# far runs a command in the world outside.
far() { nsenter --net="/proc/$far/ns/net" -- "$@"; }

# finish ends what was started and removes $work.
finish() {
	code=$?
	trap - EXIT
	if [ "$code" != 0 ]; then
		echo "failed (exit code $code)" >&2
		tail -n 20 "$PATCHBAY_RUN_ROOT/patchbayd.log" >&2 2>/dev/null || true
	fi
	patchbay system stop >/dev/null 2>&1 || true
	[ -z "${far:-}" ] || kill "$far" 2>/dev/null || true
	rm -rf "$work"
	exit "$code"
}

# rootfs ARCHIVE packs busybox and its links into a root file system archive.
rootfs() {
	local tree=$work/rootfs busybox applet archive=$1
	busybox=$(command -v busybox)
	mkdir -p "$tree"/{bin,dev,etc,proc,root,sys,tmp}
	cp "$busybox" "$tree/bin/busybox"
	for applet in $("$busybox" --list); do
		[ "$applet" = busybox ] || ln -s busybox "$tree/bin/$applet"
	done
	echo 'root:x:0:0:root:/root:/bin/sh' >"$tree/etc/passwd"
	echo 'root:x:0:' >"$tree/etc/group"
	tar -C "$tree" -cf "$archive" .
}

# one_cgroup_version re-runs the calling script in a mount namespace of its own:
# crun of Debian 12 refuses a host with both versions of cgroups, and with
# hide_unified all commands see the same host.
one_cgroup_version() {
	[ -n "${PATCHBAY_MOUNTS:-}" ] || [ "$(id -u)" != 0 ] || PATCHBAY_MOUNTS=1 exec unshare --mount --propagation private -- "$0" "$@"
}

# hide_unified takes the second version away from its place. What crun makes there as plain
# files does not stay on the host. It is still mounted elsewhere, not below $work, which is
# removed: the bridge plugin needs a root of it for programs at connect.
hide_unified() {
	if mountpoint -q /sys/fs/cgroup/unified; then
		[ ! -d /sys/fs/bpf ] || mount --bind /sys/fs/cgroup/unified /sys/fs/bpf
		umount --lazy /sys/fs/cgroup/unified
	fi
	mount -t tmpfs none /sys/fs/cgroup/unified 2>/dev/null || true
}

# own_processes re-runs the calling script as process 1 of a namespace: whatever it
# starts ends with it.
own_processes() {
	[ -n "${PATCHBAY_PROCESSES:-}" ] || PATCHBAY_PROCESSES=1 exec unshare --pid --fork --kill-child --mount-proc -- "$0" "$@"
}

# hide_state lets programs write to the places of the file system that they know by name,
# and takes all of it away with the mount namespace; the host's files can be read as
# before. It comes after one_cgroup_version and prepare.
hide_state() {
	local place resolv resolv_path
	resolv=$(cat /etc/resolv.conf 2>/dev/null || true)
	resolv_path=$(realpath -m /etc/resolv.conf)
	mkdir "$work/hidden"
	for place in etc opt var/lib; do
		[ -d "/$place" ] || continue
		mkdir -p "$work/hidden/$place/upper" "$work/hidden/$place/work"
		mount -t overlay overlay -o "lowerdir=/$place,upperdir=$work/hidden/$place/upper,workdir=$work/hidden/$place/work" "/$place"
	done
	mount -t tmpfs -o mode=755 none /run
	mount -t tmpfs -o mode=1777 none /dev/shm
	mkdir -p "$(dirname "$resolv_path")"
	printf '%s\n' "$resolv" >"$resolv_path"
}

# bundle RUNTIME DIRECTORY writes what the runtime's "spec" gives, without a terminal,
# for the root file system that rootfs has made and with a network namespace of its
# own.
bundle() {
	mkdir -p "$2"
	(cd "$2" && "$1" spec)
	sed -i -e 's/"terminal": true/"terminal": false/' -e 's/"sh"/"true"/' \
		-e "s|\"path\": \"rootfs\"|\"path\": \"$work/rootfs\"|" "$2/config.json"
}
