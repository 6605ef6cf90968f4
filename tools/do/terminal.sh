#!/usr/bin/env bash
# How ./do speaks: few words, few colours, and those only on a terminal.
if [[ -t 1 && -z "${NO_COLOR-}" ]]; then
  bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
else
  bold='' dim='' red='' green='' plain=''
fi

# step WHAT SENTENCE: one thing begins.
step() { printf '%s%-10s%s %s\n' "$bold" "$1" "$plain" "$2"; }

# note SENTENCE: something worth knowing, under the step it belongs to.
note() { printf '%-10s %s\n' "" "$1"; }

# fail SENTENCE: the end, with status 1.
fail() { printf '%s%s%s\n' "$red" "$1" "$plain" >&2; exit 1; }

wrong_usage() { printf 'usage: %s\n' "$1" >&2; exit 2; }

# duration SECONDS: "48 s", "3 min 12 s".
duration() {
  if (($1 < 60)); then echo "$1 s"; else echo "$(($1 / 60)) min $(($1 % 60)) s"; fi
}
