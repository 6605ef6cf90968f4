#!/usr/bin/env bash
# Goal: an installed Ashlar can be found, compiled against and linked by a project of its own, in
# C++ and in C, with CMake and with pkg-config.
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

quietly cmake -S test/package/c -B "$folder/build-c" -G Ninja -DCMAKE_PREFIX_PATH="$folder/prefix" \
  -DCMAKE_C_COMPILER="$(cached CMAKE_C_COMPILER)" \
  -DCMAKE_C_FLAGS="${sanitizers:+-fsanitize=$sanitizers}"
quietly cmake --build "$folder/build-c"
"$folder/build-c/uses_ashlar_from_c"

pc=$(dirname "$(find "$folder/prefix" -name ashlar.pc)")
flags=$(PKG_CONFIG_PATH=$pc pkg-config --cflags --libs ashlar)
# shellcheck disable=SC2086
quietly "$(cached CMAKE_C_COMPILER)" -std=c11 -Wall -Wextra -pedantic -Werror \
  ${sanitizers:+-fsanitize=$sanitizers} test/package/c/main.c $flags -o "$folder/uses_pkg_config"
"$folder/uses_pkg_config"
[[ -x "$folder/prefix/bin/ashlar" ]]
[[ ! -e "$folder/prefix/include/ashlar/cli" ]]
[[ -e "$folder/prefix/include/ashlar.h" ]]
