// ashlar_sim: runs seeds until one fails, or all are done. See ./do sim.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <string>

#include "base/assert.h"
#include "sim/run.h"

namespace ashlar::sim {
namespace {

using Seconds = std::chrono::duration<double>;

// What the handler of a failed assertion has to go by.
std::atomic<std::uint64_t> current_seed{0};

void print_bug(const char* condition, const char* file, int line) noexcept {
  const unsigned long long seed = current_seed.load();
  std::fprintf(
      stderr,
      "\nseed %llu ended in a bug: %s does not hold at %s:%d\nreplay     ./do sim --seed %llu\n",
      seed, condition, file, line, seed);
}

struct Arguments {
  std::uint64_t seeds = 1000;
  std::uint64_t first = 1;
  std::uint64_t seed = 0;
  double minutes = 0;
  std::string fault = "none";
  bool arrays = false;
  bool trace = false;
};

// 1234567 -> "1,234,567".
std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, ",");
  return digits;
}

FaultSetting setting_of(const std::string& fault) {
  if (fault == "lost-flush") return FaultSetting::lost_flush;
  if (fault == "misdirect") return FaultSetting::misdirect;
  return FaultSetting::honest;
}

Stacks stacks_of(const Arguments& arguments) {
  return arguments.arrays ? Stacks::with_arrays : Stacks::any;
}

std::string replay(const Arguments& arguments, std::uint64_t seed) {
  const std::string fault = arguments.fault == "none" ? "" : " --fault " + arguments.fault;
  return fmt::format("./do sim --seed {}{}{}", seed, fault, arguments.arrays ? " --arrays" : "");
}

class Campaign {
 public:
  explicit Campaign(const Arguments& arguments) : arguments_(arguments) {}

  // Exit status.
  int run() {
    for (std::uint64_t i = 0; !over(i); ++i) {
      const std::uint64_t seed = arguments_.first + i;
      const RunResult result = one(seed);
      if (result.failure) {
        clear_line();
        report(seed, result);
        return 1;
      }
      if (live_ && elapsed() - shown_ > 0.2) show();
    }
    clear_line();
    fmt::print("{:<10} {}\n", "sim", summary());
    fmt::print("{:<10} {} with an array, {} resyncs; ended dirty and degraded {}, lost {}\n", "",
               grouped(arrays_), grouped(resyncs_), grouped(insisted_), grouped(lost_));
    fmt::print("{:<10} no failure; hash {:016x}\n", "", hash_);
    return 0;
  }

 private:
  bool over(std::uint64_t done) const {
    if (arguments_.minutes > 0) return elapsed() >= arguments_.minutes * 60;
    return done >= arguments_.seeds;
  }

  double elapsed() const { return Seconds(std::chrono::steady_clock::now() - begin_).count(); }

  RunResult one(std::uint64_t seed) {
    current_seed = seed;
    RunResult result = sim::run(
        {.seed = seed, .faults = setting_of(arguments_.fault), .stacks = stacks_of(arguments_)});
    ++done_;
    requests_ += result.requests;
    timed_out_ += result.timed_out;
    cuts_ += result.cuts;
    arrays_ += result.arrays;
    resyncs_ += result.resyncs;
    insisted_ += result.insisted;
    lost_ += result.lost;
    simulated_ns_ += result.simulated_ns;
    hash_ = random_at(hash_, result.hash);
    return result;
  }

  std::string summary() const {
    const double rate = static_cast<double>(done_) / std::max(elapsed(), 1e-9) * 60;
    return fmt::format(
        "{} seeds in {:.1f} s, {} a minute: {} requests, {} timed out, {} power cuts, {:.1f} s "
        "of simulated time",
        grouped(done_), elapsed(), grouped(static_cast<std::uint64_t>(rate)), grouped(requests_),
        grouped(timed_out_), grouped(cuts_), static_cast<double>(simulated_ns_) / 1e9);
  }

  void show() {
    shown_ = elapsed();
    fmt::print("\r\x1b[K{:<10} {}", "sim", summary());
    std::fflush(stdout);
  }
  void clear_line() const {
    if (live_) fmt::print("\r\x1b[K");
  }

  void report(std::uint64_t seed, const RunResult& result) const {
    fmt::print("{:<10} seed {} failed, after {}\n", "sim", seed, summary());
    fmt::print("{:<10} {}\n", "stack", result.stack);
    fmt::print("{:<10} {}\n", "problem", *result.failure);
    fmt::print("{:<10} {}       (every event: --trace)\n", "replay", replay(arguments_, seed));
  }

  const Arguments arguments_;
  const bool live_ = isatty(STDOUT_FILENO) != 0;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  double shown_ = 0;
  std::uint64_t done_ = 0;
  std::uint64_t requests_ = 0;
  std::uint64_t timed_out_ = 0;
  std::uint64_t cuts_ = 0;
  std::uint64_t arrays_ = 0;
  std::uint64_t resyncs_ = 0;
  std::uint64_t insisted_ = 0;
  std::uint64_t lost_ = 0;
  std::uint64_t simulated_ns_ = 0;
  std::uint64_t hash_ = 0;
};

// One seed, with all that is to be known of it.
int replay_one(const Arguments& arguments) {
  current_seed = arguments.seed;
  const RunResult result = run({.seed = arguments.seed,
                                .faults = setting_of(arguments.fault),
                                .stacks = stacks_of(arguments),
                                .sink = arguments.trace ? stdout : nullptr});
  fmt::print("{:<10} {}\n", "seed", arguments.seed);
  fmt::print("{:<10} {}\n", "stack", result.stack);
  fmt::print("{:<10} {} requests, {} power cuts, {:.3f} ms of simulated time\n", "run",
             grouped(result.requests), result.cuts, static_cast<double>(result.simulated_ns) / 1e6);
  fmt::print("{:<10} {:016x} over {} events\n", "trace", result.hash, grouped(result.events));
  fmt::print("{:<10} {}\n", result.failure ? "problem" : "result",
             result.failure ? *result.failure : "no failure");
  return result.failure ? 1 : 0;
}

int main_of(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("Runs stacks over simulated disks, with power cuts, and checks what survives.");
  auto* seeds = app.add_option("--seeds", arguments.seeds, "how many seeds (1000)");
  app.add_option("--first", arguments.first, "the first of them (1)");
  auto* seed = app.add_option("--seed", arguments.seed, "replay this one alone");
  app.add_option("--minutes", arguments.minutes, "run for so long instead")
      ->excludes(seeds)
      ->check(CLI::PositiveNumber);
  app.add_option("--fault", arguments.fault, "disks that do wrong, which must be found out")
      ->check(CLI::IsMember({"none", "lost-flush", "misdirect"}));
  app.add_flag("--arrays", arguments.arrays, "every stack has an array of Linux md in it");
  app.add_flag("--trace", arguments.trace, "with --seed: print every event")->needs(seed);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  set_assert_handler(&print_bug);
  return *seed ? replay_one(arguments) : Campaign(arguments).run();
}

}  // namespace
}  // namespace ashlar::sim

int main(int argc, char** argv) { return ashlar::sim::main_of(argc, argv); }
