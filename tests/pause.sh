#!/usr/bin/env bash
# Checks the pause program, which is no cargo target: its format, its lints, that it builds unoptimised, for size and for
# the other targets there are, that nothing in it is undefined, and how big it is. Part of tests/run.sh.
set -u
cd "$(dirname "$0")/.." || exit 2
SIZE_MAX=57344 # bytes of loaded sections, built as the library builds it: 52,377 when this was set

passed=0 failed=0 skipped=0
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
sysroot=$(rustc --print sysroot)
host=$(rustc -vV | sed -n 's/^host: //p')
lld=$sysroot/lib/rustlib/$host/bin/rust-lld

main() {
    check "format" rustfmt --edition 2024 --check src/pause/main.rs
    check "lint" lint
    for target in x86_64-unknown-linux-gnu x86_64-unknown-linux-musl aarch64-unknown-linux-gnu aarch64-unknown-linux-musl; do
        if [ -d "$sysroot/lib/rustlib/$target" ]; then
            for level in 0 z; do
                check "build for $target, opt-level $level" build "$target" $level
                check "nothing undefined for $target, opt-level $level" defined "$made/$target-$level"
            done
            check "at most $SIZE_MAX bytes for $target" small "$made/$target-z"
        else
            skip "build for $target" "rustup target add $target"
        fi
    done
    if command -v cc >/dev/null; then
        check "build with cc, where there is no rust-lld" build_with_cc
    else
        skip "build with cc" "cc is missing"
    fi
    echo "$passed passed $failed failed $skipped skipped"
    [ $failed = 0 ]
}

# clippy's driver is a compiler: it needs no package.
lint() {
    local driver=$sysroot/bin/clippy-driver
    [ -x "$driver" ] || driver=rustc
    options
    "$driver" "${options[@]}" --target "$host" --emit=metadata -o "$made/lint" -D warnings \
        -D clippy::undocumented_unsafe_blocks src/pause/main.rs
}

build() {
    options
    [ "${1%musl}" = "$1" ] || options+=(-Clink-self-contained=no)
    rustc "${options[@]}" --target "$1" -Copt-level="$2" -o "$made/$1-$2" -D warnings src/pause/main.rs
}

build_with_cc() {
    rustc --edition=2024 --crate-name=podlife_pause --crate-type=bin -Cpanic=abort -Crelocation-model=static \
        -Ccodegen-units=1 -Clto=fat -Cdebuginfo=0 -Cforce-unwind-tables=no -Ctarget-feature=+crt-static \
        -Copt-level=z -Clinker=cc -Clink-arg=-nostartfiles -Clink-arg=-nostdlib -Clink-arg=-static \
        -o "$made/with-cc" -D warnings src/pause/main.rs && defined "$made/with-cc"
}

# The same as in build.rs, which see, but for the symbols: they are needed here.
options() {
    options=(--edition=2024 --crate-name=podlife_pause --crate-type=bin -Cpanic=abort -Crelocation-model=static
        -Ccodegen-units=1 -Clto=fat -Cdebuginfo=0 -Cforce-unwind-tables=no -Ctarget-feature=+crt-static
        -Clinker="$lld" -Clinker-flavor=ld.lld -Clink-arg=--build-id=none -Clink-arg=--gc-sections)
}

defined() {
    local undefined
    undefined=$(nm --undefined-only "$1") || return 1
    [ -z "$undefined" ] || { echo "$undefined"; return 1; }
}

# The sections that are loaded: what strip would leave.
small() {
    local size=0 part
    for part in $(readelf -lW "$1" | awk '$1 == "LOAD" { print $5 }'); do
        size=$((size + part))
    done
    echo "$size bytes"
    [ "$size" -gt 0 ] && [ "$size" -le $SIZE_MAX ]
}

check() {
    local name=$1; shift
    if "$@" >"$made/log" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $name"
        head -n 60 "$made/log"
    fi
}

skip() {
    echo "skipped: $1: $2"
    skipped=$((skipped + 1))
}

main
