#!/usr/bin/env bash
# Goal: a server that writes to an array and is killed (kill -9) at any moment leaves an array that
# has everything that was flushed, and that the kernel takes and makes right.
# Method: arrays of test/md_images, served over NBD; a client (kill_writer.py) writes numbered
# blocks, notes what was flushed, and kills the server in the middle, again and again. After each
# time Ashlar reads all blocks. In the end the kernel assembles the arrays in a guest, resyncs what
# their superblocks and bitmaps ask for, finds nothing wrong then, and reads what Ashlar reads.
# ASHLAR_KILLS: how often each server is killed (default 50, of six arrays).
source test/guest/guest.bash
need python3 xz tar
[[ -x "$ashlar" ]] || { echo "skipped: there is no command at $ashlar"; exit 77; }
kills=${ASHLAR_KILLS:-50}

arrays=(raid5-bitmap raid5-left-symmetric raid6-bitmap raid6-left-symmetric raid1-three
  raid10-bitmap)
disks=() lines=() count=0
letters=({a..z})
for name in "${arrays[@]}"; do
  mkdir "$name"
  tar -C "$name" -xJf "$project/test/md_images/$name.tar.xz"
  python3 "$project/test/kernel/kill_writer.py" "$ashlar" "$name" "$kills" "$name"/m*.img \
    > output 2> errors || fail "$name"
  ok "$name: $(tail -n 1 output)"
  members=''
  for image in "$name"/m*.img; do
    disks+=(--disk "$image")
    members+=" /dev/vd${letters[count]}"
    count=$((count + 1))
  done
  lines+=("$name$members")
done

{
  echo 'modprobe raid456; modprobe raid1; modprobe raid10; number=0'
  printf '%s\n' "${lines[@]}" | while read -r name members; do
    cat << S
mdadm --assemble /dev/md\$number $members > /dev/null 2> said || { cat said; exit 1; }
md=/sys/block/md\$number/md
echo readwrite > \$md/array_state 2> /dev/null || true
while [ "\$(cat \$md/sync_action)" != idle ]; do sleep 0.2; done
echo check > \$md/sync_action
while [ "\$(cat \$md/sync_action)" != idle ]; do sleep 0.2; done
sum=\$(sha256sum < /dev/md\$number | cut -d ' ' -f 1)
echo "$name \$(cat \$md/degraded) \$(cat \$md/mismatch_cnt) \$sum"
mdadm --stop /dev/md\$number > /dev/null 2>&1
number=\$((number + 1))
S
  done
} > guest_script
guest_ok --timeout 400 "${disks[@]}" < guest_script

while read -r name degraded mismatches sum; do
  read -r mine < "$name/sum"
  [[ "$degraded" == 0 ]] || fail "$name: the kernel takes it without $degraded members"
  [[ "$mismatches" == 0 ]] || fail "$name: after its resync $mismatches sectors are wrong"
  [[ "$sum" == "$mine" ]] || fail "$name: the kernel reads $sum, Ashlar read $mine"
  ok "$name: the kernel has made it right"
done < output
(($(wc -l < output) == ${#arrays[@]})) || fail 'the kernel has not seen all'
