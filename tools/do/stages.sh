#!/usr/bin/env bash
# The parts that the verbs of ./do are made of: configure, build, test, fuzz, format, and stages.

# configure PRESET: quiet, and complete where it fails.
configure() {
  mkdir -p "build/$1"
  cmake --preset "$1" > "build/$1/configure.log" 2>&1 && return
  cat "build/$1/configure.log" >&2
  fail "CMake could not configure the preset $1."
}

# build PRESET [TARGET]
build() {
  local begin=$SECONDS quiet=(--quiet)
  [[ ! -t 1 ]] || quiet=()
  step build "$1${2:+, $2}"
  NINJA_STATUS='           [%f/%t] ' ninja -C "build/$1" -j "$jobs" "${quiet[@]}" ${2:+"$2"} ||
    fail "The build of $1 failed."
  note "${dim}$(duration $((SECONDS - begin)))${plain}"
}

# Where each stage says what it counted; .ci/run names a file, to sum up more than one run.
results=${ASHLAR_RESULTS:-build/results.tsv}

# tally NAME PASSED FAILED SKIPPED
tally() { printf '%s\t%s\t%s\t%s\n' "$@" >> "$results"; }

# test_preset PRESET: builds it and runs everything that ctest knows.
test_preset() {
  local passed failed skipped status=0
  configure "$1"
  build "$1"
  step test "$1"
  rm -rf "build/$1/test-results" "build/$1/ctest.xml"
  mkdir -p "build/$1/test-results"
  # One more than there are cores: some tests wait for others' processes.
  without_address_randomization "$1" ctest --preset "$1" -j $((jobs + 1)) \
    --output-junit "$PWD/build/$1/ctest.xml" < /dev/null || status=1
  read -r passed failed skipped < <(python3 tools/test/count_results.py "build/$1")
  ((status == 0 || failed > 0)) || failed=1
  tally "$1" "$passed" "$failed" "$skipped"
  note "$passed passed, $failed failed, $skipped skipped"
  ((failed == 0))
}

# What a user builds: the optimiser warns of other things than the builds for tests.
release_build() {
  configure release
  build release
}

# ThreadSanitizer of g++ 12 cannot place its shadow where the kernel spreads addresses over more
# than 28 bits; a process may ask not to be spread.
without_address_randomization() {
  local preset=$1 bits
  shift
  bits=$(cat /proc/sys/vm/mmap_rnd_bits 2>/dev/null || echo 28)
  if [[ "$preset" == tsan ]] && ((bits > 28)) && setarch -R true 2>/dev/null; then
    setarch -R "$@"
  else
    "$@"
  fi
}

fuzz_names() { basename -s _fuzz.cc -a fuzz/*_fuzz.cc 2>/dev/null | grep -v '^\*$' || true; }

# fuzz_all SECONDS: builds the targets and runs each for a while, from its seeds.
fuzz_all() {
  configure fuzz
  build fuzz fuzzers
  fuzz_each "$1"
}

fuzz_each() {
  local name failed=0 passed=0
  for name in $(fuzz_names); do
    if fuzz_one "$name" "$1"; then ((++passed)); else ((++failed)); fi
  done
  tally fuzz "$passed" "$failed" 0
  ((failed == 0))
}

# fuzz_one NAME SECONDS: new inputs are kept in build/fuzz/corpus, what breaks in build/fuzz/found.
fuzz_one() {
  local program="build/fuzz/bin/$1_fuzz" found="build/fuzz/found/$1" log="build/fuzz/$1.log"
  [[ -x "$program" ]] || wrong_usage "./do fuzz [NAME [SECONDS]]; names: $(fuzz_names | xargs)"
  step fuzz "$1 for $2 s"
  mkdir -p "build/fuzz/corpus/$1" "$found"
  local folders=("build/fuzz/corpus/$1")
  [[ ! -d "fuzz/corpus/$1" ]] || folders+=("fuzz/corpus/$1")
  if "$program" -max_total_time="$2" -timeout=20 -rss_limit_mb=4096 -artifact_prefix="$found/" \
    -print_final_stats=1 "${folders[@]}" > "$log" 2>&1 < /dev/null; then
    note "$(awk '/number_of_executed_units/ {n = $2} /average_exec_per_sec/ {r = $2}
      END {print n " inputs, " r " a second"}' "$log")"
  else
    tail -n 40 "$log" >&2
    note "${red}broken${plain}: the input is in $found; again with $program FILE"
    return 1
  fi
}

bench_names() { basename -s _bench.cc -a bench/*_bench.cc; printf '%s\n' nbd report; }

# bench [NAME | report [OPTION...]]: one benchmark, or the report of all; JSON goes to build/bench.
bench() {
  local name=${1-report}
  mkdir -p build/bench
  bench_names | grep -qxF "$name" ||
    wrong_usage "./do bench [NAME | report [--docs]]: $(bench_names | xargs)"
  (($# <= 1)) || [[ "$name" == report ]] || wrong_usage "./do bench $name takes nothing more"
  step bench "$name"
  run_bench "$name" --json "build/bench/$name.json" "${@:2}" || fail "The benchmark $name failed."
}

run_bench() {
  local name=$1 bin=build/release/bin
  shift
  case "$name" in
    nbd) python3 bench/nbd/run.py --ashlar "$bin/ashlar" --lean "$bin/nbd_lean" "$@" ;;
    report) python3 -B bench/report.py "$@" ;;
    *) "$bin/${name}_bench" "$@" ;;
  esac
}

# format [--check]: clang-format 14, over everything that is ours.
format() {
  local tool files folders=(src test bench fuzz)
  tool=$(command -v clang-format-14 || command -v clang-format) || fail "clang-format is missing."
  mapfile -t files < <(find "${folders[@]}" -name '*.cc' -o -name '*.h' 2>/dev/null | sort)
  case "${1-}" in
    "") "$tool" -i "${files[@]}" ;;
    --check) "$tool" --dry-run -Werror "${files[@]}" ;;
    *) wrong_usage "./do format [--check]" ;;
  esac
}

tidy() { python3 tools/tidy/tidy.py; }

# run_stages NAME:COMMAND...: every stage, also after one failed; then one line for each.
run_stages() {
  local stage name begin status before failed=0 lines=()
  mkdir -p build
  [[ -n "${ASHLAR_RESULTS-}" ]] || : > "$results"
  for stage in "$@"; do
    name=${stage%%:*} begin=$SECONDS status=0 before=$(wc -l < "$results")
    # In a shell of its own, so that a stage that ends early does not end the others.
    (${stage#*:}) || status=$?
    ((status < 128)) || exit "$status"
    # A stage that counts nothing itself (tidy), or broke before it could, counts as one.
    (($(wc -l < "$results") > before)) || tally "$name" $((status == 0)) $((status != 0)) 0
    local verdict="${green}passed${plain}"
    ((status == 0)) || { verdict="${red}failed${plain}"; ((++failed)); }
    lines+=("$(printf '%-10s %s  %s' "$name" "$verdict" "$(duration $((SECONDS - begin)))")")
  done
  printf '\n'
  printf '%s\n' "${lines[@]}"
  ((failed == 0))
}
