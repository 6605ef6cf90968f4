#!/usr/bin/env bash
# Goal: the partitions that Ashlar finds are those that the kernel finds: numbers, sizes, bytes.
# Method: the images of test/images, and larger tables made here by sfdisk, sgdisk and parted over
# random bytes, are disks of a guest. Every partition that its kernel has is summed there, and
# compared with `ashlar sum`. Extended partitions are left out: the kernel has two sectors of each,
# for boot loaders, and Ashlar none.
source test/guest/guest.bash
need sfdisk sgdisk parted zstd python3
[[ -x "$ashlar" ]] || { echo "skipped: there is no command at $ashlar"; exit 77; }

disks=()

# add FILE[,OPTION]
add() { disks+=(--disk "$1"); }

add_own_images() {
  local packed name option
  for packed in "$project"/test/images/*.img.zst; do
    name=$(basename "$packed" .zst) option=''
    [[ "$name" != *-4096.img ]] || option=,block=4096
    zstd -dqo "$name" "$packed"
    add "$name,ro$option"
  done
}

# random NAME: 8 MiB, with both ends empty, where tables go.
random() {
  head -c 8M /dev/urandom > "$1"
  dd if=/dev/zero of="$1" bs=1K count=32 conv=notrunc status=none
  dd if=/dev/zero of="$1" bs=1K count=32 seek=$((8192 - 32)) conv=notrunc status=none
}

# The tools say what they did where they fail.
with() { "$@" > output 2> errors || fail "$*"; }

make_tables() {
  local number words=()
  random many-logical.img
  { echo 'label: dos'; echo 'start=64, size=16000, type=5'
    for number in {0..29}; do echo "start=$((128 + 500 * number)), size=$((300 + number))"; done
  } > table
  with sfdisk -q many-logical.img < table

  random many-gpt.img
  for number in {1..100}; do
    words+=(-n "$((129 - number)):$((100 * number)):+$((90 - number % 7))")
  done
  with sgdisk -a 1 "${words[@]}" many-gpt.img

  random parted-msdos.img
  with parted -s parted-msdos.img mklabel msdos mkpart primary 64s 1999s \
    mkpart extended 2048s 15999s mkpart logical 2112s 4000s \
    mkpart logical 4100s 4100s mkpart primary 16001s 16383s

  random parted-gpt.img
  with parted -s parted-gpt.img mklabel gpt mkpart one 34s 99s mkpart two 100s 8191s

  for number in many-logical many-gpt parted-msdos parted-gpt; do add $number.img,ro; done
}

make_tables 2> /dev/null || fail "the tables were not made"
add_own_images

# The kernel looks at a backup GPT alone only where it is told to.
guest_ok --append gpt --timeout 300 "${disks[@]}" << 'S'
for disk in /sys/block/vd*; do
  for part in $disk/vd*; do
    [ -e $part ] || continue
    echo "${disk##*/} p$(cat $part/partition) $(($(cat $part/size) * 512))" \
      "$(sha256sum < /dev/${part##*/} | cut -d ' ' -f 1)"
  done
done
S

# found_by_ashlar IMAGE: "p1 BYTES SHA256", a line each.
found_by_ashlar() {
  "$ashlar" sum --json -a "$1" | python3 -c '
import json, sys
for device in json.load(sys.stdin)["devices"]:
    name = device["name"].rpartition("/")[2]
    if name != "disk0":
        print(name, device["size"], device["sha256"])'
}

# Without what sfdisk says is extended; of a table that is not an MBR it has no such column.
found_by_kernel() {
  local extended
  extended=$(sfdisk -l -o Device,Id "$1" 2> /dev/null |
    sed -nE 's/.*[^0-9]([0-9]+) +(5|f|85)$/p\1/p') || true
  awk -v disk="$2" -v extended="$extended" '$1 == disk && $2 != extended {print $2, $3, $4}' output
}

letters=(a b c d e f g h i j k l m n o p q r s t u v w x y z) total=0 index=0
for word in "${disks[@]}"; do
  [[ "$word" != --disk ]] || continue
  image=${word%%,*}
  found_by_ashlar "$image" | sort > by_ashlar
  found_by_kernel "$image" "vd${letters[index]}" | sort > by_kernel
  [[ -s by_kernel ]] || fail "$image: the kernel found no partition"
  diff -u by_kernel by_ashlar > difference || { cat difference; fail "$image"; }
  total=$((total + $(wc -l < by_kernel))) index=$((index + 1))
  ok "$image: $(wc -l < by_kernel) partitions"
done
ok "$total partitions of $index disks are the kernel's"
