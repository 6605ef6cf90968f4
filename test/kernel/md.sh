#!/usr/bin/env bash
# Goal: arrays that Ashlar has written to are the kernel's: it takes them as clean, reads the same
# bytes, and finds no stripe or copy that is wrong.
# Method: arrays of test/md_images, of each level that is written with redundancy, some without a
# member. Random bytes go to random places of them through `ashlar write`; then the kernel assembles
# them in a guest, sums them, and checks them.
source test/guest/guest.bash
need python3 xz tar
[[ -x "$ashlar" ]] || { echo "skipped: there is no command at $ashlar"; exit 77; }

images=()  # of the arrays of one guest, as options
cases=()   # those arrays: NAME MEMBER...

unpack() {
  mkdir "$1"
  tar -C "$1" -xJf "$project/test/md_images/$1.tar.xz"
}

# options NAME: an -a for each member.
options() {
  local image
  for image in "$1"/m*.img; do printf -- '-a\n%s\n' "$image"; done
}

array_of() {
  "$ashlar" sum --json "$@" | python3 -c '
import json, sys
for device in json.load(sys.stdin)["devices"]:
    if not device["name"].startswith("disk"):
        print(device["name"], device["size"], device["sha256"])'
}

# write NAME: pieces of all sizes at places of all kinds.
write() {
  local options name size piece offset length
  mapfile -t options < <(options "$1")
  read -r name size _ < <(array_of "${options[@]}")
  for piece in {1..6}; do
    offset=$((RANDOM * 32768 % size + RANDOM % 512))
    length=$((piece < 4 ? RANDOM % 9000 + 1 : RANDOM * 8 + 1))
    ((offset + length <= size)) || length=$((size - offset))
    head -c "$length" /dev/urandom |
      "$ashlar" write "${options[@]}" "$name" --write --offset "$offset" > output 2> errors ||
      fail "$1: $length bytes at $offset"
  done
}

# The kernel's view of what was written: "NAME STATE MISMATCHES SHA256", a line each.
kernels_view() {
  {
    echo 'modprobe raid456; modprobe raid1; modprobe raid10'
    echo 'number=0'
    printf '%s\n' "${cases[@]}" | while read -r name members; do
      cat << S
mdadm --assemble --run /dev/md\$number $members > /dev/null 2> said || { cat said; exit 1; }
md=/sys/block/md\$number/md
degraded=\$(cat \$md/degraded) state=\$(cat \$md/array_state) resync=\$(cat \$md/sync_action)
sum=\$(sha256sum < /dev/md\$number | cut -d ' ' -f 1)
mismatches=-
if [ \$degraded = 0 ]; then
  echo check > \$md/sync_action
  while [ "\$(cat \$md/sync_action)" != idle ]; do sleep 0.2; done
  mismatches=\$(cat \$md/mismatch_cnt)
fi
echo "$name \$state \$resync \$mismatches \$sum"
mdadm --stop /dev/md\$number > /dev/null 2>&1
number=\$((number + 1))
S
    done
  } > guest_script
  guest_ok --timeout 400 "${images[@]}" < guest_script
}

# compare: against what Ashlar says of the same images.
compare() {
  local name state resync mismatches sum mine options
  while read -r name state resync mismatches sum; do
    mapfile -t options < <(options "$name")
    read -r _ _ mine < <(array_of "${options[@]}")
    [[ "$sum" == "$mine" ]] || fail "$name: the kernel reads $sum, Ashlar $mine"
    [[ "$state" == clean || "$state" == read-auto ]] || fail "$name: the kernel says $state"
    [[ "$resync" == idle ]] || fail "$name: the kernel begins a $resync"
    [[ "$mismatches" == 0 || "$mismatches" == - ]] || fail "$name: $mismatches sectors are wrong"
    ok "$name: $state, $mismatches wrong"
  done < output
  (($(wc -l < output) == ${#cases[@]})) || fail 'the kernel has not seen all'
}

letters=({a..z})
# round NAME...: up to 26 disks.
round() {
  local name image members count=0
  images=() cases=()
  for name in "$@"; do
    unpack "$name"
    write "$name"
    members=''
    for image in "$name"/m*.img; do
      images+=(--disk "$image")
      members+=" /dev/vd${letters[count]}"
      count=$((count + 1))
    done
    cases+=("$name$members")
  done
  kernels_view
  compare
}

round raid5-left-symmetric raid5-left-asymmetric raid5-right-symmetric raid5-bitmap raid4 \
  raid6-left-symmetric
round raid6-ddf-zero-restart raid6-left-symmetric-6 raid6-parity-first raid5-parity-last v0.90-raid5
round raid1-three raid1-bitmap raid10-n2-4 raid10-f2-3 raid10-o2-5 raid10-bitmap raid10-n3-4
round raid5-degraded raid6-one-missing raid6-two-missing v1.0-raid5-bitmap v1.1-raid5 \
  v0.90-raid6-bitmap
