#!/usr/bin/env bash
# Goal: `ashlar md guess` reads only, finds an array of files, and refuses with one sentence and
# status 1 what it cannot look at.
# Method: a raid1 of text, members of zeros, wrong words; sums of the files before and after.
set -euo pipefail
ashlar=$(readlink -f "$ASHLAR")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

fail() { printf 'FAILED: %s\n' "$*"; exit 1; }
ok() { printf 'ok  %s\n' "$*"; }

# refused SENTENCE FILE...: status 1, and one line with the sentence.
refused() {
  local sentence=$1 status=0
  shift
  timeout 60 "$ashlar" md guess "$@" > page 2> complaint < /dev/null || status=$?
  ((status == 1)) || { cat complaint; fail "status $status of: $*"; }
  [[ "$(wc -l < complaint)" == 1 ]] || { cat complaint; fail "no single sentence: $*"; }
  grep -qF -- "$sentence" complaint || { cat complaint; fail "no word of '$sentence': $*"; }
}

truncate -s 1M zeros.img more.img
"$ashlar" md guess zeros.img more.img > page || fail "members of zeros"
grep -q 'cannot tell: there is nothing but zeros' page || { cat page; fail "members of zeros"; }

seq -f 'line %.0f of a long text' 1 60000 > data
truncate -s 1M data
truncate -s 1M a.img
cat data >> a.img
cp a.img b.img
sha256sum a.img b.img > before
"$ashlar" md guess b.img a.img > page
grep -q 'sure: raid1' page || { cat page; fail "a raid1"; }
"$ashlar" md guess b.img a.img --json > page
python3 -c 'import json
page = json.load(open("page"))
first = page["guesses"][0]
assert first["level"] == "raid1" and first["data_offset"] == 1 << 20 and first["evidence"], first
assert first["command"].endswith("b.img a.img"), first' || { cat page; fail "the JSON"; }
sha256sum --quiet -c before || fail "something was written"

refused "2 to 16 can be guessed about" a.img
refused "are missing" a.img missing
refused "are missing" a.img missing missing
refused "nowhere.img: cannot open: No such file" a.img nowhere.img
refused "is named twice" a.img ./a.img
refused "it is a directory" a.img .
: > empty.img
"$ashlar" md guess empty.img a.img > page || fail "an empty file"
grep -q 'cannot tell' page || { cat page; fail "what is said of an empty file"; }
ok "guesses, and refusals"
