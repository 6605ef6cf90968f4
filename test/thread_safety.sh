#!/usr/bin/env bash
# Goal: data that is touched without its lock does not compile, wherever clang builds.
# Method: clang looks at a file that holds the lock and at one that does not, with the option that
# the build has; and the build's file says that it has it, as an error.
set -euo pipefail
clang=$(command -v clang++-14 || command -v clang++) || { echo "clang is not here"; exit 77; }

if ! grep -q -- '-Werror=thread-safety' cmake/compiler.cmake; then
  echo "the build does not ask for it"
  exit 1
fi
look() {
  "$clang" -std=c++20 -fsyntax-only -Isrc -DASHLAR_WITNESS=0 -Wthread-safety \
    -Werror=thread-safety "test/thread_safety/$1.cc" 2>&1
}
look good
if said=$(look bad); then
  echo "a counter without its lock was accepted"
  exit 1
fi
grep -q "requires holding mutex 'mutex_'" <<< "$said"
