# For the scripts in test/ that run `ashlar serve` and real clients: a folder that is removed at the
# end, a server that is stopped at the end, and waits that end.
#
#   source test/shell/serving.bash
#   need nbdinfo nbdcopy
#   serve -a disk.img --write        then: uri NAME, $socket
#   stop_server
set -euo pipefail

# Absolute, since scripts work in the folder.
ashlar=$(readlink -f "$ASHLAR")
folder=$(mktemp -d)
cd "$folder"
socket="$folder/nbd.sock"
server=''
clients=()  # that run beside the script; what still runs at its end is ended

fail() {
  printf 'FAILED: %s\n' "$*"
  [[ ! -s serve.log ]] || { sed 's/^/  the server: /' serve.log; echo; }
  exit 1
}

# need TOOL...: without one of them the test is skipped, and says so.
need() {
  local tool
  for tool in "$@"; do
    command -v "$tool" > /dev/null || { echo "skipped: there is no $tool here"; exit 77; }
  done
}

end() {
  if [[ -n "$server" ]]; then
    kill -KILL "$server" || true
    wait "$server" || true
  fi 2> /dev/null
  ((${#clients[@]} == 0)) || kill -KILL "${clients[@]}" 2> /dev/null || true
  rm -rf "$folder"
}
trap end EXIT

# serve_at ADDRESS OPTION...: starts a server; its URI is in $address.
serve_at() {
  local at=$1 turn
  shift
  rm -f uris
  "$ashlar" serve "$@" --nbd "$at" > uris 2> serve.log < /dev/null &
  server=$!
  for ((turn = 0; turn < 600; ++turn)); do
    if [[ -s uris ]]; then address=$(head -n 1 uris); return; fi
    kill -0 "$server" 2> /dev/null || fail "the server ended at once"
    sleep 0.05
  done
  fail "the server did not begin"
}

serve() { serve_at "unix:$socket" "$@"; }

# await_end PID WHAT: it must end soon by itself.
await_end() {
  local turn
  for ((turn = 0; turn < 1200; ++turn)); do
    kill -0 "$1" 2> /dev/null || return 0
    sleep 0.05
  done
  kill -KILL "$1" 2> /dev/null && fail "$2 did not end"
}

# A server must end well: status 0, no socket left behind, nothing of a sanitizer in its log.
stop_server() {
  local status=0
  kill -TERM "$server"
  await_end "$server" "the server"
  wait "$server" || status=$?
  server=''
  ((status == 0)) || fail "the server ended with status $status"
  [[ ! -e "$socket" ]] || fail "the server left its socket behind"
}

# uri [NAME]: of an export on the unix socket.
uri() { echo "nbd+unix:///${1-}?socket=$socket"; }

# quietly COMMAND...: it must succeed, and what it says is told where it does not.
quietly() { timeout 120 "$@" > client.log 2>&1 || { cat client.log; fail "$*"; }; }

sha256_of() { sha256sum "$1" | cut -d ' ' -f 1; }

# same FILE FILE WHAT
same() { cmp "$1" "$2" || fail "$3: the bytes differ"; }

ok() { printf 'ok  %s\n' "$*"; }
