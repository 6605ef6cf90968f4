#!/usr/bin/env bash
# A server's stack is changed through its control socket while fio writes and verifies over NBD:
# layers come and go, limits change, the disk is replaced under it, the file grows. At the end the
# new disk holds what fio verified, and hostile words at the socket have changed nothing.
source test/shell/serving.bash
need fio nbdinfo python3

control() { "$ashlar" control "$folder/ctl" "$@"; }
must() { control "$@" > control.log 2>&1 || { cat control.log; fail "control $*"; }; }
refused() {
  if control "$@" > control.log 2>&1; then fail "control $* was not refused"; fi
  [[ -s control.log ]] || fail "control $* was refused without a word"
}

# await WHAT: until the status says so; the server is sure to get there.
await() {
  local turn
  for ((turn = 0; turn < 1200; ++turn)); do
    if control status | tr -d ' \n' | grep -qF "$1"; then return; fi
    sleep 0.05
  done
  control status
  fail "the status never said $1"
}

truncate -s 16M old.img
truncate -s 16M new.img
serve -a old.img --write --control "$folder/ctl"
[[ $(stat -c %a ctl) == 600 ]] || fail "the control socket is open to others"

fio --ioengine=nbd --uri="$(uri disk0)" --name=live --rw=randwrite --bs=4k --iodepth=8 --numjobs=2 \
  --size=8m --io_size=96m --offset_increment=8m --verify=crc32c --verify_fatal=1 --do_verify=1 \
  --verify_backlog=64 --randseed=5 --thread --group_reporting --rate_iops=1500 \
  > fio.log 2>&1 < /dev/null &
load=$!
clients+=("$load")

for round in 1 2 3; do
  must insert disk0 throttle calm iops=20000 burst=1ms
  must insert disk0 stats "seen$round"
  refused close disk0
  must set calm iops=0 bytes=1GiB
  must remove calm
  must insert disk0 passthrough calm
  must remove "seen$round"
  must remove calm
done
ok "layers came and went"

must add new.img new
must insert disk0 mirror move new
await '"legs":"2of2"'
must remove-leg move disk0
must remove move
await '"settled":true'
must close disk0
ok "the disk was replaced, the old one is closed"
if kill -0 "$load" 2> /dev/null; then ok "fio was at work all the while"; fi

refused insert disk0 stripe nonsense
refused insert nowhere stats s
refused remove new
refused set new speed=9
refused add missing.img
refused leap over
python3 - "$folder/ctl" << 'END' || fail "hostile requests"
import socket, sys

def ask(data, answers=1):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(60)
    client.connect(sys.argv[1])
    try:
        client.sendall(data)
    except OSError:
        pass  # it hung up on us, which is its right
    got = b""
    while got.count(b"\n") < answers:
        piece = client.recv(65536)
        if not piece:
            break
        got += piece
    return got

for line in (b"", b"{", b"[]", b"null", b'{"do": 5}', b'{"do": "leap"}', b"\xff\x00\xfe",
             b'{"do": "insert"}', b'{"do": "set", "geom": [], "parameters": 3}',
             b'{"do": "insert", "under": "new", "class": "stats", "name": "s", "further": [1]}',
             b"[" * 60000):
    got = ask(line + b"\n")
    assert got.startswith(b'{"error":') and b'"ok":false' in got, (line, got)
assert b"65536" in ask(b"x" * 70000)
assert ask(b'{"do": "status"}\n' * 20, 20).count(b'"ok":true') == 20
idle = [socket.socket(socket.AF_UNIX) for _ in range(30)]
for each in idle:
    each.connect(sys.argv[1])
END
ok "what cannot be done is refused, with a sentence"

# Clients that stay as long as they are looked at.
begin_client() {
  fio --ioengine=nbd --uri="$(uri new)" --name="$1" --rw=read --bs=4k --iodepth=4 --size=1m \
    --time_based --runtime=600 --rate_iops=500 --thread > "$1.log" 2>&1 < /dev/null &
  clients+=("$!")
}
# until_counters WHAT < CHECK: until a check in Python, of `devices` by name, is content.
until_counters() {
  local turn check
  check="import json, sys
devices = {each['device']: each for each in json.load(open(sys.argv[1]))['devices']}
$(cat)"
  for ((turn = 0; turn < 600; ++turn)); do
    must counters --json
    if python3 -c "$check" control.log 2> check.log; then return; fi
    sleep 0.05
  done
  cat control.log check.log
  fail "counters $1"
}
begin_client early
until_counters "before counting" << 'END'
new = devices["new"]
assert len(new["callers"]) >= 1 and new["requests"] > 0 and new["silent"] == 0, new
assert new["requests"] == sum(each["requests"] for each in new["callers"])
for each in new["callers"]:
    assert each["user"].startswith("NBD export"), each
    assert each["short_frames"] <= each["requests"] and each["frame"] > 0, each
    assert "layers" not in each and "latency" not in each, each
END
must count new on
must sample new 4
begin_client late
until_counters "while counting" << 'END'
assert len(devices["new"]["callers"]) >= 2
for each in devices["new"]["callers"]:
    layers = each["layers"]
    assert [(layer["device"], layer["class"]) for layer in layers] == [("new", "file")], each
    for counts in layers[0]["operations"].values():
        assert counts["errors"] == 0
    times = each["latency"]
    assert times["every"] == 4 and times["p50_ns"] <= times["p99_ns"] <= times["max_ns"], each
END
must counters
grep -q "SHORT FRAMES" control.log && grep -q "LAYER" control.log || fail "there is no table"
must count new off
must sample new off
must counters --json
if grep -q '"layers"\|"latency"' control.log; then fail "counting goes on"; fi
refused count new perhaps
refused count nowhere on
refused sample new often
refused sample new 99999999999999999999
kill -KILL "${clients[@]:1}"
wait "${clients[@]:1}" 2> /dev/null || true
ok "requests, layers and times were counted, and the counting was switched off"

wait "$load" || { cat fio.log; fail "fio"; }
grep -q 'err= 0' fio.log || { cat fio.log; fail "fio"; }
ok "fio verified every block meanwhile"

must tree
truncate -s 24M new.img
must rescan new
[[ $(nbdinfo --size "$(uri new)") == $((24 << 20)) ]] || fail "a new client is told the old size"
quietly fio --ioengine=nbd --uri="$(uri new)" --name=grown --rw=randwrite --bs=4k --iodepth=8 \
  --offset=16m --size=8m --io_size=2m --verify=crc32c --do_verify=1 --verify_fatal=1
ok "the file grew, and the device with it"
stop_server
[[ ! -e ctl ]] || fail "the server left its control socket behind"
[[ $(stat -c %s new.img) == $((24 << 20)) ]] || fail "the file has another size"
