#!/usr/bin/env bash
# Checks everything that can be checked on this machine: `bash tests/run.sh`.
#
# It needs the Rust toolchain and installs the rest where it may (apt-get, as root). As root every test runs as
# root and, where it does not need root, again as the user nobody; as an ordinary user only the latter.
# What cannot run here is skipped by name, with the reason. The last line is "N passed, N failed, N skipped".
#
# How tests report: libtest's "test result:" lines are summed; a test that cannot run here prints
# "skipped: <what>: <why>" and returns; the vectors print "N passed N failed N skipped", and so do scripts of ours,
# with commas, as their last line.
set -u
cd "$(dirname "$0")/.." || exit 2
export CARGO_TERM_COLOR=never
LIMIT=1800 # seconds for one step: none should come near it

passed=0 failed=0 skipped=0
skips=""
logs=$(mktemp -d)
mkdir "$logs/tmp" && export TMPDIR=$logs/tmp # what tests put there goes with it
stage=""
trap 'rm -rf "$logs" ${stage:+"$stage"}' EXIT

main() {
    local before
    toolchain
    before=$(traces)
    step "format" cargo fmt --check
    step "lint" cargo clippy --all-targets --all-features --quiet -- -D warnings
    RUSTDOCFLAGS="-D warnings" step "documentation" cargo doc --no-deps --all-features --quiet
    step "build without features" cargo build --no-default-features --quiet
    other_os
    own_script "pause, the embedded program" tests/pause.sh
    suite "tests" cargo test --all-features --no-fail-fast --quiet -- --show-output
    PODLIFE_SIM_SEEDS=200000 own_test "simulation of 200,000 lives" simulation --release
    as_nobody
    own_script "tests in a virtual machine" tests/vm/run.sh
    step "nothing is left behind" same_traces "$before"
    report
}

# What a pod could leave on this machine: its pause process and its cgroups.
traces() {
    local mount
    find /proc -maxdepth 2 -path '/proc/[0-9]*/exe' -lname '*podlife*' 2>/dev/null | sort
    for mount in $(awk '$3 == "cgroup2" { print $2 }' /proc/mounts); do
        find "$mount" -type d -name '*podlife*' 2>/dev/null | sort
    done
}

# What was there before may have gone since.
same_traces() {
    local new
    new=$(comm -13 <(sort <<<"$1") <(traces | sort))
    [ -z "$new" ] || { printf 'left behind:\n%s\n' "$new"; return 1; }
}

toolchain() {
    command -v cargo >/dev/null || { echo "cargo is missing: see https://rustup.rs"; exit 2; }
    # rustc links with the C compiler's driver.
    command -v cc >/dev/null || install gcc libc6-dev || { echo "cc is missing: install gcc"; exit 2; }
    cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
    # For tests of an ordinary user's ranges of ids; they are skipped without it.
    command -v newuidmap >/dev/null || install uidmap
    cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
}

install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    apt-get install -y -qq "$@" >/dev/null || { apt-get update -qq && apt-get install -y -qq "$@" >/dev/null; }
}

# The model and the lifecycle build on any OS; wasm stands for all of them.
other_os() {
    local target=wasm32-unknown-unknown
    if [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ]; then
        step "build for $target" cargo check --target $target --no-default-features --quiet
    else
        skip "build for $target" "rustup target add $target"
    fi
}

# The tests that run pods, and the unit tests, as a user who can reach neither this directory nor the toolchain.
as_nobody() {
    if [ "$(id -u)" != 0 ]; then
        skip "tests as root" "run as $(id -un)"
        return
    fi
    if ! command -v setpriv >/dev/null; then
        skip "tests as nobody" "setpriv (util-linux) is missing"
        return
    fi
    stage=$(mktemp -d /tmp/podlife.XXXXXX) && chmod 755 "$stage"
    mkdir -p "$stage/deps" "$stage/examples" "$stage/tmp"
    cp -r examples/pods "$stage/examples/"
    find target/debug/examples -maxdepth 1 -type f -executable ! -name '*-*' -exec cp {} "$stage/examples/" \;
    chown -R nobody "$stage/tmp"
    local binary name
    for binary in $(test_binaries); do
        name=$(basename "$binary"); name=${name%-*}
        case $name in
            # Nothing in these depends on the user.
            heap | layering | vectors | simulation | simulate | *properties | manual_fields | broken_manifests) continue ;;
            vm) continue ;; # runs in the virtual machine, there also as an ordinary user
        esac
        cp "$binary" "$stage/deps/"
        suite "$name as nobody" nobody "$stage/deps/$(basename "$binary")" --show-output
    done
}

test_binaries() {
    cargo test --all-features --no-run 2>&1 | sed -n 's/^ *Executable .*(\(.*\))$/\1/p'
}

nobody() {
    (cd "$stage/tmp" && setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups \
        env -i PATH="$PATH" HOME="$stage/tmp" TMPDIR="$stage/tmp" CARGO_MANIFEST_DIR="$stage" timeout $LIMIT "$@")
}

# step NAME COMMAND…: passes or fails as a whole.
step() {
    local name=$1 log; shift
    log=$logs/$((passed + failed + skipped))
    if run "$name" "$log" "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        tail -n 60 "$log"
    fi
}

# suite NAME COMMAND…: counts the tests in what it prints; a script of ours counts itself.
suite() {
    local name=$1 log ok bad out; shift
    log=$logs/$((passed + failed + skipped)).suite
    run "$name" "$log" "$@"
    local status=$?
    if [ "$1" = bash ]; then read -r ok bad out < <(own_count <"$log"); else read -r ok bad out < <(counts <"$log"); fi
    if [ $status != 0 ] && [ "$bad" = 0 ]; then
        bad=1 # it did not come as far as a count
    fi
    if [ $((ok + bad + out)) = 0 ]; then
        echo "   nothing was tested"
        bad=1
    fi
    echo "   $ok passed, $bad failed, $out skipped"
    [ "$bad" = 0 ] || why <"$log"
    passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + out))
    skips+=$(reasons "$name" <"$log"; echo x)
    skips=${skips%x}
}

# "passed failed skipped" of a suite's output. A test that only printed why it cannot run has not passed.
counts() {
    awk '
        /^test result:/ { ok += $4; bad += $6; out += $8 }
        /^skipped: /    { if (!seen[$0]++) { ok--; out++ } }
        /[0-9]+ passed,? +[0-9]+ failed,? +[0-9]+ skipped/ {
            match($0, /[0-9]+ passed,? +[0-9]+ failed,? +[0-9]+ skipped/)
            total = substr($0, RSTART, RLENGTH)
        }
        END {
            if (split(total, n, /[^0-9]+/)) { ok += n[1]; bad += n[2]; out += n[3] }
            print ok + 0, bad + 0, out + 0
        }'
}

# What failed: what panicked and why, the vectors' lines, what the compiler or a script said.
why() {
    awk '/panicked at/ { left = 60 } /^stack backtrace:/ { left = 0 }
        left-- > 0 || /^error|FAILED|^ +--> |^   (input|expected|got) /' | head -n 400
}

# The same of a script's last line.
own_count() {
    tail -n 1 | sed -nE 's/^([0-9]+) passed,? ([0-9]+) failed,? ([0-9]+) skipped$/\1 \2 \3/p' | grep . || echo 0 0 0
}

# Why tests were skipped: those that say so, those libtest ignores, and the vectors' own lines.
reasons() {
    sed -n "s|^skipped: |$1: |p; s|^test \(.*\) \.\.\. ignored,\{0,1\} *\(.*\)|$1: \1: \2|p; s|^  *skipped \([0-9]*: .*\)|$1: \1|p" |
        sort -u
}

own_script() {
    if [ -f "$2" ]; then suite "$1" bash "$2"; else skip "$1" "$2 does not exist yet"; fi
}

own_test() {
    if [ -f "tests/$2.rs" ] || [ -f "tests/$2/main.rs" ]; then
        suite "$1" cargo test --quiet "$3" --test "$2"
    else
        skip "$1" "tests/$2 does not exist yet"
    fi
}

skip() {
    echo "-- $1: skipped: $2"
    skipped=$((skipped + 1))
    skips+="$1: $2"$'\n'
}

# run NAME LOG COMMAND…: says what runs and how long it took.
run() {
    local name=$1 log=$2 start=$SECONDS status; shift 2
    printf '== %s\n' "$name"
    if [ "$(type -t "$1")" = function ]; then "$@" >"$log" 2>&1; else timeout $LIMIT "$@" >"$log" 2>&1; fi
    status=$?
    if [ $status = 0 ]; then echo "   ok, $((SECONDS - start)) s"; else echo "   FAILED ($status), $((SECONDS - start)) s"; fi
    return $status
}

report() {
    echo
    [ -z "$skips" ] || printf 'skipped:\n%s' "$skips" | sed '2,$s/^/  /'
    echo "$SECONDS seconds"
    echo "$passed passed, $failed failed, $skipped skipped"
    [ $failed = 0 ]
}

main
