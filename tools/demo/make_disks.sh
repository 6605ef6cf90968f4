#!/usr/bin/env bash
# Makes the demo's disks in FOLDER: three images with partition tables by the usual tools, and data
# laid out on them by dd alone, so that what Ashlar reads was not written by Ashlar.
#
#   make_disks.sh FOLDER
#
#   disk0 (GPT)  p1 stripe 0   p2 (free)
#   disk1 (GPT)  p1 stripe 1   p2 mirror 0
#   disk2 (MBR)  p1 stripe 2   p5 mirror 1, a logical partition
#
# FOLDER/data.bin is what the device "data" of FOLDER/STACK.toml must read as: the stripe's 48 MiB,
# then the mirror's 16 MiB.
set -euo pipefail
folder=$1
mkdir -p "$folder"
cd "$folder"

part_mib=16
chunk_kib=256

make_data() {
  # 64 bytes a line, and each line says where it is: a block in the wrong place shows.
  local last=$((4 * part_mib * 16384 - 1))
  seq -f 'Line %012.0f of the demo; 64 bytes a line, each says where' 0 $last > data.bin
}

make_tables() {
  local disk
  rm -f disk[012].img
  for disk in 0 1 2; do truncate -s 48M "disk$disk.img"; done
  for disk in 0 1; do
    sgdisk --new=1:0:+${part_mib}M --change-name=1:"fast-$disk" \
      --new=2:0:+${part_mib}M --change-name=2:"safe-$disk" "disk$disk.img" > sgdisk.log
  done
  printf '%s\n' 'label: dos' "size=${part_mib}M, type=83" 'type=5' "size=${part_mib}M, type=83" |
    sfdisk --quiet disk2.img
}

# start_of IMAGE NUMBER: where a partition begins, in bytes.
start_of() {
  sfdisk --dump "$1" | awk -F '[=,]' -v name="$1$2" '$0 ~ "^"name" " {print $2 * 512}'
}

# copy IMAGE SEEK SKIP COUNT: bytes of data.bin into an image.
copy() {
  dd if=data.bin of="$1" bs=${chunk_kib}K iflag=skip_bytes,count_bytes oflag=seek_bytes \
    seek="$2" skip="$3" count="$4" conv=notrunc status=none
}

fill_stripe() {
  local starts=("$(start_of disk0.img 1)" "$(start_of disk1.img 1)" "$(start_of disk2.img 1)")
  local chunk=$((chunk_kib * 1024)) number
  for ((number = 0; number < 3 * part_mib * 1024 / chunk_kib; ++number)); do
    copy "disk$((number % 3)).img" $((starts[number % 3] + number / 3 * chunk)) \
      $((number * chunk)) $chunk
  done
}

fill_mirror() {
  local bytes=$((part_mib << 20))
  copy disk1.img "$(start_of disk1.img 2)" $((3 * bytes)) $bytes
  copy disk2.img "$(start_of disk2.img 5)" $((3 * bytes)) $bytes
}

declare_stack() {
  cat > STACK.toml <<END
# Three disks; a stripe and a mirror over their partitions; one device over both.
[[image]]
name = "disk0"
path = "disk0.img"

[[image]]
name = "disk1"
path = "disk1.img"

[[image]]
name = "disk2"
path = "disk2.img"

[[geom]]
name = "fast"
class = "stripe"
over = ["disk0/p1", "disk1/p1", "disk2/p1"]
chunk = "${chunk_kib}KiB"

[[geom]]
name = "safe"
class = "mirror"
over = ["disk1/p2", "disk2/p5"]

[[geom]]
name = "data"
class = "concat"
over = ["fast", "safe"]
END
}

make_data
make_tables
fill_stripe
fill_mirror
declare_stack
