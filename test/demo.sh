#!/usr/bin/env bash
# Goal: the demo works from beginning to end with the command under test.
# Method: run it in a folder of its own; it compares three checksums itself. What it prints must
# name the devices it declares and made.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
command -v nbdcopy sgdisk sfdisk > /dev/null || { echo "skipped: no nbdcopy or sgdisk"; exit 77; }

bash tools/demo/demo.sh "$ASHLAR" "$folder" > "$folder/output" 2>&1 ||
  { cat "$folder/output"; exit 1; }
for word in fast safe data disk0/p1 disk2/p5 'The three are the same'; do
  grep -q "$word" "$folder/output" || { cat "$folder/output"; echo "no word of $word"; exit 1; }
done
