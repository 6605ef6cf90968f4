#!/usr/bin/env bash
# Goal: arrays that the kernel was writing when the power went are Ashlar's: it reads what was
# flushed, resyncs them, and hands them back; the kernel takes them as clean, finds nothing wrong
# and reads what Ashlar reads.
# Method: in a guest the first half of each array is filled and flushed, the second half is written
# to all over when the power is cut. Ashlar reads the first half, resyncs, and checks; a second
# guest assembles, sums and checks.
source test/guest/guest.bash
need python3 xz tar
[[ -x "$ashlar" ]] || { echo "skipped: there is no command at $ashlar"; exit 77; }

arrays=(raid1-bitmap raid1-three raid10-n2-4 raid10-f2-3 raid5-bitmap raid5-left-symmetric
  raid6-left-symmetric)
letters=({a..z})
disks=() count=0
declare -A members images

for name in "${arrays[@]}"; do
  mkdir "$name"
  tar -C "$name" -xJf "$project/test/md_images/$name.tar.xz"
  for image in "$name"/m*.img; do
    disks+=(--disk "$image")
    members[$name]+=" /dev/vd${letters[count]}"
    images[$name]+=" $image"
    count=$((count + 1))
  done
done

# each_assembled: for every array what is read from stdin, with $md, $name and $size (bytes) set.
each_assembled() {
  local body name
  body=$(cat)
  echo 'modprobe raid456; modprobe raid1; modprobe raid10; number=0'
  for name in "${arrays[@]}"; do
    cat << S
mdadm --assemble --run /dev/md\$number${members[$name]} > /dev/null 2> said || { cat said; exit 1; }
md=/dev/md\$number facts=/sys/block/md\$number/md name=$name
size=\$((\$(cat /sys/block/md\$number/size) * 512)) half=\$((size / 8192 * 4096))
$body
number=\$((number + 1))
S
  done
}

{
  each_assembled << 'S'
head -c $half /dev/urandom > first
dd if=first of=$md bs=4096 conv=notrunc,fsync 2> /dev/null
echo "$name $half $(sha256sum < first | cut -d ' ' -f 1)"
(
  blocks=$(((size - half) / 4096))
  while :; do
    dd if=/dev/urandom of=$md bs=4096 count=3 seek=$((half / 4096 + RANDOM % blocks)) \
      conv=notrunc,fsync 2> /dev/null || true
  done
) &
S
  echo 'sleep 4; power-cut'
} > writing
guest --cut --timeout 300 "${disks[@]}" < writing
((status == 0)) || fail "the guest was not cut: $status"
cp output flushed
(($(wc -l < flushed) == ${#arrays[@]})) || fail 'not every array was filled'

dirty=0
while read -r name half sum; do
  options=()
  for image in ${images[$name]}; do options+=(-a "$image"); done
  "$ashlar" tree --json "${options[@]}" > tree 2> errors || fail "$name: what is left"
  array=$(python3 -c "import json
print(next(g['name'] for g in json.load(open('tree'))['geoms'] if g['class'] == 'md'))")
  ! grep -q 'was not shut down cleanly' tree || dirty=$((dirty + 1))
  "$ashlar" read "${options[@]}" "$array" --length "$half" > first 2> errors ||
    fail "$name: reading"
  [[ "$(sha256sum < first | cut -d ' ' -f 1)" == "$sum" ]] || fail "$name: what was flushed"
  # shellcheck disable=SC2086
  "$ashlar" md resync "$array" ${images[$name]} --write > output 2> errors || fail "$name: resync"
  # shellcheck disable=SC2086
  "$ashlar" md check "$array" ${images[$name]} > output 2> errors || fail "$name: check"
  "$ashlar" sum --json "${options[@]}" "$array" > sum 2> errors || fail "$name: sum"
  python3 -c "import json; print(next(d['sha256'] for d in json.load(open('sum'))['devices']
      if d['name'] == '$array'))" > "$name/sum"
  ok "$name: all that was flushed is there, and it is resynced"
done < flushed
((dirty > 0)) || fail 'no array was in use when the power went: nothing was asked'

each_assembled > reading << 'S'
state=$(cat $facts/array_state) resync=$(cat $facts/sync_action)
sum=$(sha256sum < $md | cut -d ' ' -f 1)
echo check > $facts/sync_action
while [ "$(cat $facts/sync_action)" != idle ]; do sleep 0.2; done
echo "$name $state $resync $(cat $facts/degraded) $(cat $facts/mismatch_cnt) $sum"
S
guest_ok --timeout 400 "${disks[@]}" < reading
while read -r name state resync degraded mismatches sum; do
  [[ "$state" == clean || "$state" == read-auto ]] || fail "$name: the kernel says $state"
  [[ "$resync $degraded $mismatches" == 'idle 0 0' ]] ||
    fail "$name: $resync, $degraded missing, $mismatches sectors wrong"
  read -r mine < "$name/sum"
  [[ "$sum" == "$mine" ]] || fail "$name: the kernel reads $sum, Ashlar read $mine"
  ok "$name: clean to the kernel, 0 wrong"
done < output
(($(wc -l < output) == ${#arrays[@]})) || fail 'the kernel has not seen all'
echo "$dirty of ${#arrays[@]} arrays were in use when the power went"
