#!/usr/bin/env bash
# The demo: makes three disks, shows what Ashlar finds on them, serves it, reads it back with an
# NBD client and compares. Each command is printed as one would type it.
#
#   demo.sh COMMAND FOLDER        (./do demo: build/release/bin/ashlar build/demo)
set -euo pipefail
source "$(dirname "$0")/../do/terminal.sh"

command=$1 folder=$2
stack="$folder/STACK.toml"
# Relative, so that it stays under the 108 bytes that a socket's path may have.
socket="$folder/nbd.sock"
uri() { echo "nbd+unix:///$1?socket=$socket"; }

# show COMMAND...: the command as it is typed, then what it prints.
show() {
  local word typed=''
  for word in "${@/#$command/ashlar}"; do
    # A URI has characters that a shell would take for its own.
    [[ "$word" != *[?]* ]] || word="'$word'"
    typed+=" $word"
  done
  printf '\n%s$%s%s\n' "$bold" "$typed" "$plain"
  "$@"
}

# What nbdinfo says of each export, in one line.
names_and_sizes() {
  awk -F '"' '/^export=/ {name = $2}
    /export-size:/ {sub(/.*\(/, ""); sub(/\).*/, ""); printf "  %-10s %5s\n", name, $0}
    /^$/ || /\$ / {print}
    END {print "  ... and more about each"}'
}

stop_server() {
  [[ -n "${server-}" ]] || return 0
  kill -TERM "$server" 2>/dev/null || true
  wait "$server" || true
  server=''
}

start_server() {
  printf '\n%s$ ashlar serve -f %s --nbd unix:%s &%s\n' "$bold" "$stack" "$socket" "$plain"
  rm -f "$socket"
  "$command" serve -f "$stack" --nbd "unix:$socket" > "$folder/serve.log" 2>&1 < /dev/null &
  server=$!
  trap stop_server EXIT
  until [[ -S "$socket" ]]; do
    kill -0 "$server" 2>/dev/null || fail "The server ended: $(cat "$folder/serve.log")"
    sleep 0.02
  done
}

sha256_of() { sha256sum "$1" | cut -d ' ' -f 1; }

compare() {
  local written served summed
  written=$(sha256_of "$folder/data.bin")
  served=$(sha256_of "$folder/data.copy")
  summed=$("$command" sum -f "$stack" data --json | grep -oE '[0-9a-f]{64}')
  printf '\n'
  printf '%-24s %s\n' "as dd laid it out" "$written" "as the client read it" "$served" \
    "as ashlar sums it" "$summed"
  [[ "$written" == "$served" && "$written" == "$summed" ]] || fail "They differ."
  printf '%sThe three are the same.%s\n' "$green" "$plain"
}

try_next() {
  cat <<END

${bold}To try next${plain}
  cd $PWD
  PATH=\$PWD/$(dirname "$command"):\$PATH
  ashlar explain -f $stack data 20MiB     # one byte, down through every layer
  ashlar read -f $stack safe --length 64
  ashlar tree -a $folder/disk2.img                # one disk, what was found
  ashlar sum -a IMAGE                                 # any image of yours; nothing is written
  ashlar --help; ashlar serve --help
END
}

step disks "three images, two GPT and one MBR, in $folder"
bash "$(dirname "$0")/make_disks.sh" "$folder"
show "$command" tree -f "$stack"
show "$command" explain -f "$stack" data
start_server
show nbdinfo --list "$(uri '')" | names_and_sizes
show nbdcopy "$(uri data)" "$folder/data.copy"
stop_server
compare
try_next
