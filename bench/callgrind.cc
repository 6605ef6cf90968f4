// Runs a command under callgrind and reads what it says of itself.
#include "bench/callgrind.h"

#include <fmt/core.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace ashlar::bench {
namespace {

double collected(const std::string& command) {
  const std::string whole =
      fmt::format("valgrind --tool=callgrind --callgrind-out-file=/dev/null {} 2>&1", command);
  std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(whole.c_str(), "r"), &pclose);
  if (pipe == nullptr) return 0;
  char line[512];
  double count = 0;
  while (std::fgets(line, sizeof(line), pipe.get()) != nullptr) {
    const char* found = std::strstr(line, "Collected :");
    if (found != nullptr) count = std::strtod(found + 11, nullptr);
  }
  return count;
}

}  // namespace

double instructions_per_request(const std::function<std::string(std::uint64_t)>& command) {
  // Multiples of any batch a benchmark makes.
  constexpr std::uint64_t kFew = 1'024, kMany = 11'264;
  const double few = collected(command(kFew)), many = collected(command(kMany));
  return few == 0 || many == 0 ? 0 : (many - few) / static_cast<double>(kMany - kFew);
}

}  // namespace ashlar::bench
