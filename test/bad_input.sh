#!/usr/bin/env bash
# Goal: input that is wrong gets one clear sentence, everyone else gets service, nothing is changed
# on disk and nothing leaks.
# Method: first files that are no disks, for each verb; then a server for writing, over images whose
# checksums are known, with clients that do wrong (test/shell/rude_clients.py), an image that
# shrinks, and a good client in between. What the server holds open before is what it holds after.
tests=$(readlink -f test)
source test/shell/serving.bash
need nbdcopy python3 sfdisk

# refused SENTENCE COMMAND...: status 1, one line, with the sentence in it.
refused() {
  local sentence=$1 status=0
  shift
  timeout 60 "$@" > /dev/null 2> complaint < /dev/null || status=$?
  ((status == 1)) || { cat complaint; fail "status $status of: $*"; }
  [[ "$(wc -l < complaint)" == 1 ]] || { cat complaint; fail "no single sentence: $*"; }
  grep -qF "$sentence" complaint || { cat complaint; fail "no word of '$sentence': $*"; }
}

no_disks() {
  local verb
  mkdir folder
  mkfifo pipe
  ln -s loop loop
  python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("plug")'
  for verb in tree sum "serve --nbd unix:s"; do
    refused "folder: cannot serve it: it is a directory" "$ashlar" $verb -a folder
    refused "pipe: cannot serve it: it is a pipe" "$ashlar" $verb -a pipe
    refused "plug: cannot serve it: it is a socket" "$ashlar" $verb -a plug
    refused "/dev/null: cannot serve it: it is a character device" "$ashlar" $verb -a /dev/null
    refused "loop: cannot open: Too many levels" "$ashlar" $verb -a loop
    refused "missing.img: cannot open: No such file" "$ashlar" $verb -a missing.img
    [[ ! -e s ]] || fail "a socket was left behind"
  done
  ok "directories, pipes, sockets, loops, missing files"
}

# Root may read everything, so that somebody else has to try.
unreadable() {
  local as=()
  truncate -s 1M secret.img
  chmod 000 secret.img
  if ((EUID == 0)); then
    as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    chmod 755 "$folder"
    "${as[@]}" "$ashlar" --version > /dev/null 2>&1 ||
      { echo "left out: nobody may not run the command here"; return; }
  fi
  refused "secret.img: cannot open: Permission denied" \
    "${as[@]}" "$ashlar" sum -a "$folder/secret.img"
  chmod 444 secret.img
  refused "secret.img" "${as[@]}" "$ashlar" write -a "$folder/secret.img" disk0 --write
  ok "unreadable files, and files that may only be read"
}

# odd BYTES: whole blocks of it are served, and not one byte more.
odd() {
  local bytes=$1 whole=$(($1 / 512 * 512)) expected
  head -c "$bytes" /dev/urandom > odd.img
  expected=$(head -c "$whole" odd.img | sha256sum | cut -d ' ' -f 1)
  [[ "$("$ashlar" sum -a odd.img disk0)" == "$expected  "* ]] || fail "sum of $bytes bytes"
  "$ashlar" read -a odd.img disk0 | cmp - <(head -c "$whole" odd.img) || fail "read of $bytes bytes"
  "$ashlar" tree -a odd.img > page || fail "tree of $bytes bytes"
  ((bytes == whole)) || grep -q 'left out' page || fail "tree says nothing of the odd bytes"
}

odd_lengths() {
  local bytes
  for bytes in 0 1 511 512 513 4095 1048575 1048583; do odd $bytes; done
  : > empty.img
  serve -a empty.img
  quietly nbdcopy "$(uri disk0)" - > /dev/null
  stop_server
  ok "empty images, and images of odd lengths"
}

# --- a server among bad clients ------------------------------------------------------------------

make_images() {
  head -c 8M /dev/urandom > good.img
  printf '%s\n' 'label: dos' 'size=2M, type=83' 'size=3M, type=83' | sfdisk --quiet good.img
  head -c 4M /dev/urandom > shrinking.img
  good_sum=$(sha256_of good.img)
}

descriptors() { find "/proc/$server/fd" -mindepth 1 | wc -l; }

# The number of descriptors goes back to what it was: connections end by and by.
await_descriptors() {
  local turn
  for ((turn = 0; turn < 200; ++turn)); do
    (($(descriptors) > $1)) || return 0
    sleep 0.05
  done
  fail "$(descriptors) descriptors are open, where there were $1"
}

is_served() {
  quietly nbdcopy "$(uri disk0)" copy
  same copy good.img "$1"
}

rude_clients() {
  local before
  is_served "before anything"
  before=$(descriptors)
  timeout 200 python3 "$tests/shell/rude_clients.py" "$socket" disk0 || fail "a rude client"
  is_served "after rude clients"
  await_descriptors "$before"
  ok "they changed nothing, and nothing of them is left open"
}

shrink() {
  local status=0
  truncate -s 1M shrinking.img
  timeout 60 nbdcopy "$(uri disk1)" shrunk > client.log 2>&1 || status=$?
  ((status != 0)) || fail "bytes that are gone were read"
  ((status != 124)) || fail "the client of a disk that shrank got no answer"
  mv client.log shrink.log
  is_served "after another image shrank"
  ok "an image that shrinks: $(head -n 1 shrink.log)"
}

no_disks
unreadable
odd_lengths
make_images
serve -a good.img -a shrinking.img --write
rude_clients
shrink
stop_server
[[ "$(sha256_of good.img)" == "$good_sum" ]] || fail "the image is not what it was"
ok "the image is what it was"
