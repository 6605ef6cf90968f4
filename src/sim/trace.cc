// The hash of a run: each word is stirred in, so that order counts.
#include "sim/trace.h"

#include <fmt/format.h>

#include <string>

#include "base/random.h"

namespace ashlar::sim {

void Trace::mix(std::uint64_t word) noexcept { hash_ = random_at(hash_, word); }

void Trace::event(std::uint64_t now_ns, std::string_view what,
                  std::initializer_list<std::uint64_t> numbers) {
  ++events_;
  mix(now_ns);
  for (const char letter : what) mix(static_cast<unsigned char>(letter));
  for (const std::uint64_t each : numbers) mix(each);
  if (sink_ == nullptr) return;
  std::string line = fmt::format("{:>12} {:<12}", now_ns, what);
  for (const std::uint64_t each : numbers) line += fmt::format(" {}", each);
  std::fprintf(sink_, "%s\n", line.c_str());
}

}  // namespace ashlar::sim
