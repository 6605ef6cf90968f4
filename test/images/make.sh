#!/usr/bin/env bash
# make.sh: makes the images of this folder anew with sfdisk, sgdisk, fdisk and parted, and writes
# expect.tsv (case, device, bytes, sha256). Nothing of Ashlar takes part: the places of partitions
# are what those tools print, the sums are sha256sum's over what dd cuts out there. UUIDs that a
# tool draws at random change from run to run; contents and sums do not.
set -euo pipefail
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
cd "$(dirname "$(readlink -f "$0")")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
: > "$work/expect.tsv"

# new CASE SECTORS: an image in which each sector of 512 bytes is text that names the sector.
new() {
  image=$work/$1.img case=$1
  awk -v last="$2" -v name="$1" 'BEGIN {
    for (i = 0; i < last; i++) {
      line = sprintf("%-20.20s sector %010d ........................\n", name, i)
      printf "%s%s%s%s%s%s%s%s", line, line, line, line, line, line, line, line
    }
  }' > "$image"
  [[ $(stat -c %s "$image") == $(($2 * 512)) ]]
  # The tools expect an unused disk at both of its ends.
  wipe 0 48
  wipe $(($2 - 48)) 48
}

# wipe FIRST SECTORS, write FIRST SECTORS < BYTES
wipe() { dd if=/dev/zero of="$image" bs=512 seek="$1" count="$2" conv=notrunc status=none; }

# expect DEVICE FIRST_SECTOR SECTORS [SECTOR_BYTES]: what the kernel's device of that name holds.
expect() {
  local unit=${4-512} sum
  sum=$(dd if="$image" bs="$unit" skip="$2" count="$3" status=none | sha256sum | cut -d' ' -f1)
  printf '%s\t%s\t%s\t%s\n' "$case" "$1" $(($3 * unit)) "$sum" >> "$work/expect.tsv"
}

# expect_sfdisk [NUMBER...]: every partition that sfdisk lists, or those.
expect_sfdisk() {
  local number start size
  while read -r number start size; do
    [[ $# == 0 || " $* " == *" $number "* ]] && expect "p$number" "$start" "$size"
  done < <(sfdisk -J "$image" | python3 -c '
import json, re, sys
for part in json.load(sys.stdin)["partitiontable"]["partitions"]:
    print(re.search(r"(\d+)$", part["node"])[1], part["start"], part["size"])')
}

# expect_sgdisk: every partition that sgdisk lists.
expect_sgdisk() {
  local number start end rest
  while read -r number start end rest; do
    expect "p$number" "$start" $((end - start + 1))
  done < <(sgdisk -p "$image" | sed '1,/^Number/d')
}

# expect_fdisk_bsd LETTER=DEVICE...: partitions of the disklabel that `fdisk_bsd` printed.
expect_fdisk_bsd() {
  local pair start size
  for pair in "$@"; do
    read -r start size < <(awk -v letter="${pair%=*}" '$1 == letter {print $2, $4}' "$work/bsd.txt")
    expect "${pair#*=}" "$start" "$size"
  done
}

# fdisk_bsd COMMANDS...: a disklabel inside the image's BSD slice; geometry is what fdisk asks for.
fdisk_bsd() {
  printf '%s\n' b y "$@" p w | fdisk -C 16 -H 16 -S 32 "$image" > "$work/bsd.txt" 2>&1
  grep -q 'Disklabel written' "$work/bsd.txt"
}

gpt_of_two() {
  sgdisk -a 1 -U 6f3a1c52-9c1e-4f6b-8a31-0d5b7a9e2c10 \
    -n 1:64:+255 -t 1:ef00 -c 1:EFI -u 1:0b1c2d3e-4f50-4162-8374-95a6b7c8d9e0 \
    -n 5:1000:1999 -t 5:8300 -c 5:'Wurzel für alle' -u 5:1b1c2d3e-4f50-4162-8374-95a6b7c8d9e0 \
    -n 128:3000:3000 -t 128:fd00 -c 128:last -u 128:2b1c2d3e-4f50-4162-8374-95a6b7c8d9e0 \
    "$image" > /dev/null
}

new mbr-logical 4096
sfdisk -q "$image" << 'S'
label: dos
label-id: 0x69346880
start=64, size=300, type=83
start=400, size=100, type=c, bootable
start=512, size=3000, type=5
start=576, size=500, type=83
start=1200, size=1, type=82
start=1300, size=2000, type=8e
S
expect_sfdisk 1 2 5 6 7

new gpt-plain 4096
gpt_of_two
expect_sgdisk

new gpt-backup-only 4096
gpt_of_two
expect_sgdisk
wipe 1 33

new gpt-4096 8192
printf '%s\n' g n 1 64 +63 n 7 200 300 w | fdisk -b 4096 "$image" > /dev/null 2>&1
while read -r device start _ sectors _; do
  expect "p${device##*.img}" "$start" "$sectors" 4096
done < <(fdisk -b 4096 -l "$image" | grep "^$image")

new gpt-hybrid 4096
gpt_of_two
sgdisk -h 1:5 "$image" > /dev/null
expect_sgdisk

new gpt-few-entries 4096
sgdisk -a 1 -S 4 -n 4:64:+99 "$image" > /dev/null 2>&1
expect_sgdisk

new bsdlabel-bare 4096
parted -s "$image" mklabel bsd mkpart ext2 64s 563s mkpart ext2 600s 1599s > /dev/null 2>&1
while IFS=: read -r number start end _; do
  expect "p$number" "${start%s}" $((${end%s} - ${start%s} + 1))
done < <(parted -ms "$image" unit s print 2> /dev/null | grep '^[0-9]')

# The label counts from the disk, as NetBSD, OpenBSD and old FreeBSD have it. Linux numbers its
# partitions behind the logical ones.
new bsdlabel-in-mbr 8192
sfdisk -q "$image" << 'S'
label: dos
label-id: 0x0badcafe
start=64, size=64, type=83
start=256, size=4000, type=a9
start=5000, size=2000, type=5
start=5100, size=100, type=83
S
fdisk_bsd n a 512 1011 t a 7 n e 2000 +99 t e 7
expect_sfdisk 1 2 5
expect_fdisk_bsd a=p6 e=p7

rm -f ./*.img.zst
zstd -q -19 --ultra "$work"/*.img
mv "$work"/*.img.zst .
sort -V "$work/expect.tsv" > expect.tsv
du -cb -- *.img.zst | tail -1
