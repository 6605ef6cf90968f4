#!/usr/bin/env bash
# Makes test/md_images anew: small md arrays that mdadm and Debian's kernel made in a guest, for the
# tests that must do without one. About five minutes. UUIDs and times change from run to run,
# contents and layouts do not.
#
# CASE.tar.xz  the members m0.img, m1.img, ...; examine.txt, bitmap.txt (where there is a bitmap)
#              and detail.txt: what mdadm says of /dev/loopN, which is mN.img, and of the array
# expect.json  what the kernel said of each array, and read from it (md_expect.py)
#
# Every 8 bytes of an array hold their own number, little-endian: the bytes from 8n are n. Where a
# case says "rewritten_bytes", its first bytes are those from 4 MiB on instead.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
work=$(mktemp -d)
trap '[[ $? != 0 ]] || rm -rf "$work"; [[ ! -e "$work" ]] || echo "what there is: $work"' EXIT

python3 test/guest/md_expect.py --pattern "$work/pattern.img"
truncate -s 1G "$work/cases.img"
test/guest/run.sh --timeout "${ASHLAR_GUEST_SECONDS:-1500}" --memory 1024 --disk "$work/cases.img" \
  --disk "$work/pattern.img,ro" test/guest/md_images.sh

mkdir "$work/cases"
tar -C "$work/cases" --ignore-zeros -xf "$work/cases.img"
python3 test/guest/md_expect.py "$work/cases" > "$work/expect.json"

# The filter makes differences of what counts up: a hundredth of the size that remains without it.
pack() {
  tar -C "$work/cases/$1" --sort=name --owner=0 --group=0 --numeric-owner --exclude=facts -cf - . |
    xz --delta=dist=8 --lzma2=preset=9e > "$work/$1.tar.xz"
}
for folder in "$work"/cases/*/; do pack "$(basename "$folder")"; done

mkdir -p test/md_images
rm -f test/md_images/*.tar.xz
mv "$work"/*.tar.xz "$work/expect.json" test/md_images
du -cb test/md_images/* | tail -n 1
