#!/usr/bin/env bash
# Goal: an installed Ashlar can be found, compiled against and linked by a project of its own.
# Method: install the build under test into a folder, build test/package against nothing but that
# folder, with the compiler and the sanitizers of that build, and run what came out.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cached() { sed -n "s/^$1:[A-Z]*=//p" "$ASHLAR_BUILD_DIR/CMakeCache.txt"; }
sanitizers=$(cached ASHLAR_SANITIZE)

quietly() { "$@" > "$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }; }
quietly cmake --install "$ASHLAR_BUILD_DIR" --prefix "$folder/prefix"
quietly cmake -S test/package -B "$folder/build" -G Ninja -DCMAKE_PREFIX_PATH="$folder/prefix" \
  -DCMAKE_CXX_COMPILER="$(cached CMAKE_CXX_COMPILER)" \
  -DCMAKE_CXX_FLAGS="${sanitizers:+-fsanitize=$sanitizers}"
quietly cmake --build "$folder/build"
"$folder/build/uses_ashlar"
[[ -x "$folder/prefix/bin/ashlar" ]]
[[ ! -e "$folder/prefix/include/ashlar/cli" ]]
