#!/usr/bin/env bash
# Goal: mdadm and the kernel take the arrays that `ashlar md create` makes, as what they are said to
# be: level, layout, chunk, size, offsets, what is to be resynced.
# Method: arrays of every level, layout and superblock over small files, one behind the other on a
# disk of a guest. There each is examined and assembled, its resync is waited for, it is filled and
# checked; what the kernel says of it is compared with the page that the command printed.
source test/guest/guest.bash
need python3
[[ -x "$ashlar" ]] || { echo "skipped: there is no command at $ashlar"; exit 77; }

mib=4 # of each member
members=0
: > cases
: > disk.img

# make NAME MEMBER-COUNT WORD...: a case; `-` among the words is a member that is missing.
make() {
  local name=$1 count=$2 i files=() words=() word
  shift 2
  for ((i = 0; i < count; ++i)); do files+=("$name.$i"); done
  for word in "$@"; do
    if [[ "$word" == - ]]; then files[1]=missing; else words+=("$word"); fi
  done
  rm -f "$name".*
  for word in "${files[@]}"; do [[ "$word" == missing ]] || truncate -s ${mib}M "$word"; done
  "$ashlar" md create --json "${words[@]}" "${files[@]}" > "$name.json" 2> errors ||
    fail "$name was not made"
  i=0
  for word in "${files[@]}"; do
    [[ "$word" != missing ]] || continue
    cat "$word" >> disk.img
    ((++i))
  done
  echo "$name $members $i" >> cases
  ((members += i))
}

chunk=(--chunk 64KiB)
for metadata in 0.90 1.0 1.1 1.2; do
  make v$metadata-raid1 2 --level 1 --metadata $metadata
  make v$metadata-raid5 3 --level 5 --metadata $metadata "${chunk[@]}" \
    --bitmap internal --bitmap-chunk 64KiB
done
make linear 3 --level linear
make raid0 3 --level 0 "${chunk[@]}"
make raid4 3 --level 4 "${chunk[@]}"
make raid1-clean 2 --level 1 --assume-clean
make raid1-missing 3 --level 1 -
make raid5-default-chunk 3 --level 5
make raid5-missing 3 --level 5 "${chunk[@]}" -
make raid5-size 3 --level 5 "${chunk[@]}" --size 1MiB --data-offset 2MiB
make raid6-missing 5 --level 6 "${chunk[@]}" -
make raid10-missing 4 --level 10 "${chunk[@]}" -
for layout in left-asymmetric right-asymmetric right-symmetric parity-first parity-last; do
  make raid5-$layout 3 --level 5 --layout $layout "${chunk[@]}"
done
for layout in left-symmetric ddf-zero-restart ddf-N-restart ddf-N-continue left-asymmetric-6; do
  make raid6-$layout 5 --level 6 --layout $layout "${chunk[@]}"
done
for layout in n2 n3 f2 o2; do make raid10-$layout 4 --level 10 --layout $layout "${chunk[@]}"; done
make raid10-bitmap 3 --level 10 "${chunk[@]}" --bitmap internal --bitmap-chunk 64KiB

guest_ok --timeout 900 --memory 768 --file cases --disk disk.img << 'S'
mkdir -p /m /dev/md /run/mdadm
modprobe loop
for level in linear raid0 raid1 raid10 raid456; do modprobe $level || true; done
echo 999999 > /proc/sys/dev/raid/speed_limit_max
echo 999999 > /proc/sys/dev/raid/speed_limit_min
facts=/sys/block/md0/md
say() { echo "$name $1 $2"; }
settle() { while [ "$(cat $facts/sync_action)" != idle ]; do sleep 0.1; done; }
while read -r name first count; do
  devices=''
  for i in $(seq 0 $((count - 1))); do
    dd if=/dev/vda of=/m/$i bs=4M skip=$((first + i)) count=1 2> /dev/null
    losetup /dev/loop$i /m/$i
    devices="$devices /dev/loop$i"
  done
  say correct "$(mdadm --examine $devices | grep -c 'Checksum : .* correct')"
  if mdadm --examine /dev/loop0 | grep -q 'Internal Bitmap'; then
    say bitmap "$(mdadm --examine-bitmap /dev/loop0 | sed -n 's/.*Bitmap : //p')"
  fi
  mdadm --assemble --run /dev/md0 $devices > /tmp/log 2>&1 || { say assembled no; cat /tmp/log; }
  if [ -e $facts/sync_action ]; then
    say began "$(cat $facts/sync_action)"
    settle
  fi
  for fact in level layout chunk_size component_size metadata_version degraded; do
    [ ! -e $facts/$fact ] || say $fact "$(cat $facts/$fact)"
  done
  say bytes "$(blockdev --getsize64 /dev/md0)"
  dd if=/dev/urandom of=/dev/md0 bs=64k 2> /dev/null || true
  sync
  if [ -e $facts/mismatch_cnt ]; then
    echo check > $facts/sync_action
    settle
    say mismatches "$(cat $facts/mismatch_cnt)"
  fi
  mdadm --stop /dev/md0 > /tmp/log 2>&1 || cat /tmp/log
  for i in $(seq 0 $((count - 1))); do losetup -d /dev/loop$i; rm /m/$i; done
done < /in/cases
S

python3 - << 'P' > verdict || { cat verdict output; fail "what the kernel says"; }
import json, sys

said = {}
for line in open("output"):
    words = line.split(None, 2)
    if len(words) == 3:
        said.setdefault(words[0], {})[words[1]] = words[2].strip()

wrong = []
for line in open("cases"):
    name, _, count = line.split()
    page, kernel = json.load(open(name + ".json")), said.get(name, {})
    array = page["array"]
    want = {"correct": count, "bytes": str(array["size"]), "level": array["level"]}
    if array["level"] not in ("linear", "raid0"):
        want["component_size"] = str(array["component_size"] // 1024)
        want["metadata_version"] = array["metadata"]
    if array["level"] not in ("linear", "raid1"):
        want["chunk_size"] = str(array["chunk"])
    if "missing" not in name and array["level"] not in ("linear", "raid0"):
        want["mismatches"] = "0"
        want["degraded"] = "0"
    if array["bitmap_chunk"] is not None and "bitmap" not in kernel:
        wrong.append(f"{name}: no bitmap")
    for key, value in want.items():
        if kernel.get(key) != value:
            wrong.append(f"{name}: {key} is {kernel.get(key)}, not {value}")
    began = kernel.get("began")
    if array["clean"] and "missing" not in name and began not in (None, "idle"):
        wrong.append(f"{name}: began with {began}")
print("\n".join(wrong))
sys.exit(len(wrong) != 0)
P
ok "$(wc -l < cases) arrays are what they were said to be, to mdadm and to the kernel"
