// Runs a fuzz target without libFuzzer: every seed as it is, then a fixed number of mutations of
// each, drawn from a fixed seed. The same inputs on every machine and with every compiler, so that
// what a fuzz target checks is part of the ordinary tests.
//
//   NAME_replay FOLDER|FILE...          (FILE: one input that libFuzzer found, to debug it)
//
// THREAD: single-threaded. An input that fails ends the program by assert or sanitizer; it is saved
// as "failing-input" in the working directory, ready to be given back as FILE.

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

// Of the sanitizers' runtime; absent in a build without them.
extern "C" [[gnu::weak]] void __sanitizer_set_death_callback(void (*callback)());

namespace {

namespace fs = std::filesystem;
using Input = std::vector<std::uint8_t>;
using Random = std::mt19937_64;

// Mutations of each seed: some seconds per target under the sanitizers, all targets together.
constexpr int kMutationsPerSeed = 200;
// Bytes changed at most in one mutation; tables break with few, and stay near their format.
constexpr std::size_t kMostChanges = 8;

std::size_t below(Random& random, std::size_t bound) {
  return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random);
}

// Values at which formats break: zero, all ones, sign bits, one off.
std::uint8_t interesting_byte(Random& random) {
  constexpr std::uint8_t kValues[] = {0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff};
  return below(random, 2) == 0 ? kValues[below(random, std::size(kValues))]
                               : static_cast<std::uint8_t>(below(random, 256));
}

Input mutate(Input input, Random& random) {
  if (input.empty()) return Input(1 + below(random, 64), interesting_byte(random));
  if (below(random, 8) == 0) input.resize(1 + below(random, input.size()));
  const std::size_t changes = 1 + below(random, kMostChanges);
  for (std::size_t i = 0; i < changes; ++i) {
    const std::size_t at = below(random, input.size());
    const std::size_t run = std::min(1 + below(random, 8), input.size() - at);
    std::fill_n(input.begin() + static_cast<std::ptrdiff_t>(at), run, interesting_byte(random));
  }
  return input;
}

// The input that runs now, for whoever ends the program.
const Input* current_input = nullptr;

void save_current_input() {
  if (current_input == nullptr) return;
  std::FILE* file = std::fopen("failing-input", "wb");
  if (file == nullptr) return;
  std::fwrite(current_input->data(), 1, current_input->size(), file);
  std::fclose(file);
  std::fputs("The input was saved as ./failing-input\n", stderr);
}

void save_input_on_failure() {
  std::signal(SIGABRT, [](int) { save_current_input(); });
  if (__sanitizer_set_death_callback != nullptr) {
    __sanitizer_set_death_callback(save_current_input);
  }
}

void run(const Input& input) {
  current_input = &input;
  LLVMFuzzerTestOneInput(input.data(), input.size());
  current_input = nullptr;
}

Input read_input(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return Input(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
}

std::vector<fs::path> files_below(const fs::path& path) {
  if (!fs::is_directory(path)) return {path};
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

void replay_with_mutations(const fs::path& file) {
  const Input seed = read_input(file);
  std::printf("%s, %zu bytes\n", file.filename().c_str(), seed.size());
  std::fflush(stdout);
  run(seed);
  Random random(seed.size());
  for (int i = 0; i < kMutationsPerSeed; ++i) run(mutate(seed, random));
}

}  // namespace

int main(int argc, char** argv) {
  save_input_on_failure();
  std::size_t seeds = 0;
  for (int i = 1; i < argc; ++i) {
    for (const fs::path& file : files_below(argv[i])) {
      replay_with_mutations(file);
      ++seeds;
    }
  }
  std::printf("%zu seeds, %d mutations of each\n", seeds, kMutationsPerSeed);
  return seeds == 0 ? 1 : 0;
}
