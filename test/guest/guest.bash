# For the scripts in test/kernel: a folder that is removed at the end, and guests. They run from the
# project's root, find the command in $ASHLAR, and exit with 77, after saying why, where they must skip.
#
#   source test/guest/guest.bash
#   guest --disk a.img < SCRIPT      then: $status, and the output in the file `output`
set -euo pipefail

ashlar=$(readlink -m "${ASHLAR:-build/release/bin/ashlar}")
project=$PWD
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# sfdisk, sgdisk and depmod are in sbin, which a user's PATH leaves out on Debian.
export PATH="$PATH:/usr/sbin:/sbin" LC_ALL=C

fail() {
  printf 'FAILED: %s\n' "$*"
  for file in output errors; do [[ ! -s $file ]] || sed "s/^/  $file: /" $file; done
  exit 1
}
ok() { printf 'ok  %s\n' "$*"; }

# need TOOL...: without one of them the test is skipped, and says so.
need() {
  local tool
  for tool in "$@"; do
    command -v "$tool" > /dev/null || { echo "skipped: there is no $tool here"; exit 77; }
  done
}

# guest [OPTION of run.sh]... < SCRIPT: runs it; never fails by itself.
guest() {
  status=0
  cat > script
  "$project/test/guest/run.sh" "$@" script > output 2> errors || status=$?
}

# guest_ok ...: as guest, and the script must succeed.
guest_ok() { guest "$@"; ((status == 0)) || fail "the guest's script gave $status"; }

reason=$(bash test/guest/prepare.sh 2>&1) || {
  status=$?
  ((status != 77)) || echo "skipped: $reason"
  ((status == 77)) || echo "FAILED: test/guest/prepare.sh: $reason"
  exit "$status"
}
cd "$folder"
