#!/bin/bash
# mosquitto_pub and mosquitto_sub against a broker: driver.sh HOST PORT VERSION SCENARIO
# VERSION is 31, 311 or 5; exits 0, or 1 with a message on standard error.
set -euo pipefail
host=$1 port=$2 version=$3 scenario=$4
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT

fail() {
    echo "$scenario: $*" >&2
    exit 1
}
pub() { mosquitto_pub -h "$host" -p "$port" -V "$version" "$@"; }
sub() { mosquitto_sub -h "$host" -p "$port" -V "$version" -W 20 "$@"; }
# Starts a subscriber in the background, whose messages go to file $1, and waits until it is subscribed.
listen() {
    local out=$1
    shift
    (exec stdbuf -oL mosquitto_sub -h "$host" -p "$port" -V "$version" -W 20 -d "$@") >"$out.log" 2>&1 &
    until grep -q 'Subscribed (mid' "$out.log"; do
        kill -0 $! 2>/dev/null || fail "the subscriber ended: $(cat "$out.log")"
        sleep 0.02
    done
}
messages() { grep -vE '^(Client |Subscribed )' "$1.log" || true; }
lasting=(-c -q 1)
[[ $version != 5 ]] || lasting+=(-x 100)

case $scenario in
qos0 | qos1 | qos2)
    qos=${scenario#qos}
    listen "$work/got" -t "a/#" -q "$qos" -C 3
    for payload in one two three; do pub -t a/b -q "$qos" -m "$payload"; done
    wait
    [[ $(messages "$work/got" | paste -sd' ') == "one two three" ]] || fail "got: $(cat "$work/got.log")"
    ;;
retained)
    pub -t r/x -r -q 1 -m kept
    [[ $(sub -t 'r/#' -C 1 --retained-only) == kept ]] || fail "the retained message did not come"
    pub -t r/x -r -n -q 1
    [[ -z $(sub -t 'r/#' -E) ]] || fail "the retained message was not cleared"
    ;;
will)
    listen "$work/got" -t will -q 1 -C 1
    watcher=$!
    listen "$work/dying" -t other --will-topic will --will-payload gone --will-qos 1
    kill -9 $!
    wait "$watcher"
    [[ $(messages "$work/got") == gone ]] || fail "got: $(cat "$work/got.log")"
    ;;
session)
    sub "${lasting[@]}" -i keeper -t 'q/#' -E
    for payload in 1 2 3; do pub -t q/x -q 1 -m "$payload"; done
    got=$(sub "${lasting[@]}" -i keeper -t 'q/#' -C 3 | paste -sd' ')
    [[ $got == "1 2 3" ]] || fail "got: $got"
    ;;
shared)
    listen "$work/m1" -t '$share/g/s' -q 1 -i m1
    listen "$work/m2" -t '$share/g/s' -q 1 -i m2
    seq 20 | pub -t s -q 1 -l
    until [[ $( (messages "$work/m1"; messages "$work/m2") | sort -u | wc -l) -ge 20 ]]; do sleep 0.05; done
    total=$( (messages "$work/m1"; messages "$work/m2") | wc -l)
    [[ $total == 20 ]] || fail "$total deliveries of 20 messages"
    [[ -n $(messages "$work/m1") && -n $(messages "$work/m2") ]] || fail "one member got everything"
    ;;
big | maximum)
    size=1048576
    [[ $scenario == big ]] || size=$((2 * 1048576 - 1024))
    head -c "$size" /dev/urandom >"$work/sent"
    sub -t big -q 1 -C 1 -N -i reader "${lasting[@]}" -E
    pub -t big -q 1 -f "$work/sent"
    sub -t big -q 1 -C 1 -N -i reader "${lasting[@]}" >"$work/received"
    cmp "$work/sent" "$work/received" || fail "the payload changed"
    ;;
*) fail "unknown scenario" ;;
esac
