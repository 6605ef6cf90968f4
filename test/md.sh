#!/usr/bin/env bash
# Goal: the command finds arrays on images in any order: tree, sum, and a server for real clients;
# where an array is refused it says why to who asks for it.
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

# not_started SENTENCE IMAGE...: every verb that is asked for the array says why there is none, in
# one line, beside the devices that there are.
not_started() {
  local sentence=$1 image options=() verb status
  shift
  for image in "$@"; do options+=(-a "$image"); done
  for verb in sum read explain 'serve --nbd unix:none.sock'; do
    status=0
    timeout 60 "$ashlar" $verb "${options[@]}" data > page 2> complaint < /dev/null || status=$?
    ((status == 1)) || { cat complaint; fail "status $status of $verb"; }
    [[ $(wc -l < complaint) == 1 ]] || { cat complaint; fail "no single line of $verb"; }
    grep "^ashlar: there is no device 'data'; known are: disk0.*; not started: md: " complaint |
      grep -qF -- "$sentence" || { cat complaint; fail "no word of '$sentence' of $verb"; }
  done
  "$ashlar" sum "${options[@]}" disk0 > page || fail "a member by itself"
}

# stack IMAGE...
stack() { printf -- '-a %s ' "$@"; }

for case in raid5-{journal,ppl,dirty-degraded,left-symmetric}; do unpack "$case"; done
not_started 'the array has a write journal, which is not supported' raid5-journal/*.img
not_started 'partial parity log' raid5-ppl/*.img
not_started '`insist` starts it all the same' raid5-dirty-degraded/*.img
not_started 'all copies of some data were in places 0, 1' raid10-f2-3/m0.img
not_started '3 members are missing' raid5-left-symmetric/m1.img
"$ashlar" sum $(stack raid5-dirty-degraded/*.img) --insist raid5-dirty-degraded > page ||
  fail "--insist does not start the array"
if "$ashlar" sum $(stack v1.0-raid1/*.img) data > page 2> complaint; then fail "data is there"; fi
if grep 'not started' complaint; then fail "said of an array that was started"; fi
ok "who asks for an array that was refused is told why"
