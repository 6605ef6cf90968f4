#!/usr/bin/env bash
# Goal: of a raid6 that is served over NBD two members fail, one after the other, and a new one is
# filled, while fio writes and verifies: fio reads nothing but what it has written, then and
# afterwards, and so does everybody with any further member left out.
# Method: one process of fio goes over the whole array again and again, until the script has seen
# the end of the recovery. That requests of fio were served between all these events, and during the
# recovery, is read from the server's counters. ASHLAR_MEMBER_MIB makes it longer.
source test/shell/serving.bash
need fio python3

member_mib=${ASHLAR_MEMBER_MIB:-8}
members=(m{0,1,2,3,4}.img)

control() { "$ashlar" control "$folder/ctl" "$@"; }
must() { control "$@" > control.log 2>&1 || { cat control.log; fail "control $*"; }; }

# in_answer EXPRESSION: of what `must` got, in Python.
in_answer() { python3 -c "import json; answer = json.load(open('control.log')); print($1)"; }

# Requests of clients that the array has served.
requests() {
  must counters --json >&2
  in_answer 'sum(caller["requests"] for device in answer["devices"] if device["device"] == "data"
      for caller in device["callers"] if caller["user"].startswith("NBD export"))'
}

# fio_is_at_work WHEN: it has not ended, and requests of it are served from now on.
fio_is_at_work() {
  local before turn
  before=$(requests)
  for ((turn = 0; turn < 600; ++turn)); do
    kill -0 "$load" 2> /dev/null || { cat fio.log; fail "fio has ended $1"; }
    if (($(requests) > before + 16)); then return; fi
    sleep 0.05
  done
  fail "nothing of fio is served $1"
}

# array_says TEXT: its status, now or soon.
array_says() {
  local turn
  for ((turn = 0; turn < 600; ++turn)); do
    must status
    in_answer 'next(geom["status"] for geom in answer["geoms"] if geom["name"] == "data")' > says
    if grep -qF "$1" says; then return; fi
    sleep 0.05
  done
  cat says
  fail "the array never said '$1'"
}

# One word: running, done, ...
recovery_state() {
  must upkeep data >&2
  in_answer '(answer["work"].split() or ["nothing"])[0] == "recovery" and answer["state"]'
}

await_recovery() {
  local turn
  for ((turn = 0; turn < 1200; ++turn)); do
    if [[ $(recovery_state) == "$1" ]]; then return; fi
    sleep 0.05
  done
  cat control.log
  fail "the recovery is not $1"
}

# Every block of the array in random order, again and again: half of them verified soon after they
# were written, the others when all have been written.
over_all() {
  echo --ioengine=nbd "--uri=$(uri data)" --thread --verify=crc32c --verify_fatal=1 "$@"
}
start_load() {
  local half=$((size / 2))
  # Blocks that are not written again have something to verify, too.
  quietly fio $(over_all --name=fill --rw=write --bs=64k --verify_interval=4k --do_verify=0)
  fio $(over_all --rw=randwrite --bs=4k --iodepth=8 --loops=100000 --runtime=600 --size=$half \
    --do_verify=1 --name=soon --randseed=6 --verify_backlog=64 \
    --name=late --randseed=7 --offset=$half) > fio.log 2>&1 < /dev/null &
  load=$!
  clients+=("$load")
}

# SIGINT ends fio in the middle; what it was told to verify until then must have been right.
stop_load() {
  kill -INT "$load"
  await_end "$load" fio
  wait "$load" || true
  clients=()
  [[ $(grep -c 'err= 0' fio.log) == 2 ]] || { cat fio.log; fail "fio"; }
}

# contents IMAGE...
contents() {
  local each stack=()
  for each in "$@"; do stack+=(-a "$each"); done
  "$ashlar" sum "${stack[@]}" data > sum.log || fail "no sum of $*" >&2
  cut -d ' ' -f 1 sum.log
}

# md_check IMAGE...
md_check() {
  "$ashlar" md check data "$@" > check.log 2>&1 || { cat check.log; fail "md check of $*"; }
  grep -qF '; 0 sectors did not fit' check.log || { cat check.log; fail "md check of $*"; }
}

truncate -s "${member_mib}M" "${members[@]}" new.img
"$ashlar" md create --level 6 --chunk 64KiB --data-offset 1MiB --bitmap internal --assume-clean \
  --name data "${members[@]}" > create.log
size=$(((member_mib - 1) * 3 << 20))
serve $(printf -- '-a %s ' "${members[@]}") data --write --control "$folder/ctl" --upkeep-share 1
start_load
fio_is_at_work "over the whole array"

must remove-leg data disk1
array_says '4 of 5 members'
fio_is_at_work "without a member"
must remove-leg data disk3
array_says '3 of 5 members'
fio_is_at_work "without two members"
ok "two members failed under fio"

# With the smallest share it rests 99 times as long as it works, so that it can be looked at.
must add new.img new
must add-leg data new
await_recovery running
fio_is_at_work "while a member is filled"
[[ $(recovery_state) == running ]] || { cat control.log; fail "the recovery was over too soon"; }
must stop-upkeep data
await_recovery stopped
must start-upkeep data due share=100
await_recovery 'done'
array_says '4 of 5 members'
fio_is_at_work "with the new member"
must upkeep data
[[ $(in_answer 'answer["problem"] == "" and answer["unread"] == 0') == True ]] ||
  { cat control.log; fail "the recovery"; }
ok "a new member was filled under fio"

stop_load
quietly fio $(over_all --name=all --rw=read --bs=4k --iodepth=16)
ok "fio verified every block, then and afterwards"
stop_server

used=(m0.img m2.img m4.img new.img)
all=("${members[@]}" new.img)
sum=$(contents "${all[@]}")
md_check "${all[@]}"
for left_out in "${used[@]}"; do
  rest=()
  for each in "${all[@]}"; do [[ $each == "$left_out" ]] || rest+=("$each"); done
  [[ $(contents "${rest[@]}") == "$sum" ]] || fail "the content is another without $left_out"
done
[[ $(contents "${used[@]}") == "$sum" ]] || fail "the content is another without those that failed"
ok "parity fits, and the content is the same with any further member left out"
