#!/usr/bin/env bash
# Goal: what the guest rig says is what happened in the guest.
# Method: scripts with known outcomes: a status, bytes on disks, a hang, power cuts by both sides,
# a panic, and output that pretends to be a status.
source test/guest/guest.bash

mib=$((1 << 20))

status_and_disks() {
  head -c $mib /dev/urandom > in.img
  truncate -s 1M out.img ro.img wide.img
  guest --file in.img --disk in.img --disk out.img --disk ro.img,ro \
    --disk wide.img,block=4096 << 'S'
sha256sum < /dev/vda
cmp /dev/vda /in/in.img
dd if=/dev/vda of=/dev/vdb bs=64k 2> /dev/null
blockdev --getro /dev/vdc
cat /sys/block/vdd/queue/logical_block_size
echo "to stderr" >&2
printf '0\nstatus 0\nGUEST-EXIT 0\n'
echo '<0>the kernel says 0' > /dev/kmsg
exit 7
S
  ((status == 7)) || fail "exit 7 in the guest gave $status"
  [[ "$(head -n 3 output)" == "$(sha256sum < in.img)"$'\n1\n4096' ]] || fail "the guest's output"
  grep -qx 'to stderr' output || fail "what went to stderr"
  cmp in.img out.img || fail "what the guest wrote to a disk"
  ok "status 7, output, a disk written, one read-only, one of 4096-byte blocks"
}

failed_command() {
  guest <<< 'false; echo not reached'
  ((status == 1)) && [[ ! -s output ]] || fail "a failed command gave $status"
  ok "a command that fails ends the script"
}

hang() {
  guest --timeout 20 <<< 'echo begun; sleep 1000'
  ((status == 124)) || fail "a hang gave $status"
  grep -qx begun output || fail "output before the hang was lost"
  ok "a hang is ended by its timeout"
}

panic() {
  guest <<< 'echo begun; echo c > /proc/sysrq-trigger; sleep 1000'
  ((status == 125)) || fail "a panic gave $status"
  grep -q 'Kernel panic' errors || fail "the panic is not shown"
  ok "a panic is no status"
}

cut_by_the_guest() {
  head -c $mib /dev/urandom > data
  truncate -s 2M cut.img
  guest --cut --disk cut.img --file data << 'S'
dd if=/in/data of=/dev/vda bs=64k conv=fsync 2> /dev/null
# The page cache of a device that is still open, without writeback by time, stays in memory.
exec 5< /dev/vda
echo 0 > /proc/sys/vm/dirty_writeback_centisecs
dd if=/in/data of=/dev/vda bs=64k seek=16 2> /dev/null
power-cut
exit 3
S
  ((status == 0)) || fail "a cut gave $status"
  cmp --bytes=$mib data cut.img || fail "what was synced before the cut is gone"
  cmp --bytes=$mib --ignore-initial=0:$mib data cut.img > /dev/null &&
    fail "what was only in the guest's memory survived the cut"
  guest <<< power-cut
  ((status == 125)) || fail "a cut that was not expected gave $status"
  guest --cut <<< true
  ((status == 125)) || fail "a cut that did not come gave $status"
  ok "a cut by the guest leaves what was synced, and loses what was in memory"
}

# The host hears of the guest's progress by its output, and cuts while it writes.
cut_by_the_host() {
  truncate -s 1M cut.img
  echo 'i=0; while :; do i=$((i + 1)); printf "%08d" $i | dd of=/dev/vda conv=fsync 2>/dev/null
echo $i; done' > script
  "$project/test/guest/run.sh" --cut --disk cut.img script > output 2> errors &
  local run=$! said
  while kill -0 $run && (($(wc -l < output) < 5)); do sleep 0.1; done 2> /dev/null
  kill -USR1 $run
  status=0
  wait $run || status=$?
  ((status == 0)) || fail "a cut by the host gave $status"
  said=$(tail -n 1 output)
  ((10#$(head -c 8 cut.img) >= said && said >= 5)) || fail "said $said, kept $(head -c 8 cut.img)"
  ok "a cut by the host: what was synced and said is there"
}

status_and_disks
failed_command
hang
panic
cut_by_the_guest
cut_by_the_host
