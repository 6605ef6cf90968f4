#!/usr/bin/env bash
# Goal: the NBD clients that people have, unmodified, get from `ashlar serve` the bytes that are on
# the disks, and put there what they send: nbdinfo, nbdcopy, qemu-img, qemu-io and fio.
# Method: one disk with a GPT by sgdisk, a declared stack with a stripe and a mirror over other
# images, all served at once. What clients read is compared with what dd cuts out of the images;
# what they wrote is compared after the server has ended.
source test/shell/serving.bash
need nbdinfo nbdcopy qemu-img qemu-io fio sgdisk

mib=$((1 << 20))

make_disks() {
  local leg
  head -c $((16 * mib)) /dev/urandom > disk0.img
  sgdisk --clear --new=1:2048:+4M --change-name=1:root --new=2:0:+6M disk0.img > /dev/null
  for leg in a b c d; do truncate -s 8M "$leg.img"; done
  cat > stack.toml <<END
$(for leg in a b c d; do printf '[[image]]\nname = "%s"\npath = "%s.img"\n' $leg $leg; done)
[[geom]]
name = "fast"
class = "stripe"
over = ["a", "b"]
chunk = "64KiB"
[[geom]]
name = "safe"
class = "mirror"
over = ["c", "d"]
END
  dd if=disk0.img of=p1.expected bs=$mib skip=1 count=4 status=none
  dd if=disk0.img of=p2.expected bs=$mib skip=5 count=6 status=none
}

# --- read-only -----------------------------------------------------------------------------------

list_exports() {
  local name
  quietly nbdinfo --list --json "$(uri)"
  for name in disk0 disk0/p1 disk0/p2 fast safe; do
    grep -q "\"export-name\": \"$name\"" client.log || fail "nbdinfo --list: no export $name"
  done
  [[ "$(nbdinfo --size "$(uri disk0/p2)")" == $((6 * mib)) ]] || fail "nbdinfo --size of disk0/p2"
  nbdinfo --is read-only "$(uri disk0/p1)" || fail "disk0/p1 is not read-only"
  ok "nbdinfo --list, --size, --is"
}

read_copies() {
  quietly nbdcopy "$(uri disk0/p1)" p1.copy
  same p1.copy p1.expected "nbdcopy of disk0/p1"
  quietly nbdcopy --connections=4 --requests=64 --request-size=65536 "$(uri disk0/p2)" p2.copy
  same p2.copy p2.expected "nbdcopy of disk0/p2 over 4 connections"
  quietly nbdcopy "$(uri label:root)" label.copy
  same label.copy p1.expected "nbdcopy of an alias"
  quietly qemu-img convert -f raw -O qcow2 "$(uri disk0/p1)" p1.qcow2
  quietly qemu-img compare -f qcow2 -F raw p1.qcow2 p1.expected
  quietly qemu-img compare -f raw -F raw "$(uri disk0/p2)" p2.expected
  ok "nbdcopy, qemu-img convert and compare: the bytes of the disk"
}

refuse_writes() {
  local status=0
  timeout 60 nbdcopy p2.expected "$(uri disk0/p2)" > client.log 2>&1 || status=$?
  ((status != 0)) || fail "nbdcopy wrote to a read-only export"
  ok "a read-only server refuses nbdcopy's writes"
}

# --- writing -------------------------------------------------------------------------------------

write_copies() {
  head -c $((16 * mib)) /dev/urandom > fast.new
  quietly nbdcopy --flush fast.new "$(uri fast)"
  quietly nbdcopy "$(uri fast)" fast.back
  same fast.back fast.new "nbdcopy to a stripe and back"
  head -c $((4 * mib)) /dev/urandom > p1.new
  quietly nbdcopy --flush --connections=4 --request-size=32768 p1.new "$(uri disk0/p1)"
  ok "nbdcopy to a stripe and back, and to a partition"
}

convert_to_server() {
  head -c $((5 * mib)) /dev/urandom > safe.new
  truncate -s 8M safe.new
  quietly qemu-img convert -f raw -O qcow2 safe.new safe.qcow2
  quietly qemu-img convert -n -f qcow2 -O raw safe.qcow2 "$(uri safe)"
  quietly qemu-img compare -f qcow2 -F raw safe.qcow2 "$(uri safe)"
  ok "qemu-img convert to a mirror, and compare"
}

# io COMMAND...: qemu-io over one export; a pattern that differs is an error of qemu-io.
io() {
  local name=$1 arguments=() each
  shift
  for each in "$@"; do arguments+=(-c "$each"); done
  quietly qemu-io -f raw -d unmap "${arguments[@]}" "$(uri "$name")"
  ! grep -qiE 'verification failed|error' client.log || { cat client.log; fail "qemu-io on $name"; }
}

patterns() {
  local name
  for name in disk0/p2 fast safe; do
    io "$name" "write -P 0x5a 0 1M" "write -f -P 0xa5 1M 64k" "write -P 0x11 1049088 512" flush \
      "read -P 0x5a 0 1M" "read -P 0xa5 1M 512" "read -P 0x11 1049088 512"
    io "$name" "write -z 128k 128k" "write -z -u 512k 64k" "read -P 0 128k 128k" \
      "read -P 0 512k 64k" "read -P 0x5a 256k 256k" "discard 768k 64k" "read 768k 64k" flush \
      "read -P 0x5a 0 128k" "read -P 0x5a 832k 192k"
    io "$name" "aio_write -P 1 2M 64k" "aio_write -P 2 2162688 64k" "aio_write -P 3 2228224 64k" \
      aio_flush "read -P 1 2M 64k" "read -P 2 2162688 64k" "read -P 3 2228224 64k"
  done
  ok "qemu-io: patterns, FUA, write zeroes, discard, flush"
}

# fio's verify reads back what its jobs wrote, and compares the checksum in each block.
verified_load() {
  quietly fio --ioengine=nbd --uri="$1" --name=verify --rw=randwrite --bs=4k,4k --iodepth=16 \
    --numjobs=4 --size=2m --offset_increment=2m --verify=crc32c --verify_fatal=1 --do_verify=1 \
    --randseed=17 --thread --group_reporting
  grep -q 'err= 0' client.log || { cat client.log; fail "fio over $1"; }
  ok "fio --verify=crc32c at depth 16, 4 jobs: $2"
}

# --- on the disks after all that -----------------------------------------------------------------

check_disks() {
  same c.img d.img "the legs of the mirror"
  # What lies outside of the partitions has not changed.
  cmp --bytes=$mib disk0.img disk0.before || fail "the partition table changed"
  cmp --ignore-initial=$((11 * mib)) disk0.img disk0.before || fail "what is behind p2 changed"
  dd if=disk0.img of=p1.now bs=$mib skip=1 count=4 status=none
  same p1.now p1.new "disk0/p1 after nbdcopy wrote it"
}

make_disks
cp disk0.img disk0.before

serve -a disk0.img -f stack.toml
list_exports
read_copies
refuse_writes
stop_server
same disk0.img disk0.before "a disk that was served read-only"

serve -a disk0.img -f stack.toml --write
write_copies
convert_to_server
patterns
verified_load "$(uri fast)" "a stripe"
verified_load "$(uri safe)" "a mirror"
stop_server
check_disks
ok "on the disks: what was written, and nothing else"

serve_at 127.0.0.1:0 -a disk0.img p1 --write
quietly nbdcopy "$address" p1.tcp
same p1.tcp p1.new "nbdcopy over TCP"
quietly qemu-img compare -f raw -F raw "$address" p1.new
stop_server
ok "over TCP: $address"
