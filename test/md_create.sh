#!/usr/bin/env bash
# Goal: `ashlar md create` makes what it says; what cannot be, or would destroy something, it
# refuses with one sentence, status 1, and nothing written.
set -euo pipefail
ashlar=$(readlink -f "$ASHLAR")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

fail() { printf 'FAILED: %s\n' "$*"; exit 1; }
ok() { printf 'ok  %s\n' "$*"; }

uuid=01234567:89abcdef:fedcba98:76543210
export SOURCE_DATE_EPOCH=1700000000

# disks: four of 4 MiB, of zeros.
disks() {
  rm -f ./*.img
  truncate -s 4M a.img b.img c.img d.img
}

sums() { sha256sum ./*.img; }

create() { "$ashlar" md create --uuid $uuid "$@"; }

# refused SENTENCE OPTION...: status 1, one line with the sentence, no file changed.
refused() {
  local sentence=$1 status=0 before
  shift
  before=$(sums)
  timeout 60 "$ashlar" md create "$@" > page 2> complaint < /dev/null || status=$?
  ((status == 1)) || { cat complaint; fail "status $status of: $*"; }
  [[ "$(wc -l < complaint)" == 1 ]] || { cat complaint; fail "no single sentence: $*"; }
  [[ ! -s page ]] || fail "there is output: $*"
  grep -qF -- "$sentence" complaint || { cat complaint; fail "no word of '$sentence': $*"; }
  [[ "$(sums)" == "$before" ]] || fail "something was written: $*"
}

# makes LEVEL METADATA
makes() {
  local first
  disks
  create --level "$1" --metadata "$2" {a,b,c,d}.img > page
  grep -q "^$uuid: .*bytes" page || { cat page; fail "the page of level $1"; }
  first=$(sums)
  [[ "$(stat -c %s ./*.img | sort -u)" == $((4 << 20)) ]] || fail "a size has changed"
  disks
  create --level "$1" --metadata "$2" {a,b,c,d}.img --json > page
  [[ "$(sums)" == "$first" ]] || fail "level $1 with $2 is not reproducible"
  python3 -c 'import json, sys; page = json.load(open("page"))
sys.exit(page["array"]["uuid"] != sys.argv[1] or len(page["members"]) != 4)' $uuid || fail "JSON"
  refused "holds an md superblock" --level "$1" {a,b,c,d}.img
}

makes_every_level() {
  local word
  for word in linear 0 1 4 5 6 10; do makes $word 1.2; done
  for word in 0.90 1.0 1.1; do makes 5 $word; done
  ok "every level and every superblock; the same again with the same UUID"
}

leaves_data_alone() {
  disks
  head -c 4M /dev/urandom > a.img
  cp a.img before
  create --level 1 --metadata 1.0 a.img b.img > page
  cmp -n $((4 * 1048576 - 12288)) a.img before || fail "data of a member have changed"
  create --level 1 --metadata 1.2 --force a.img b.img > page
  [[ "$(tail -c 12288 a.img | tr -d '\0' | wc -c)" -lt 12288 ]] || fail "the end of a.img"
  ok "nothing but superblocks is written; --force removes the old ones"
}

missing_members() {
  disks
  create --level 5 a.img missing c.img > page
  grep -q 'missing' page || fail "the page says nothing of the missing member"
  disks
  create --level 6 a.img missing c.img d.img > page
  grep -q 'is a spare' page || fail "the page says nothing of the spare"
  disks
  refused "all members are missing" --level 1 missing missing
  refused "none can be missing" --level 0 a.img missing
  refused "can do without 1" --level 5 a.img missing missing
  ok "missing members"
}

wrong_words() {
  disks
  refused "md knows no level '7'" --level 7 a.img b.img
  refused "md knows no superblock '3'" --level 1 --metadata 3 a.img b.img
  refused "raid5 has no layout 'n2'" --level 5 --layout n2 a.img b.img c.img
  refused "raid1 has no layouts" --level 1 --layout n2 a.img b.img
  refused "is no UUID" --level 1 --uuid 123 a.img b.img
  refused "not 'external'" --level 1 --bitmap external a.img b.img
  refused "raid1 has no chunks" --level 1 --chunk 64KiB a.img b.img
  refused "power of two" --level 5 --chunk 12KiB a.img b.img c.img
  refused "data cannot begin" --level 5 --data-offset 1KiB a.img b.img c.img
  refused "at least 4 members" --level 6 a.img b.img c.img
  refused "is named twice" --level 1 a.img ./a.img
  ln a.img e.img
  refused "is named twice" --level 1 a.img e.img
  refused "nowhere.img: cannot open: No such file" --level 1 a.img nowhere.img
  refused "cannot serve it: it is a directory" --level 1 a.img .
  refused "/dev/null: cannot serve it" --level 1 a.img /dev/null
  truncate -s 8K b.img
  refused "too few for a superblock" --level 1 a.img b.img
  truncate -s 1M b.img
  refused "is too small" --level 1 a.img b.img
  : > b.img
  refused "too few for a superblock" --level 1 a.img b.img
  ok "wrong words, missing and small files"
}

files_in_use() {
  local status=0
  disks
  printf '\x53\xef\x01\x00' | dd of=b.img bs=1 seek=$((1024 + 56)) conv=notrunc status=none
  refused "b.img holds an ext file system" --level 1 a.img b.img
  printf 'LUKS\xba\xbe' | dd of=c.img conv=notrunc status=none
  refused "c.img holds a LUKS volume" --level 1 a.img c.img
  if command -v sfdisk > /dev/null; then
    echo 'size=1M, type=83' | sfdisk --quiet d.img
    refused "d.img holds" --level 1 a.img d.img
  fi
  create --level 1 --force {a,b,c,d}.img > page || fail "--force"
  chmod 444 a.img
  if ((EUID != 0)); then
    create --level 1 --force a.img b.img > page 2> complaint || status=$?
    ((status == 1)) || fail "a file that may only be read gave $status"
  fi
  ok "files that hold something"
}

usage() {
  local status=0
  "$ashlar" md create --level 5 > page 2> complaint || status=$?
  ((status == 2)) || fail "no files gave $status"
  status=0
  "$ashlar" md > page 2> complaint || status=$?
  ((status == 2)) || fail "no verb gave $status"
  "$ashlar" md create --help > page || fail "--help"
  ok "wrong usage"
}

makes_every_level
leaves_data_alone
missing_members
wrong_words
files_in_use
usage
