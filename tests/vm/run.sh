#!/usr/bin/env bash
# Runs tests on a stock Debian kernel under QEMU, where cgroup v2 has every controller: `bash tests/vm/run.sh`.
#
# Installs qemu, busybox and cpio (as root, with apt-get); takes the kernel out of its package without installing it.
# The machine's disk is an initramfs of busybox, the test programs and their libraries. Each program runs there as root,
# then as an ordinary user with a cgroup of its own. The last line is "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/../.." || exit 2
export CARGO_TERM_COLOR=never LC_ALL=C
readonly PACKAGE=linux-image-cloud-amd64 # depends on the newest kernel
readonly TESTS="vm kernel node"          # what runs in there: test crates of this package
readonly LIMIT=1500                      # seconds for one machine
# The host's own, in place of busybox's: what the tests' scripts expect of a Debian.
readonly TOOLS="sh bash ldd setpriv nice cat ls tr id env sleep touch stat readlink mkdir rm cp mv true false wc head grep
    sed hostname umount mount ps unshare nsenter crun"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

main() {
    [ "$(uname -m)" = x86_64 ] || none "the machine is no x86_64"
    tools || none "qemu-system-x86, busybox-static, cpio or the kernel package cannot be had here"
    cargo build --examples --all-features --quiet || exit 1
    programs || exit 1
    pack
    boot | tee "$work/console"
    count
}

# The machine cannot be had: one skip, not silence.
none() {
    echo "skipped: tests in a virtual machine: $1"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
}

tools() {
    local missing=""
    command -v qemu-system-x86_64 >/dev/null || missing+=" qemu-system-x86"
    busybox_static || missing+=" busybox-static"
    command -v cpio >/dev/null || missing+=" cpio"
    if [ -n "$missing" ]; then
        [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
        # shellcheck disable=SC2086 # a list
        apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 ||
            { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing >/dev/null; } || return 1
    fi
    kernel
}

busybox_static() {
    command -v busybox >/dev/null && ! ldd "$(command -v busybox)" >/dev/null 2>&1
}

# Sets $kernel, the newest one's package unpacked below target/ and kept there.
kernel() {
    local package
    package=$(newest) || { apt-get update -qq && package=$(newest); } || return 1
    kernel=target/vm/$package
    if ! [ -d "$kernel/boot" ]; then
        mkdir -p "$work/deb" "$kernel" && chmod 777 "$work" "$work/deb"
        (cd "$work/deb" && apt-get download -qq "$package" >/dev/null) && dpkg -x "$work"/deb/*.deb "$kernel" || return 1
    fi
}

newest() {
    apt-cache depends $PACKAGE 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | grep .
}

# Sets $binaries: name=path of each test program.
programs() {
    local name path
    binaries=()
    for name in $TESTS; do
        [ -d "tests/$name" ] || continue
        path=$(cargo test --all-features --test "$name" --no-run 2>&1 | sed -n 's/^ *Executable .*(\(.*\))$/\1/p')
        [ -x "$path" ] || { echo "tests/$name does not build"; return 1; }
        binaries+=("$name=$path")
    done
}

# The initramfs. Its own root cannot be pivoted away from, so `init` moves into a tmpfs first.
pack() {
    root=$work/root
    local entry path
    mkdir -p "$root"/{bin,dev,proc,sys,tmp,run,etc,root,tests,lib64}
    cp "$(command -v busybox)" "$root/bin/busybox"
    for path in $(busybox --list); do [ -e "$root/bin/$path" ] || ln -s busybox "$root/bin/$path"; done
    for path in sbin usr/bin usr/sbin; do mkdir -p "$root/$(dirname $path)"; ln -s /bin "$root/$path"; done
    cp tests/vm/init "$root/init" && chmod 755 "$root/init"
    printf 'root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' >"$root/etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
    printf '127.0.0.1 localhost\n' >"$root/etc/hosts"
    echo vm >"$root/etc/hostname"
    : >"$root/etc/resolv.conf"
    cp "$kernel"/lib/modules/*/kernel/{fs/overlayfs/overlay,drivers/block/brd}.ko "$root/" # brd: a disk in memory
    for path in $TOOLS; do program "$(type -P "$path")" "bin/$path"; done
    for entry in "${binaries[@]}"; do
        program "${entry#*=}" "tests/${entry%%=*}"
    done
    (cd "$root" && find . | cpio --quiet -o -H newc) >"$work/initramfs"
}

# program FROM TO: a program of the host, with its libraries.
program() {
    local library
    [ -n "$1" ] && cp --remove-destination -L "$1" "$root/$2" || return
    for library in $(ldd "$1" 2>/dev/null | grep -o '/[^ ]*'); do
        mkdir -p "$root$(dirname "$library")" && cp -nL "$library" "$root$library"
    done
}

# No KVM: it hangs on some hosts, and these tests want a real kernel, not a fast one.
boot() {
    timeout $LIMIT qemu-system-x86_64 -accel tcg -machine q35 -cpu max -smp 2 -m 2048 -nographic -no-reboot -nodefaults \
        -serial stdio -kernel "$kernel"/boot/vmlinuz-* -initrd "$work/initramfs" \
        -append "console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on" </dev/null | tr -d '\r'
}

# The programs' own counts, and one failure for each that did not come to an end.
count() {
    local expected=$((2 * ${#binaries[@]})) ended passed failed skipped
    ended=$(grep -c '^ended: ' "$work/console")
    read -r passed failed skipped < <(awk '
        /^test result:/ { ok += $4; bad += $6; out += $8 }
        /^skipped: /    { if (!seen[$0]++) { ok--; out++ } }
        END { print ok + 0, bad + 0, out + 0 }' "$work/console")
    if [ "$ended" != "$expected" ]; then
        echo "the machine stopped after $ended of $expected programs"
        failed=$((failed + expected - ended))
    fi
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ]
}

main
