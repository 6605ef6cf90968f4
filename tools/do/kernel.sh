#!/usr/bin/env bash
# ./do test-kernel: the scripts of test/kernel, each with guests of its own (test/guest/run.sh).

kernel_test_names() { basename -s .sh -a test/kernel/*.sh; }

# kernel_tests [NAME]: one after the other, since a guest takes a processor; counts them.
kernel_tests() {
  local name passed=0 failed=0 skipped=0
  kernel_test_names | grep -qxF "${1-rig}" ||
    wrong_usage "./do test-kernel [NAME]: $(kernel_test_names | xargs)"
  for name in ${1-$(kernel_test_names)}; do
    step kernel "$name"
    local status=0
    ASHLAR="$PWD/build/release/bin/ashlar" bash "test/kernel/$name.sh" < /dev/null || status=$?
    case $status in
      0) ((++passed)) ;;
      77) ((++skipped)) ;;
      *) ((++failed)) ;;
    esac
  done
  tally kernel "$passed" "$failed" "$skipped"
  note "$passed passed, $failed failed, $skipped skipped"
  ((failed == 0))
}
