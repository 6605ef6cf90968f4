#!/usr/bin/env bash
# Goal: `ashlar md check`, `resync`, `repair`, `add` and `fail` do to arrays that the kernel made
# what they say, with statuses for scripts; without --write nothing is changed.
# Method: arrays from test/md_images; contents as the kernel has summed them, also with a member
# left out.
set -euo pipefail
ashlar=$(readlink -f "$ASHLAR")
images=$(readlink -f test/md_images)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

fail() { printf 'FAILED: %s\n' "$*"; exit 1; }
ok() { printf 'ok  %s\n' "$*"; }

# unpack CASE: its members are m*.img here, and `expected` its sum.
unpack() {
  rm -rf ./*
  tar -xf "$images/$1.tar.xz"
  expected=$(python3 -c "import json, sys
print(next(c['sha256'] for c in json.load(open(sys.argv[1])) if c['case'] == sys.argv[2]))" \
    "$images/expect.json" "$1")
  array=$("$ashlar" tree --json $(stack m*.img) | python3 -c "import json, sys
print(next(geom['name'] for geom in json.load(sys.stdin)['geoms'] if geom['class'] == 'md'))")
}

stack() { printf -- '-a %s ' "$@"; }

# status WANTED COMMAND...
status() {
  local wanted=$1 got=0
  shift
  timeout 300 "$@" > page 2> complaint < /dev/null || got=$?
  ((got == wanted)) || { cat page complaint; fail "status $got, not $wanted: $*"; }
}
has() { grep -qF -- "$1" page || { cat page; fail "no word of '$1'"; }; }

content() { "$ashlar" sum $(stack "$@") "$array" | grep -qF "$expected"; }

# The content with each of the images left out in turn.
content_without_each() {
  local left_out each
  for left_out in "$@"; do
    local rest=()
    for each in "$@"; do
      [[ $each == "$left_out" ]] || rest+=("$each")
    done
    content "${rest[@]}" || fail "the content is another without $left_out"
  done
}

for case in raid4 raid5-left-symmetric raid6-left-symmetric; do
  unpack "$case"
  before=$(sha256sum m*.img)
  status 0 "$ashlar" md check "$array" m*.img
  has '0 sectors did not fit'
  status 2 "$ashlar" md repair "$array" m*.img
  [[ $(sha256sum m*.img) == "$before" ]] || fail "$case: a check has written"
  # A byte of the data of one member.
  printf '\xa5' | dd of=m1.img bs=1 seek=$((2048 * 512 + 100)) conv=notrunc status=none
  before=$(sha256sum m*.img)
  status 1 "$ashlar" md check "$array" m*.img --json
  python3 -c 'import json; assert json.load(open("page"))["mismatches"] == 8'
  [[ $(sha256sum m*.img) == "$before" ]] || fail "$case: a check has written"
  status 0 "$ashlar" md repair "$array" m*.img --write
  status 0 "$ashlar" md check "$array" m*.img
  ok "$case is checked and repaired"
done

for case in raid5-dirty raid6-dirty raid1-dirty-bitmap raid10-dirty; do
  unpack "$case"
  status 0 "$ashlar" md resync "$array" m*.img --write
  has 'resync is done'
  content m*.img || fail "$case: the content is another"
  content_without_each m*.img
  status 0 "$ashlar" md check "$array" m*.img
  status 0 "$ashlar" md resync "$array" m*.img --write
  has 'nothing is due'
  ok "$case is resynced"
done

for case in raid4-degraded raid5-degraded raid6-one-missing raid1-degraded; do
  unpack "$case"
  some=(m*.img)
  truncate -r "${some[0]}" new.img
  truncate -s 1M small.img
  status 1 "$ashlar" md add "$array" m*.img --member small.img --write
  status 0 "$ashlar" md add "$array" m*.img --member new.img --write
  has 'recovery of place'
  content m*.img new.img || fail "$case: the content is another"
  content_without_each m*.img new.img
  status 0 "$ashlar" md check "$array" m*.img new.img
  status 0 "$ashlar" md fail "$array" m*.img new.img --member disk0 --write
  "$ashlar" tree $(stack m*.img new.img) | grep -q 'left out' || fail "$case: nobody has failed"
  ok "$case gets a member, and loses one"
done
