#!/usr/bin/env bash
# Goal: the example of docs/c-api.md does what the page says.
# Method: it copies the beginning of an image, which must be the same bytes; a short image, too; and
# it fails, with a sentence, where there is no image.
set -euo pipefail
example=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
head -c 2097152 /dev/urandom > "$folder/long.img"
head -c 40960 /dev/urandom > "$folder/short.img"
"$example" "$folder/long.img" disk0 > "$folder/long.out"
cmp "$folder/long.out" <(head -c 1048576 "$folder/long.img")
"$example" "$folder/short.img" disk0 > "$folder/short.out"
cmp "$folder/short.out" "$folder/short.img"
if "$example" "$folder/none.img" disk0 > /dev/null 2> "$folder/errors"; then exit 1; fi
grep -q "cannot open: .*none.img.*not found" "$folder/errors"
