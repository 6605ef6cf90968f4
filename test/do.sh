#!/usr/bin/env bash
# Goal: ./do explains itself, refuses what it does not know, installs exactly the packages that
# are missing, and counts stages rightly.
# Method: run it, and its parts, with stand-ins for dpkg-query, apt-get and sudo that write down
# how they were called. Nothing is installed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

wrong() { echo "wrong: $1"; exit 1; }

stand_in() {
  printf '#!/bin/bash\n%s\n' "$2" > "$folder/bin/$1"
  chmod +x "$folder/bin/$1"
}

# with_packages INSTALLED...: calls need_packages of a small list, with these installed.
with_packages() {
  rm -f "$folder/called"
  printf 'ii %s\n' "$@" > "$folder/installed"
  (cd "$folder" && PATH="$folder/bin:$PATH" bash -c '
    set -euo pipefail
    source "$1/tools/do/terminal.sh"; source "$1/tools/do/packages.sh"; need_packages all' \
    _ "$root")
}

expect_calls() {
  local calls
  calls=$(sed -E 's/(^| )(-|D[pP]kg::)[^ ]*//g; s/^ //' "$folder/called" 2> /dev/null || true)
  [[ "$calls" == "$1" ]] || wrong "apt-get was called as '$calls', not as '$1'"
}

help_names_every_verb() {
  local verb
  for verb in demo test test-kernel build bench fuzz format tidy 'new class' clean; do
    ./do | grep -q "\./do $verb" || wrong "help has no word of $verb"
  done
  ./do | grep -q $'\e' && wrong "colours, and no terminal"
  return 0
}

usage_errors_are_status_2() {
  local status=0
  ./do nonsense 2> /dev/null || status=$?
  [[ $status == 2 ]] || wrong "./do nonsense gave $status"
}

packages_are_installed_once() {
  mkdir -p "$folder/bin"
  printf '# comment\nbase one two\nall @base three\n' > "$folder/packages.txt"
  stand_in dpkg-query "cat '$folder/installed'"
  stand_in apt-get "echo \"\$@\" >> '$folder/called'; [[ ! -e '$folder/refuse' ]]"
  stand_in sudo 'exec "$@"'

  with_packages one two three
  expect_calls ''
  with_packages two > /dev/null
  expect_calls $'update\ninstall one three'

  touch "$folder/refuse"
  with_packages two > "$folder/output" 2>&1 && wrong "a failed installation went unnoticed"
  grep -q 'as root: apt-get install one three' "$folder/output" || wrong "no word of what to do"
}

stages_are_counted() {
  local sum
  sum=$(ASHLAR_RESULTS="$folder/results" bash -c '
    source tools/do/terminal.sh; source tools/do/stages.sh
    counted() { tally counted 5 2 1; return 1; }
    breaks() { exit 1; }
    : > "$ASHLAR_RESULTS"
    run_stages "good:true" "tests:counted" "early:breaks" && echo "a failure went unnoticed"
    cat "$ASHLAR_RESULTS"' | tr '\t' ' ')
  [[ "$sum" == *$'\ngood 1 0 0\ncounted 5 2 1\nearly 0 1 0' ]] || wrong "counted: $sum"
  [[ "$sum" != *unnoticed* ]] || wrong "$sum"
}

root=$PWD
help_names_every_verb
usage_errors_are_status_2
packages_are_installed_once
stages_are_counted
