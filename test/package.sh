#!/usr/bin/env bash
# Goal: an installed Ashlar can be found, compiled against and linked by a project of its own, in
# C++ and in C, with CMake and with pkg-config; a class from outside the tree passes the conformance
# suite, and is served.
# Method: install the build under test into a folder, build test/package and examples/rot13 against
# nothing but that folder, with the compiler and the sanitizers of that build, and run what came
# out. What the server gives to real clients is compared with tr(1). Clients that are not there are
# left out, and said so.
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[[ -z "$server" ]] || kill "$server" 2> /dev/null; rm -rf "$folder"' EXIT

cached() { sed -n "s/^$1:[A-Z]*=//p" "$ASHLAR_BUILD_DIR/CMakeCache.txt"; }
sanitizers=$(cached ASHLAR_SANITIZE)

quietly() { "$@" > "$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }; }
# build_project SOURCES BUILD
build_project() {
  quietly cmake -S "$1" -B "$2" -G Ninja -DCMAKE_PREFIX_PATH="$folder/prefix" \
    -DCMAKE_CXX_COMPILER="$(cached CMAKE_CXX_COMPILER)" \
    -DCMAKE_CXX_FLAGS="${sanitizers:+-fsanitize=$sanitizers}"
  quietly cmake --build "$2"
}

quietly cmake --install "$ASHLAR_BUILD_DIR" --prefix "$folder/prefix"
build_project test/package "$folder/build"
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

# A copy, so that nothing of the tree is in reach.
cp -r examples/rot13 "$folder/rot13"
build_project "$folder/rot13" "$folder/rot13/build"
"$folder/rot13/build/rot13_conformance"

for i in $(seq 4096); do printf 'Line %6d: The quick brown fox.\n' "$i"; done > "$folder/text"
truncate -s 160K "$folder/text"
tr 'A-Za-z' 'N-ZA-Mn-za-m' < "$folder/text" > "$folder/wanted"
mkfifo "$folder/stay"
"$folder/rot13/build/rot13_serve" "$folder/text" "unix:$folder/socket" \
  < "$folder/stay" > "$folder/uri" 2> "$folder/log" &
server=$!
exec 3> "$folder/stay"
for _ in $(seq 600); do
  [[ ! -s "$folder/uri" ]] || break
  kill -0 "$server" 2> /dev/null || { cat "$folder/log"; exit 1; }
  sleep 0.1
done
uri=$(< "$folder/uri")

# same_bytes CLIENT COMMAND...: the command leaves what it read in $folder/got.
same_bytes() {
  command -v "$1" > /dev/null || { echo "$1 is not here: left out"; return; }
  rm -f "$folder/got"
  quietly "$@"
  cmp "$folder/wanted" "$folder/got"
  echo "$1 reads what tr writes"
}
same_bytes nbdcopy "$uri" "$folder/got"
same_bytes qemu-img convert -f raw -O raw "$uri" "$folder/got"

# The end of its input ends it, and nothing is left open or lost.
exec 3>&-
wait "$server" || { cat "$folder/log"; exit 1; }
server=
