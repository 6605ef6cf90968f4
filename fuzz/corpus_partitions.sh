#!/usr/bin/env bash
# corpus_partitions.sh: makes the seeds of the partition parsers' fuzz targets anew, with sfdisk,
# sgdisk, fdisk and parted on the smallest disks that those accept.
set -euo pipefail
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
cd "$(dirname "$(readlink -f "$0")")/corpus"
rm -rf mbr gpt bsdlabel
mkdir -p mbr gpt bsdlabel
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

truncate -s 28K mbr/logical
sfdisk -q mbr/logical << 'S'
label: dos
label-id: 0x69346880
start=1, size=7, type=83, bootable
start=8, size=47, type=5
start=9, size=3, type=83
start=14, size=4, type=82
start=20, size=30, type=8e
S
truncate -s 4K mbr/primary
sfdisk -q mbr/primary << 'S'
label: dos
start=1, size=2, type=83
start=3, size=2, type=a5
start=5, size=2, type=c
S

# Four entries, the fewest that sgdisk writes, take a sector; it wants 36 KiB of disk nevertheless.
gpt() { truncate -s 36K "gpt/$1"; sgdisk -a 1 -S 4 "${@:2}" "gpt/$1" > /dev/null 2>&1; }
gpt two -n 1:3:4 -c 1:one -n 4:5:5 -c 4:'zwei für alle'
gpt hybrid -n 1:3:4 -h 1
cp gpt/two gpt/backup-only
dd if=/dev/zero of=gpt/backup-only bs=512 seek=1 count=2 conv=notrunc status=none
# The first three sectors are all of the primary copy; the input's last two bytes say that the disk
# goes on with 32 KiB of zeros.
head -c 1536 gpt/two > gpt/primary-only
printf '\x0f\x00' >> gpt/primary-only
truncate -s 72K gpt/usual
sgdisk -a 1 -n 1:34:40 -n 7:41:50 -n 128:51:60 gpt/usual > /dev/null 2>&1
truncate -s 80K gpt/4096
printf '%s\n' g n 1 6 10 w | fdisk -b 4096 gpt/4096 > /dev/null 2>&1

truncate -s 4K bsdlabel/bare
parted -s bsdlabel/bare mklabel bsd mkpart ext2 2s 3s mkpart ext2 4s 6s > /dev/null 2>&1
truncate -s 2M "$work/disk"
printf 'label: dos\nstart=2, size=3900, type=a5\n' | sfdisk -q "$work/disk"
printf '%s\n' b y n a 128 400 t a 7 n e 512 +100 t e 7 w | fdisk -C 8 -H 16 -S 32 "$work/disk" \
  > /dev/null 2>&1
# The disk's start and the slice's, each with 2 MiB of zeros behind it.
head -c 2048 "$work/disk" > mbr/slice
dd if="$work/disk" of=bsdlabel/slice bs=512 skip=2 count=3 status=none
printf '\x15\x00' | tee -a mbr/slice >> bsdlabel/slice
du -cb -- */* | tail -1
