#!/usr/bin/env bash
# Boots Debian's kernel under emulation with disks, runs a script in it, and ends as the script did.
#
#   run.sh [OPTION]... SCRIPT
#
#   --disk FILE[,ro][,block=BYTES]  a raw image: /dev/vda, the next /dev/vdb, ... (26 at most)
#   --file FILE                     is /in/NAME in the guest
#   --timeout SECONDS               of the script; then the guest is killed (120)
#   --memory MIB, --cpus N          of the guest (512, 1: the fastest on a busy machine)
#   --append WORDS                  more words for the kernel's command line
#   --cut                           the run must end by a power cut, and in no other way
#   --console FILE                  keeps what the kernel said
#
# SCRIPT runs as root under `sh -e` of busybox, in an empty /tmp, with mdadm and what else
# contents.txt names. Its output, both streams, is this command's; so is its status. Beyond that:
# 124 after the timeout, 125 where the guest ended without a status (a panic, a cut that was not
# expected) or a cut was expected and did not come, 77 where no guest can run; each with a sentence
# on stderr. The status has a channel of its own: nothing that the script or the kernel prints is
# taken for it. For the time before the script runs there is a generous limit (boot_limit).
#
# A power cut: the script calls `power-cut [SECONDS]`, or somebody sends this process SIGUSR1. The
# emulator ends at once; the guest's memory is gone, and with it all that its kernel had not yet
# written. Image files are written through the host's page cache (cache=unsafe), which outlives the
# emulator: after a cut they hold every write that the guest's disk had completed, flushed or not,
# and of those in flight any part. So a disk loses nothing that it acknowledged, while the guest is
# told of a volatile cache and sends its flushes.
set -euo pipefail
root=$(readlink -f "$(dirname "$(readlink -f "$0")")/../..")

usage() { sed -n '2,/^$/{s/^# \{0,1\}//;p}' "$0" | sed -n '3,11p' >&2; exit 2; }
say() { echo "guest: $*" >&2; }

# An idle machine needs 15 seconds to boot a guest, a very busy one minutes.
boot_limit=600

disks=() files=() limit=120 memory=512 cpus=1 expect_cut='' console='' append=''
while (($# > 1)); do
  case "$1" in
    --disk) disks+=("$2"); shift ;;
    --file) files+=("$2"); shift ;;
    --timeout) limit=$2; shift ;;
    --memory) memory=$2; shift ;;
    --cpus) cpus=$2; shift ;;
    --console) console=$2; shift ;;
    --append) append=$2; shift ;;
    --cut) expect_cut=yes ;;
    *) usage ;;
  esac
  shift
done
(($# == 1)) && [[ "$1" != -* ]] || usage
script=$1
[[ -r "$script" ]] || { say "there is no script $script"; exit 2; }
((${#disks[@]} <= 26)) || { say "26 disks at most"; exit 2; }

bash "$root/test/guest/prepare.sh"

work=$(mktemp -d)
emulator='' watch=''
end() {
  [[ -z "$emulator" ]] || kill -KILL "$emulator" || true
  [[ -z "$watch" ]] || kill "$watch" || true
  rm -rf "$work"
} 2> /dev/null
trap end EXIT
trap 'exit 130' INT TERM

# drive_of FILE[,ro][,block=BYTES] NUMBER: adds QEMU's words for a disk to `words`. A comma in the
# name of a file is doubled for QEMU.
drive_of() {
  local spec=$1 drive='' device=''
  while :; do
    case "$spec" in
      *,ro) drive+=,read-only=on spec=${spec%,ro} ;;
      *,block=*) device+=",logical_block_size=${spec##*=},physical_block_size=${spec##*=}"
                 spec=${spec%,block=*} ;;
      *) break ;;
    esac
  done
  [[ -r "$spec" ]] || { say "there is no image $spec"; exit 2; }
  words+=(-drive "file=${spec//,/,,},if=none,id=disk$2,format=raw,cache=unsafe,discard=unmap$drive"
    -device "virtio-blk-pci,drive=disk$2$device")
}

# What changes from run to run is a second archive behind the cached one; the kernel takes both.
make_initramfs() {
  local file
  mkdir -p "$work/more/in" "$work/more/bin"
  cp -- "$root/test/guest/init" "$work/more/init"
  cp -- "$root/test/guest/power-cut" "$work/more/bin/power-cut"
  for file in "${files[@]}"; do cp -- "$file" "$work/more/in/"; done
  cp -- "$script" "$work/more/in/script"
  {
    cat "$root/build/guest/initramfs"
    (cd "$work/more" && find . | cpio --quiet -o -H newc -R 0:0)
  } > "$work/initramfs"
}

words=(-accel "tcg,thread=multi" -cpu max,la57=off -smp "$cpus" -m "$memory" -nodefaults
  -nic none -display none -monitor none -no-reboot
  -kernel "$root/build/guest/vmlinux" -initrd "$work/initramfs"
  -append "console=ttyS0 loglevel=6 panic=-1 mitigations=off random.trust_cpu=on $append"
  -serial "file:$work/console" -device "isa-debug-exit,iobase=0xf4,iosize=1"
  -device virtio-serial-pci -chardev "file,id=output,path=/dev/fd/3"
  -chardev "file,id=status,path=$work/status"
  -device "virtserialport,chardev=output,nr=1" -device "virtserialport,chardev=status,nr=2")
for number in "${!disks[@]}"; do drive_of "${disks[number]}" "$number"; done
make_initramfs

cut=''
trap '[[ -z "$emulator" ]] || { cut=yes; kill -KILL "$emulator" 2> /dev/null || true; }' USR1

# The output goes by a pipe of its own (QEMU would truncate a file). The emulator ends with this
# process, whatever ends that.
exec 3> >(exec cat)
printer=$!
setpriv --pdeathsig KILL -- qemu-system-x86_64 "${words[@]}" < /dev/null > "$work/errors" 2>&1 &
emulator=$!
exec 3>&-

# Ends when the time is up: that of the boot, or that of the script from where the guest says so.
watch_time() {
  local begin=$SECONDS
  until [[ -s "$work/status" ]]; do
    ((SECONDS - begin < boot_limit)) || exit 0
    sleep 0.1
  done
  exec sleep "$limit"
}
watch_time &
watch=$!

# A signal interrupts a wait; then nobody has ended, or the emulator has and the next wait says so.
ended=0 who='' timed_out=''
until [[ "${who-}" == "$emulator" ]]; do
  ended=0 who=''
  # The shell's own word on a killed job goes nowhere.
  { wait -n -p who "$emulator" ${watch:+"$watch"} || ended=$?; } 2> /dev/null
  if [[ -n "$watch" && "${who-}" == "$watch" ]]; then
    timed_out=yes watch=''
    kill -KILL "$emulator" 2> /dev/null || true
  fi
done
emulator=''
wait "$printer" || true

# What isa-debug-exit makes of the byte 1 that power-cut writes.
if ((ended == 3)); then cut=yes; fi
[[ -z "$console" ]] || cp -- "$work/console" "$console"
status=''
[[ ! -e "$work/status" ]] || status=$(sed 1d "$work/status")

broken() {
  say "$*"
  tail -qn 80 "$work/errors" "$work/console" >&2 || true
  exit 125
}

if [[ "$timed_out" ]]; then
  [[ -s "$work/status" ]] || broken "it did not boot in $boot_limit s"
  say "killed after $limit s"
  exit 124
fi
if [[ "$cut" && "$expect_cut" ]]; then exit 0; fi
if [[ "$cut" ]]; then broken "a power cut, and --cut was not given"; fi
[[ "$status" =~ ^[0-9]{1,3}$ ]] || broken "it ended without a status (QEMU: $ended)"
[[ -z "$expect_cut" ]] || broken "the script ended with $status, without the power cut"
exit "$status"
