#!/usr/bin/env bash
# Builds the fuzz targets on stable Rust and runs each for SECONDS: fuzz/run.sh SECONDS [TARGET]...
# A crash leaves its input in fuzz/artifacts/TARGET and ends with status 1; README.md says how to replay it.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:?usage: fuzz/run.sh SECONDS [TARGET]...}
shift
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(credentials framer journal packets policy proxy topics transports)

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

# The codec's corpus as seeds: hexadecimal to bytes, behind the byte that each target reads first. Texts for the others.
seed() {
    local file name version digits
    mkdir -p seeds/{credentials,framer,journal,packets,policy,proxy,topics,transports}
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
    printf '0amy:$7$101$VRIz6LK55MKfMCHy$l6+B:$scram-sha-256$i=4096$W22ZaJ0SNY7soEsUEjb6gQ==$AA==$AA==:ops\n' >seeds/credentials/users
    printf '1$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA' >seeds/credentials/hash
    printf '2eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbXkifQ.AAAA' >seeds/credentials/token
    printf '3n,,n=user,r=rOprNGfwEbeRWgbNEkqO' >seeds/credentials/client_first
    printf '4c=biws,r=x,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=' >seeds/credentials/client_final
    printf '5{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}' >seeds/credentials/keys
    printf '6-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n' >seeds/credentials/pem
    printf 'a/+/#\na/b/c' >seeds/topics/wildcards
    printf '$share/group/+/b\na/b' >seeds/topics/shared
    printf '#\n$SYS/a' >seeds/topics/reserved
    printf '\x00\x05PROXY TCP4 192.0.2.1 192.0.2.2 4711 1883\r\n' >seeds/proxy/line
    printf '\x00\x05\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\x12\x67\x07\x5b' >seeds/proxy/binary
    printf '\x04\x07PROXY TCP4 192.0.2.1 192.0.2.2 4711 1883\r\n\x10' >seeds/transports/proxied
    printf '\x02\x40GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n\x82\x82\1\2\3\4\xc1\2' >seeds/transports/websocket
    digits=$(grep -v '^#' client_hello.hex | tr -d '\n' | sed 's/../\\x&/g')
    # shellcheck disable=SC2059
    printf "\\x01\\x50$digits" >seeds/transports/tls
    { printf 'pump\ndevices/pump/a\n' && cat ../crates/security/src/policy/built_in.toml; } >seeds/policy/built_in
    cat >seeds/policy/all <<'END'
a+b
d/a/x
[groups]
crew = ["user:anna", "client:a"]
[roles]
r = "group:crew"
# note
[[rule]]
name = "n"
for = ["role:r", "anonymous", "attribute:cert.cn=x"]
allow = ["publish", "subscribe"]
topics = ["d/${client_id}/#", "+/${group}-${username}/+", "#"]
qos = [0, 1]
[[rule]]
deny = "publish"
topics = "d/+/x"
retain = true
END
    printf '\x00\x00\x00\x00\x00' >seeds/journal/whole
    printf '\x01\x10\x00\x02\xff\xff' >seeds/journal/patched
    printf '\x40\x2d\x41\x0b\x0b\x0b' >seeds/journal/covered
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
