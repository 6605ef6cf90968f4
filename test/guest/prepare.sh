#!/usr/bin/env bash
# Makes build/guest/{vmlinux,initramfs} of Debian's own packages, once; a change of what goes into
# them makes them anew. `rm -rf build/guest` takes up a newer kernel.
#
# The packages of the group guest are unpacked and never installed: a kernel would go to the
# machine's boot loader, and mdadm into its udev and its initramfs. So nothing here needs root.
# Exits with 77, after saying why, where the packages cannot be had.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
export PATH="$PATH:/usr/sbin:/sbin"
source tools/do/terminal.sh
source tools/do/packages.sh

made=build/guest
unavailable() { echo "no guest: $*" >&2; exit 77; }

# What the result depends on, but for the versions that the archive has today.
key() {
  { cat test/guest/{prepare.sh,unpack_kernel.py,contents.txt}; packages_of guest; } | sha256sum
}

check_host() {
  local tool
  [[ $(uname -m) == x86_64 ]] || unavailable "its kernel and programs are for x86-64"
  for tool in qemu-system-x86_64 apt-get dpkg-deb cpio depmod modprobe setpriv python3; do
    command -v "$tool" > /dev/null || unavailable "$tool is missing; ./do test-kernel installs it"
  done
}

# The package that the metapackage of the kernel stands for today; others stand for themselves.
package_to_unpack() {
  case "$1" in
    linux-image-*) apt-cache depends "$1" | awk '$1 == "Depends:" {print $2; exit}' ;;
    *) echo "$1" ;;
  esac
}

# Leaves the files in `debs`. What is there already is not fetched again.
download() {
  local package found
  debs=()
  mkdir -p "$made/debs"
  for package in $(packages_of guest); do
    found=$(package_to_unpack "$package")
    [[ -n "$found" ]] || return 1
    compgen -G "$made/debs/${found}_*.deb" > /dev/null ||
      (cd "$made/debs" && apt-get download -q "$found") >> "$made/packages.log" 2>&1 || return 1
    debs+=("$made/debs/$found"_*.deb)
  done
}

# A machine may have no index of packages, or an old one. Nothing is asked.
refresh_index() {
  local as_root=()
  ((EUID == 0)) || as_root=(sudo -n)
  apt_get update
}

# Of the kernel's package only what the guest may hold; it is some 400 MB otherwise.
unpack() {
  local deb
  mkdir "$work/unpacked"
  for deb in "${debs[@]}"; do
    dpkg-deb --fsys-tarfile "$deb" |
      tar -x -C "$work/unpacked" --exclude='./usr/share/*' --exclude='*/kernel/sound/*' \
        --exclude='*/kernel/drivers/'{gpu,hwmon,iio,infiniband,media,net,scsi,staging,usb}'/*'
  done
}

# words_of KIND: what contents.txt has of that kind, one a line.
words_of() {
  awk -v kind="$1" '$1 == kind {for (i = 2; i <= NF; i++) print $i}' test/guest/contents.txt
}

put_modules() {
  local version modules module file
  version=$(ls "$work/unpacked/lib/modules")
  modules="lib/modules/$version"
  # The warnings are about symbols of the modules that were left out.
  depmod -b "$work/unpacked" "$version" 2>> "$made/packages.log"
  for module in $(words_of module); do
    modprobe -d "$work/unpacked" -S "$version" --show-depends "$module"
  done | awk '$1 == "insmod" {print $2}' | sort -u | while read -r file; do
    (cd "$work/unpacked" && cp --parents "${file#"$work/unpacked/"}" "$work/tree")
  done
  cp "$work/unpacked/$modules"/modules.{builtin,builtin.modinfo,order} "$work/tree/$modules"
  depmod -b "$work/tree" "$version"
  python3 test/guest/unpack_kernel.py "$work/unpacked/boot/vmlinuz-$version" "$made/vmlinux"
}

put_programs() {
  local program library unpacked="$work/unpacked"
  local path="$unpacked/lib/x86_64-linux-gnu:$unpacked/usr/lib/x86_64-linux-gnu"
  install -D "$unpacked/bin/busybox" "$work/tree/bin/busybox"
  for program in $(words_of program); do
    install -D "$unpacked/$program" "$work/tree/$program"
    for library in $(LD_LIBRARY_PATH="$path" ldd "$unpacked/$program" | grep -o '/[^ ]*'); do
      install -D "$library" "$work/tree/${library#"$unpacked"}"
    done
  done
}

pack() {
  (cd "$work/tree" && find . | sort | cpio --quiet --reproducible -o -H newc -R 0:0 | gzip -1n) \
    > "$made/initramfs"
  # The kernel takes another archive behind it, where that begins at a multiple of four.
  truncate -s %4 "$made/initramfs"
}

if [[ -e "$made/key" && "$(key)" == "$(< "$made/key")" ]]; then exit 0; fi

mkdir -p "$made"
exec 9> "$made/lock"
flock 9
# Another run may have made it meanwhile.
if [[ -e "$made/key" && "$(key)" == "$(< "$made/key")" ]]; then exit 0; fi
check_host
work=$(mktemp -d "$PWD/$made/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
rm -f "$made/key"
: > "$made/packages.log"
download || { refresh_index && download; } ||
  unavailable "its packages cannot be downloaded ($made/packages.log)"
mkdir "$work/tree"
unpack
put_modules
put_programs
pack
key > "$made/key"
