#!/usr/bin/env bash
# Overlays by the command. Goal: with --overlay everything above an image can be written and the
# image stays as it is; FILE keeps it, over a kill -9 too; diff says what differs, commit applies
# it, is run again where it was killed, and refuses what is of another image. Method: one disk with
# a table, its checksum taken before and after everything.
source test/shell/serving.bash
need sfdisk python3

truncate -s 8M disk.img
printf 'label: gpt\nsize=4MiB, name=root\n' | sfdisk -q disk.img
python3 -c "import sys; sys.stdout.buffer.write(bytes(i * 7 & 255 for i in range(2 << 20)))" > noise
dd if=noise of=disk.img bs=1M seek=2 conv=notrunc status=none
chmod a-w disk.img
before=$(sha256sum < disk.img)

same_disk() { [[ $(sha256sum < "${1-disk.img}") == "$before" ]] || fail "the image has changed"; }
must() { "$@" > out.log 2>&1 || { cat out.log; fail "$*"; }; }
refused() {
  local words=$1
  shift
  if "$@" > out.log 2>&1; then fail "$* was not refused"; fi
  grep -qF -- "$words" out.log || { cat out.log; fail "$* did not say: $words"; }
}

# Temporary: writable, and gone.
must "$ashlar" write -a disk.img p1 --overlay < noise
same_disk
must "$ashlar" tree -a disk.img --overlay
grep -q '^disk0.image' out.log || { cat out.log; fail "the tree has no disk0.image"; }

# Kept.
head -c 3000 noise | must "$ashlar" write -a disk.img p1 --overlay=changes --offset 100000
same_disk
must "$ashlar" read -a disk.img p1 --overlay=changes --offset 100000 --length 3000 -o part --force
cmp part <(head -c 3000 noise) || fail "what was written is not there"
must "$ashlar" diff -a disk.img --overlay changes --json
python3 - << 'CHECK' || fail "diff"
import json
devices = {each["name"]: each for each in json.load(open("out.log"))["devices"]}
assert set(devices) == {"disk0", "disk0/p1"}, devices
base = 1 << 20
first, last = 100000 // 512 * 512, -(-103000 // 512) * 512
for name, shift in (("disk0/p1", 0), ("disk0", base)):
    ranges = devices[name]["ranges"]
    assert ranges[0]["offset"] == first + shift, ranges
    assert ranges[-1]["offset"] + ranges[-1]["length"] == last + shift, ranges
CHECK
must "$ashlar" diff -a disk.img --overlay changes
must "$ashlar" map -a disk.img p1 --overlay changes
grep -q ' overlay$' out.log || { cat out.log; fail "map has no overlay"; }

# The same name without a FILE to make.
refused "no such file" "$ashlar" diff -a disk.img --overlay nothing
[[ ! -e nothing ]] || fail "diff made an overlay"
refused "--overlay FILE" "$ashlar" commit -a disk.img

# Another image, and another state of it.
cp --sparse=always disk.img other.img
chmod u+w other.img
printf x | dd of=other.img bs=1 seek=5000 conv=notrunc status=none
refused "of another image" "$ashlar" tree -a other.img --overlay=changes
refused "of another image" "$ashlar" commit -a other.img --overlay=changes
truncate -s 9M other.img
refused "of another image" "$ashlar" tree -a other.img --overlay=changes
head -c 100000 noise > junk
refused "there is no overlay" "$ashlar" tree -a disk.img --overlay=junk
same_disk

# A commit that is killed is run again. It begins with the mark; what was copied then is any part.
"$ashlar" read -a disk.img --overlay=changes disk0 -o expected --force
cp --sparse=always disk.img target.img
chmod u+w target.img
for turn in $(seq 12); do
  cp --sparse=always changes changes.turn
  cp --sparse=always disk.img target.img
  "$ashlar" commit -a target.img --overlay=changes.turn > /dev/null 2>&1 &
  sleep "0.0$((turn * 8 % 100))"
  kill -9 $! 2> /dev/null || true
  wait $! 2> /dev/null || true
  must "$ashlar" commit -a target.img --overlay=changes.turn --json
  cmp target.img expected || fail "turn $turn: the image is not what the overlay showed"
done
must "$ashlar" commit -a target.img --overlay=changes.turn
grep -q 'committed before' out.log || { cat out.log; fail "it was committed twice"; }
refused "committed" "$ashlar" tree -a target.img --overlay=changes.turn
same_disk

# A server that is killed: what was flushed is there.
if command -v nbdcopy > /dev/null && command -v nbdsh > /dev/null; then
  "$ashlar" serve -a disk.img disk0 --overlay=served --nbd "unix:$folder/sock" > serve.log 2>&1 &
  server=$!
  for turn in $(seq 200); do
    [[ -S sock ]] && break
    sleep 0.05
  done
  nbdsh -u "nbd+unix:///disk0?socket=$folder/sock" \
    -c 'h.pwrite(b"kept" * 1024, 4096)' -c 'h.flush()' || fail "the server cannot be written to"
  kill -9 "$server"
  wait "$server" 2> /dev/null || true
  must "$ashlar" read -a disk.img disk0 --overlay=served --offset 4096 --length 4096 -o part --force
  cmp part <(python3 -c 'print("kept" * 1024, end="")') || fail "what was flushed is lost"
fi
same_disk

# Several images: FILE.0, FILE.1.
must "$ashlar" tree -a disk.img -a other.img --overlay=both
[[ -e both.0 && -e both.1 && ! -e both ]] || fail "the overlays of two images"
echo "overlays: fine"
