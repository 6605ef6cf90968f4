#!/usr/bin/env bash
# Goal: the command finds arrays on images in any order: tree, sum, and a server for real clients.
# Method: a raid1 and a raid10 that the kernel made (test/md_images); sums are the kernel's.
images=$(readlink -f test/md_images)
source test/shell/serving.bash
need nbdcopy python3

# unpack CASE: its members in a folder of its own; $sum is what the kernel read from it.
unpack() {
  mkdir "$1"
  tar -C "$1" -xf "$images/$1.tar.xz"
  sum=$(python3 -c "import json, sys
print(next(c['sha256'] for c in json.load(open(sys.argv[1])) if c['case'] == sys.argv[2]))" \
    "$images/expect.json" "$1")
}

for case in v1.0-raid1 raid10-f2-3; do
  unpack "$case"
  options=()
  for image in $(printf '%s\n' "$case"/*.img | sort -r); do options+=(-a "$image"); done
  "$ashlar" tree "${options[@]}" | grep -q "md member: " || fail "tree shows no member of $case"
  "$ashlar" sum "${options[@]}" "$case" | grep -q "^$sum " || fail "sum of $case"
  serve "${options[@]}"
  nbdcopy "nbd+unix:///$case?socket=$socket" copy.img || fail "nbdcopy of $case"
  [[ "$(sha256sum < copy.img)" == "$sum  -" ]] || fail "what was served of $case"
  rm copy.img
  stop_server
done
