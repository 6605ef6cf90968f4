#!/bin/busybox sh
# Runs in the guest, for make_md_images.sh: makes md arrays over loop devices in memory, fills them
# from the pattern (/dev/vdb), and writes tar archives of their members, with what mdadm and the
# kernel say of them, to /dev/vda, one behind the other.
mkdir -p /m /dev/md /run/mdadm
modprobe loop
exec 9> /dev/vda
md=/dev/md0
facts=/sys/block/md0/md

# begin NAME SIZE_KIB...: files of these sizes as loop devices. `disks` has them in another order
# than the files, the second one first, so that no role is the number of its file.
begin() {
  case=$1
  shift
  mkdir /m/$case
  files=0 first='' disks=''
  for size in "$@"; do
    truncate -s ${size}K /m/$case/m$files.img
    losetup /dev/loop$files /m/$case/m$files.img
    if [ -z "$first" ]; then first=/dev/loop0; else disks="$disks /dev/loop$files"; fi
    files=$((files + 1))
  done
  disks="$disks $first"
}

# What mdadm says is of interest where it fails.
quiet() { "$@" > /tmp/log 2>&1 || { cat /tmp/log; return 1; }; }

# create OPTION... DEVICE...: all members are zeros, so there is nothing to make equal.
new_array() { quiet mdadm --create $md --run --homehost=none --name=$case "$@"; }
create() { new_array --assume-clean "$@"; }

array_bytes() { blockdev --getsize64 $md; }

# fill [FROM_KIB [COUNT_KIB]]: the whole array, or its beginning, from that place of the pattern.
fill() {
  count=${2-$(($(array_bytes) / 1024))}
  dd if=/dev/vdb of=$md bs=1k skip=${1-0} count=$count conv=fsync,notrunc 2> /dev/null
}

settle() { while [ "$(cat $facts/sync_action)" != idle ]; do sleep 0.1; done; }

# note KEY VALUE
note() { echo "$1=$2" >> /m/$case/facts; }
note_file() { [ ! -e "$facts/$1" ] || note "$1" "$(cat $facts/$1)"; }

# What the kernel says of the running array, and what it reads from it.
observe() {
  for name in level layout chunk_size raid_disks component_size metadata_version degraded; do
    note_file $name
  done
  note bytes $(array_bytes)
  echo 3 > /proc/sys/vm/drop_caches
  note sha256 "$(sha256sum < $md | cut -d ' ' -f 1)"
  mdadm --detail $md > /m/$case/detail.txt
}

# The kernel's own check of the parity or of the copies.
check() {
  echo check > $facts/sync_action
  settle
  note_file mismatch_cnt
}

stop() { quiet mdadm --stop $md; }

# fail MEMBER...: fails and leaves the array.
fail() {
  for i in "$@"; do quiet mdadm $md --fail /dev/loop$i --remove /dev/loop$i; done
}

# pack [MEMBER]...: what the files hold now becomes the case; these members are left out of it.
# The superblocks of all are in one text, by device: /dev/loopN is mN.img.
pack() {
  members=''
  for i in $(seq 0 $((files - 1))); do
    case " $* " in
      *" $i "*) rm /m/$case/m$i.img ;;
      *) members="$members /dev/loop$i" ;;
    esac
  done
  mdadm --examine $members > /m/$case/examine.txt
  if grep -q 'Internal Bitmap' /m/$case/examine.txt; then
    mdadm --examine-bitmap $members > /m/$case/bitmap.txt
  fi
  tar -cf - -C /m $case >&9
  echo "$case $(cut -d ' ' -f 1 /proc/uptime)"
}

finish() {
  for i in $(seq 0 $((files - 1))); do losetup -d /dev/loop$i; done
  rm -rf /m/$case
}

# try CASE...: one that cannot be made does not keep the others from being made.
failed_cases=''
try() {
  set +e
  (set -e; "$@")
  result=$?
  set -e
  [ $result != 0 ] || return 0
  echo "not made: $*"
  failed_cases=yes
  echo 999999 > /proc/sys/dev/raid/speed_limit_max
  [ ! -e $facts ] || mdadm --stop $md || true
  for loop in $(losetup -a | cut -d : -f 1); do losetup -d $loop; done
  rm -rf /m/*
}

# usual NAME 'SIZE_KIB...' OPTION...: created, filled, read, checked where there is something to
# check, stopped in order.
usual() {
  begin $1 $2
  shift 2
  create "$@" -n $files $disks
  fill
  [ ! -e $facts/sync_action ] || check
  observe
  stop
  pack
  finish
}

# degraded NAME 'SIZE_KIB...' 'FAILED...' OPTION...: members fail after the array was filled, and
# are not among the files of the case.
degraded() {
  begin $1 $2
  failed=$3
  shift 3
  create "$@" -n $files $disks
  fill
  fail $failed
  observe
  stop
  pack $failed
  finish
}

# stale NAME 'SIZE_KIB...' FAILED OPTION...: a member fails, other data is written, and the member
# is among the files as it was when it failed.
stale() {
  begin $1 $2
  failed=$3
  shift 3
  create "$@" -n $files $disks
  fill
  fail $failed
  fill 4096 128
  note rewritten_bytes 131072
  observe
  stop
  pack
  finish
}

# dirty NAME 'SIZE_KIB...' OPTION...: the members as they are while the array is in use, which is
# what a power cut leaves. It stays dirty until then by a long delay before "clean". A bitmap has
# had time to forget the first write, and holds what was rewritten after it.
dirty() {
  begin $1 $2
  shift 2
  create "$@" -n $files $disks
  echo 1000 > $facts/safe_mode_delay
  fill
  sleep 5
  fill 4096 128
  note rewritten_bytes 131072
  observe
  note array_state "$(cat $facts/array_state)"
  sync
  pack
  stop
  finish
}

# limit_speed KIB_PER_SECOND: of resync, recovery and reshape.
limit_speed() {
  echo $1 > /proc/sys/dev/raid/speed_limit_min
  echo $1 > /proc/sys/dev/raid/speed_limit_max
}

# interrupt: waits until a slow resync, recovery or reshape has done something, stops the array in
# the midst of it, and ends the case.
interrupt() {
  turn=0
  until [ "$(cut -d ' ' -f 1 $facts/sync_completed)" -gt 0 ] 2> /dev/null; do
    turn=$((turn + 1))
    [ $turn -lt 100 ]
    sleep 0.1
  done
  for name in sync_action sync_completed reshape_position; do note_file $name; done
  stop
  limit_speed 999999
  pack
  finish
}

# bad_blocks NAME 'SIZE_KIB...' MEMBER OPTION...: eight sectors of a member are in its log, and what
# is there is not what was written.
bad_blocks() {
  begin $1 $2
  member=$3
  shift 3
  create "$@" -n $files $disks
  fill
  first=$(($(cat $facts/dev-loop$member/offset) + 24))
  echo "$first 8" > $facts/dev-loop$member/bad_blocks
  # Otherwise raid5 would put right what it reads there, and take it off the log.
  echo write_error > $facts/dev-loop$member/state
  dd if=/dev/vdb of=/m/$case/m$member.img bs=512 seek=$first skip=12000 count=8 conv=notrunc \
    2> /dev/null
  note bad_member $member
  note bad_first_sector $first
  # The log is written with the superblock, which this write changes.
  fill 0 4
  observe
  stop
  pack
  finish
}

raid5_dirty_degraded() {
  begin raid5-dirty-degraded $four
  create -e 1.2 -l 5 -c 16 -n 4 $disks
  fill
  fail 1
  echo 1000 > $facts/safe_mode_delay
  fill 4096 128
  note rewritten_bytes 131072
  observe
  note array_state "$(cat $facts/array_state)"
  sync
  pack 1
  stop
  finish
}

raid5_spare() {
  begin raid5-spare $four
  create -e 1.2 -l 5 -c 16 -n 3 -x 1 $disks
  fill
  observe
  stop
  pack
  finish
}

raid5_rebuilding() {
  begin raid5-rebuilding $three
  create -e 1.2 -l 5 -c 16 -n 3 $disks
  fill
  fail 1
  quiet mdadm --zero-superblock /dev/loop1
  limit_speed 1
  quiet mdadm $md --add /dev/loop1
  observe
  interrupt
}

raid6_resyncing() {
  begin raid6-resyncing $five
  limit_speed 1
  new_array -e 1.2 -l 6 -c 16 -n 5 $disks
  fill
  observe
  interrupt
}

raid5_reshaping() {
  begin raid5-reshaping 3300 3300 3300 3300
  create -e 1.2 -l 5 -c 16 -n 3 /dev/loop1 /dev/loop2 /dev/loop3
  fill
  observe
  quiet mdadm $md --add /dev/loop0
  limit_speed 1
  quiet mdadm --grow $md --raid-devices=4 --backup-file=/m/backup
  interrupt
}

raid5_journal() {
  begin raid5-journal $three 4096
  new_array -e 1.2 -l 5 -c 16 -n 3 --write-journal /dev/loop3 /dev/loop1 /dev/loop2 /dev/loop0
  settle
  fill
  observe
  stop
  pack
  finish
}

raid5_ppl() {
  begin raid5-ppl 3300 3300 3300
  new_array -e 1.2 -l 5 -c 16 -n 3 --consistency-policy=ppl $disks
  settle
  fill
  observe
  stop
  pack
  finish
}

limit_speed 999999
# More than one bit, and a second until one may be cleared.
bitmap="-b internal --bitmap-chunk=16 --delay=1"
two="1300 1300"
three="$two 1300"
four="$three 1300"
five="$four 1300"

try usual v0.90-raid1 "512 512" -e 0.90 -l 1
try usual v0.90-raid5 "512 512 512" -e 0.90 -l 5 -c 16
try usual v0.90-raid6-bitmap "512 512 512 512" -e 0.90 -l 6 -c 16 $bitmap
# No raid0 with 0.90: mdadm 4.2 refuses to make one.
try usual v0.90-linear "512 640 768" -e 0.90 -l linear
try usual v1.0-raid1 "512 512" -e 1.0 -l 1
try usual v1.0-raid5-bitmap "1300 1300 1300" -e 1.0 -l 5 -c 16 $bitmap
try usual v1.1-raid1 "$two" -e 1.1 -l 1
try usual v1.1-raid5 "$three" -e 1.1 -l 5 -c 16
try usual v1.2-raid1 "$two" -e 1.2 -l 1
try usual v1.2-raid5-offset "400 400 400" -e 1.2 -l 5 -c 4 --data-offset=96

try usual linear "1300 1400 1600" -e 1.2 -l linear
try usual linear-rounded "1300 1400 1600" -e 1.2 -l linear --rounding=32
try usual raid0 "$three" -e 1.2 -l 0 -c 16
try usual raid0-zones-original "1300 1400 1600 1600" -e 1.2 -l 0 -c 16 -p original
try usual raid0-zones-alternate "1300 1400 1600 1600" -e 1.2 -l 0 -c 16 -p alternate
# No word of the layout in the superblock: the kernel's parameter decides.
modprobe raid0
for layout in 1 2; do
  echo $layout > /sys/module/raid0/parameters/default_layout
  try usual raid0-zones-default-$layout "1300 1400 1600 1600" -e 1.2 -l 0 -c 16 -p dangerous
done

try usual raid1-three "$three" -e 1.2 -l 1
try usual raid1-bitmap "$two" -e 1.2 -l 1 $bitmap

for layout in n2 f2 o2 n3 f3 o3; do
  try usual raid10-$layout-3 "$three" -e 1.2 -l 10 -c 16 -p $layout
  try usual raid10-$layout-4 "$four" -e 1.2 -l 10 -c 16 -p $layout
  try usual raid10-$layout-5 "$five" -e 1.2 -l 10 -c 16 -p $layout
done
try usual raid10-n2-2 "$two" -e 1.2 -l 10 -c 16 -p n2
try usual raid10-bitmap "$four" -e 1.2 -l 10 -c 16 $bitmap

try usual raid4 "$four" -e 1.2 -l 4 -c 16
layouts="left-asymmetric right-asymmetric left-symmetric right-symmetric parity-first parity-last"
for layout in $layouts; do
  try usual raid5-$layout "$four" -e 1.2 -l 5 -c 16 -p $layout
done
try usual raid5-bitmap "$four" -e 1.2 -l 5 -c 16 $bitmap
for layout in $layouts ddf-zero-restart ddf-N-restart ddf-N-continue \
  left-asymmetric-6 right-asymmetric-6 left-symmetric-6 right-symmetric-6 parity-first-6; do
  try usual raid6-$layout "$five" -e 1.2 -l 6 -c 16 -p $layout
done
try usual raid6-bitmap "$five" -e 1.2 -l 6 -c 16 $bitmap

try degraded raid1-degraded "$two" 1 -e 1.2 -l 1
try degraded raid4-degraded "$four" 1 -e 1.2 -l 4 -c 16
try degraded raid5-degraded "$four" 2 -e 1.2 -l 5 -c 16
try degraded raid6-one-missing "$five" 3 -e 1.2 -l 6 -c 16
try degraded raid6-two-missing "$five" "0 3" -e 1.2 -l 6 -c 16
try degraded raid10-degraded "$four" "0 2" -e 1.2 -l 10 -c 16

try stale raid1-stale "$two" 1 -e 1.2 -l 1
try stale raid5-stale "$four" 2 -e 1.2 -l 5 -c 16
try stale raid6-stale-bitmap "$five" 2 -e 1.2 -l 6 -c 16 $bitmap
try stale raid10-stale "$four" 2 -e 1.2 -l 10 -c 16
try stale v0.90-raid5-stale "512 512 512" 0 -e 0.90 -l 5 -c 16

try dirty raid1-dirty-bitmap "$two" -e 1.2 -l 1 $bitmap
try dirty raid5-dirty "$four" -e 1.2 -l 5 -c 16
try dirty raid5-dirty-bitmap "$four" -e 1.2 -l 5 -c 16 $bitmap
try dirty raid6-dirty "$five" -e 1.2 -l 6 -c 16
try dirty raid10-dirty "$four" -e 1.2 -l 10 -c 16
try dirty v0.90-raid5-dirty "512 512 512" -e 0.90 -l 5 -c 16

try bad_blocks raid1-bad-blocks "$two" 0 -e 1.2 -l 1
try bad_blocks raid5-bad-blocks "$four" 1 -e 1.2 -l 5 -c 16

try raid5_dirty_degraded
try raid5_spare
try raid5_rebuilding
try raid6_resyncing
try raid5_reshaping
try raid5_journal
try raid5_ppl

[ -z "$failed_cases" ]
