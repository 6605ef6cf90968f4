#!/usr/bin/env bash
# Goal: what ./do new class writes builds without a warning, passes its test and the conformance
# suite, and is tidy.
# Method: a copy of the sources gets a class; its files, the new list and the suite's tests are
# compiled as the build under test compiles the list, linked before that build's libraries, and run.
# Tidy and clang-format (where there is one) look at the copy. Wrong names and a second time are
# refused.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

wrong() { echo "wrong: $1"; exit 1; }

# compile_as_list FILE OBJECT: with the build's own command for src/class/list.cc.
compile_as_list() {
  python3 - "$ASHLAR_BUILD_DIR/compile_commands.json" "$@" <<'END'
import json, shlex, subprocess, sys
database, file, output = sys.argv[1:]
entry = next(e for e in json.load(open(database)) if e["file"].endswith("/src/class/list.cc"))
words = shlex.split(entry["command"])
caches = [at for at, word in enumerate(words) if word.endswith("/ccache")]
words = words[caches[0] + 1 if caches else 0 : words.index("-o")]
words += ["-I" + file[: file.index("/tree/") + 5], "-o", output, "-c", file]
sys.exit(subprocess.run(words, cwd=entry["directory"]).returncode)
END
}

mkdir "$folder/tree"
cp -r src test tools cmake do .clang-format "$folder/tree"
rm -rf "$folder/tree/.git"
python3 tools/new_class/new_class.py two_words "$folder/tree" > /dev/null
python3 tools/new_class/new_class.py two_words "$folder/tree" 2> /dev/null && wrong "written twice"
python3 tools/new_class/new_class.py '../Up' "$folder/tree" 2> /dev/null && wrong "a wrong name"

violations=$(python3 tools/tidy/tidy.py "$folder/tree" | grep two_words || true)
[[ -z "$violations" ]] || wrong "$violations"
new=("$folder"/tree/src/class/{list,two_words/two_words,two_words/two_words_test}.cc)
if command -v clang-format-14 > /dev/null; then clang-format-14 --dry-run -Werror "${new[@]}"; fi

objects=()
for file in "${new[@]}" "$folder"/tree/test/conformance_{test,hints}.cc; do
  objects+=("$folder/$(basename "$file").o")
  compile_as_list "$file" "${objects[-1]}"
done
cached() { sed -n "s/^$1:[A-Z]*=//p" "$ASHLAR_BUILD_DIR/CMakeCache.txt"; }
sanitizers=$(cached ASHLAR_SANITIZE)
"$(cached CMAKE_CXX_COMPILER)" ${sanitizers:+-fsanitize=$sanitizers} "${objects[@]}" \
  "$ASHLAR_BUILD_DIR"/libashlar{_conformance,}.a -o "$folder/tests" -lgtest_main -lgtest -lfmt \
  -luring -lisal -lcrypto -ltomlplusplus -lpthread
aspects=$("$folder/tests" --gtest_list_tests --gtest_filter='*/two_words_*' | grep -c two_words_)
((aspects >= 10)) || wrong "only $aspects aspects of the suite ask the new class"
"$folder/tests" --gtest_brief=1 --gtest_filter='*TwoWords*:*/two_words_*'
