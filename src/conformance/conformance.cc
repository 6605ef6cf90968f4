// The aspects, and the grounds on which each is asked.
#include "conformance/conformance.h"

#include <algorithm>
#include <array>

#include "conformance/aspects.h"

namespace ashlar::conformance {
namespace {

constexpr std::array kAspects = {
    Aspect{"facts", "what it says of itself fits together", &check_facts},
    Aspect{"policies", "each operation does what its policy says", &check_policies},
    Aspect{"sizes", "the shortest and the longest request", &check_sizes},
    Aspect{"refusals", "what does not fit is refused, and reaches no disk", &check_refusals},
    Aspect{"borders", "requests at every border of the layout move the right bytes",
           &check_borders},
    Aspect{"locate", "a byte is where the class says that it is", &check_locate},
    Aspect{"bytes", "many requests at once, against a model", &check_bytes},
    Aspect{"flush", "what was flushed survives a power cut", &check_flush},
    Aspect{"fua", "what was written with FUA survives a power cut", &check_fua},
    Aspect{"errors", "an error of any request below is reported or made good", &check_errors},
    Aspect{"cancel", "a request can be cancelled wherever it is", &check_cancel},
    Aspect{"close", "what is under way ends when the device is closed or replaced", &check_close},
    Aspect{"orphan", "any disk may go away", &check_orphan},
    Aspect{"resize", "disks may grow and shrink", &check_resize},
    Aspect{"shortage", "requests go on when memory is exhausted", &check_shortage},
    Aspect{"unmapped", "payloads need be mapped only where it says so", &check_unmapped},
    Aspect{"lanes", "two lanes at once", &check_lanes},
    Aspect{"taste", "it recognises its own, and nothing else", &check_taste},
};

std::vector<std::uint32_t> disk_counts(const ClassFacts& facts, const Options& options) {
  if (!options.disks.empty()) return options.disks;
  const std::uint32_t few = std::min(std::max(facts.min_consumers, 1u), facts.max_consumers);
  const std::uint32_t more = std::min(std::max(facts.min_consumers, 3u), facts.max_consumers);
  return few == more ? std::vector{few} : std::vector{few, more};
}

std::string disks_text(std::uint32_t count) {
  if (count == 0) return "a leaf";
  return count == 1 ? "over 1 disk" : fmt::format("over {} disks", count);
}

Ground ground_with(std::uint32_t disks, const char* what, const Limits& limits) {
  return {disks_text(disks) + what, disks, false, limits};
}

std::vector<Ground> grounds(const ClassFacts& facts, const Options& options) {
  std::vector<Ground> all;
  for (const std::uint32_t count : disk_counts(facts, options)) {
    all.push_back({disks_text(count), count, true, {}});
  }
  const std::uint32_t most = all.back().disks;
  if (most == 0) return all;
  Limits coarse;
  coarse.block_bytes = 4096;
  coarse.max_request_bytes = 16 * kKiB;
  coarse.max_range_bytes = 64 * kKiB;
  all.push_back(ground_with(most, " with blocks of 4 KiB, 16 KiB a request", coarse));
  Limits poor;
  poor.ops = OpSet().with(Op::read).with(Op::write).with(Op::flush);
  all.push_back(ground_with(most, " that read, write and flush only", poor));
  return all;
}

}  // namespace

std::span<const Aspect> aspects() { return kAspects; }

std::vector<std::string> run(const ClassInfo& info, const Aspect& aspect, const Options& options) {
  std::vector<std::string> wrong;
  for (const Ground& ground : grounds(*info.facts, options)) {
    for (const Dispatch dispatch : options.dispatch) {
      aspect.check(Trial{info, options, ground, dispatch, wrong});
      if (!wrong.empty()) return wrong;
    }
  }
  return wrong;
}

std::vector<std::string> run(const ClassInfo& info, const Options& options) {
  std::vector<std::string> wrong;
  for (const Aspect& aspect : aspects()) {
    for (const std::string& each : run(info, aspect, options)) {
      wrong.push_back(fmt::format("{}: {}", aspect.name, each));
    }
  }
  return wrong;
}

}  // namespace ashlar::conformance
