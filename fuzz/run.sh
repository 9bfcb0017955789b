#!/usr/bin/env bash
# Builds the fuzz targets on stable Rust and runs each for SECONDS: fuzz/run.sh SECONDS [TARGET]...
# A crash leaves its input in fuzz/artifacts/TARGET and ends with status 1; README.md says how to replay it.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:?usage: fuzz/run.sh SECONDS [TARGET]...}
shift
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(framer journal packets topics)

host=$(rustc -vV | sed -n 's/^host: //p')
# Coverage for libFuzzer by LLVM's own pass: stable flags, where cargo-fuzz would ask for a nightly compiler.
flags="--cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module \
-Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares"
# --target keeps the flags away from build scripts and macros, which have no libFuzzer to report to.
RUSTFLAGS="$flags" cargo build --release --quiet --target "$host" "${targets[@]/#/--bin=}"
built=${CARGO_TARGET_DIR:-target}/$host/release

# The codec's corpus as seeds: hexadecimal to bytes, behind the byte that each target reads first.
seed() {
    local file name version digits
    mkdir -p "seeds/framer" "seeds/journal" "seeds/packets" "seeds/topics"
    for file in ../crates/codec/corpus/*.hex; do
        name=$(basename "$file" .hex)
        case $name in
            v31_*) version=03 ;;
            v311_*) version=04 ;;
            *) version=05 ;;
        esac
        digits=$(grep -v '^#' "$file" | tr -d ' \n' | sed 's/../\\x&/g')
        # shellcheck disable=SC2059 # the digits are the format
        printf "\\x$version$digits" >"seeds/packets/$name"
        # shellcheck disable=SC2059
        printf "\\x04$digits" >"seeds/framer/$name"
    done
    printf 'a/+/#\na/b/c' >seeds/topics/wildcards
    printf '$share/group/+/b\na/b' >seeds/topics/shared
    printf '#\n$SYS/a' >seeds/topics/reserved
    printf '\x00\x00\x00\x00\x00' >seeds/journal/whole
    printf '\x01\x10\x00\x02\xff\xff' >seeds/journal/patched
}
seed

status=0
for target in "${targets[@]}"; do
    mkdir -p "found/$target" "artifacts/$target"
    log=artifacts/$target.log
    if "$built/$target" "found/$target" "seeds/$target" -max_total_time="$seconds" -timeout=10 -max_len=4096 \
        -use_value_profile=1 -print_final_stats=1 "-artifact_prefix=artifacts/$target/" >"$log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        coverage=$(grep -o 'cov: [0-9]*' "$log" | tail -n 1)
        # Without feedback a run proves little: then the flags above no longer do what they did.
        [ -n "$coverage" ] && [ "$coverage" != "cov: 0" ] || { echo "$target: no coverage"; status=1; }
        echo "$target: no crash in $runs runs of $seconds s, $coverage"
    else
        status=1
        tail -n 40 "$log"
        echo "$target: FAILED; the input lies in fuzz/artifacts/$target, the log in fuzz/$log"
    fi
done
exit $status
