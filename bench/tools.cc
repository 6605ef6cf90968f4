// Arguments, clocks, medians, results.
#include "bench/tools.h"

#include <fmt/core.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>

namespace ashlar::bench {
namespace {

double now_ns(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

[[noreturn]] void say_usage(const std::string& self) {
  fmt::print(stderr, "usage: {} [--json FILE] [--quick]\n", self);
  std::exit(2);
}

}  // namespace

Options parse_options(int argc, char** argv) {
  const std::vector<std::string> words(argv, argv + argc);
  Options options{.self = words[0]};
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::size_t left = words.size() - i - 1;
    if (words[i] == "--quick") {
      options.quick = true;
    } else if (words[i] == "--json" && left >= 1) {
      options.json_path = words[++i];
    } else if (words[i] == "--count" && left >= 2) {
      options.count = words[++i];
      options.requests = std::strtoull(words[++i].c_str(), nullptr, 10);
    } else {
      say_usage(options.self);
    }
  }
  return options;
}

void save_json(const std::string& path, const nlohmann::json& results) {
  if (path.empty()) return;
  std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "w"), &std::fclose);
  if (file == nullptr || std::fputs((results.dump(2) + "\n").c_str(), file.get()) < 0) {
    fmt::print(stderr, "{}: cannot be written\n", path);
    std::exit(1);
  }
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double thread_ns() { return now_ns(CLOCK_THREAD_CPUTIME_ID); }
double wall_ns() { return now_ns(CLOCK_MONOTONIC); }

}  // namespace ashlar::bench
