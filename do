#!/usr/bin/env bash
# Everything one does with this checkout; ./do alone says what. Works from any directory.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"

source tools/do/terminal.sh
source tools/do/packages.sh
source tools/do/stages.sh
source tools/do/kernel.sh

# sfdisk and sgdisk are in sbin, which a user's PATH leaves out on Debian.
export PATH="$PATH:/usr/sbin:/sbin"
jobs=${ASHLAR_JOBS:-$(nproc)}

help() {
  cat <<END
${bold}ashlar${plain}: a block I/O stack for user space

  ${bold}./do demo${plain}                  three disks, one stack, one server: see it work
  ${bold}./do test${plain}                  build with sanitizers and run every test
  ${bold}./do build${plain}                 the command, at build/release/bin/ashlar

  ${bold}./do test all${plain}              ThreadSanitizer, clang, release, fuzzing, format
  ${bold}./do test-kernel${plain} [NAME]    against Debian's kernel in an emulated machine; slow
  ${bold}./do bench${plain} [NAME]          measure all, or one; JSON goes to build/bench
  ${bold}./do sim${plain} [--seeds N]       cut the power of simulated stacks; --seed N replays
  ${bold}./do fuzz${plain} [NAME [SECONDS]] let libFuzzer look for inputs that break a parser
  ${bold}./do format${plain} [--check]      clang-format over the sources
  ${bold}./do tidy${plain}                  check the style of the tree
  ${bold}./do new class${plain} NAME        a new class with its test and its page, all passing
  ${bold}./do clean${plain}                 remove build/

Missing Debian packages are installed first (packages.txt says which); nothing is asked or
fetched when all are there. Read on in README.md, and in HACKING.md to change things.
END
}

verb_build() {
  need_packages build
  release_build
  [[ ! -x build/release/bin/ashlar ]] || note "build/release/bin/ashlar is ready"
}

verb_demo() {
  need_packages demo
  configure release
  build release
  bash tools/demo/demo.sh build/release/bin/ashlar build/demo
}

verb_test() {
  case "${1-}" in
    "") need_packages test; run_stages "sanitized:test_preset debug" ;;
    all) need_packages all
         run_stages "threads:test_preset tsan" "clang:test_preset clang" release:release_build \
           "fuzz:fuzz_all ${ASHLAR_FUZZ_SECONDS:-20}" "tidy:tidy" "format:format --check" ;;
    *) wrong_usage "./do test takes nothing, or: all" ;;
  esac
}

verb_test_kernel() {
  need_packages kernel
  configure release
  build release
  run_stages "kernel:kernel_tests ${1-}"
}

verb_bench() {
  need_packages bench
  configure release
  build release
  build release benches
  bench "$@"
}

verb_sim() {
  need_packages build
  configure release
  build release ashlar_sim
  build/release/bin/ashlar_sim "$@"
}

verb_fuzz() {
  need_packages fuzz
  configure fuzz
  build fuzz fuzzers
  if (($# == 0)); then fuzz_each 20; else fuzz_one "$1" "${2-60}"; fi
}

verb_format() { need_packages format; format "$@"; }
verb_tidy() { tidy; }
verb_clean() { rm -rf build; note "build/ is gone"; }

verb_new() {
  [[ "${1-}" == class && -n "${2-}" ]] || wrong_usage "./do new class NAME"
  python3 tools/new_class/new_class.py "$2"
}

trap 'printf "\n%s\n" "Stopped." >&2; exit 130' INT TERM

verb=${1-help}
(($# == 0)) || shift
case "$verb" in
  help | -h | --help) help ;;
  build | demo | test | bench | sim | fuzz | format | tidy | new | clean) "verb_$verb" "$@" ;;
  test-kernel) verb_test_kernel "$@" ;;
  *) wrong_usage "there is no ./do $verb; ./do alone lists what there is" ;;
esac
