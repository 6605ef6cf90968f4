// Goal: a run is its seed: the same seed gives the same events, bit for bit, whatever else there is
// in the process, and other seeds give other runs. A hundred and twenty fixed seeds find nothing
// wrong; ./do sim takes thousands.
// Method: hashes of whole runs, compared; between two runs of a seed the heap is disturbed, so that
// addresses differ.
#include "sim/run.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace ashlar::sim {
namespace {

TEST(Run, the_same_seed_gives_the_same_events) {
  std::vector<std::unique_ptr<std::byte[]>> disturbance;
  for (std::uint64_t seed = 1; seed <= 15; ++seed) {
    const RunResult first = run({.seed = seed});
    disturbance.push_back(std::make_unique<std::byte[]>(64 + 1000 * seed));
    const RunResult second = run({.seed = seed});
    EXPECT_EQ(first.hash, second.hash) << "seed " << seed << ", " << first.stack;
    EXPECT_EQ(first.events, second.events);
    EXPECT_EQ(first.simulated_ns, second.simulated_ns);
    EXPECT_EQ(first.stack, second.stack);
  }
}

// Every seed another run; both dispatch modes, more than one lane, every class that can be drawn.
TEST(Run, other_seeds_give_other_events_and_reach_everything) {
  constexpr std::uint64_t kSeeds = 60;
  std::set<std::uint64_t> hashes;
  std::string all;
  std::uint64_t cuts = 0;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const RunResult result = run({.seed = seed});
    hashes.insert(result.hash);
    all += result.stack + "\n";
    cuts += result.cuts;
  }
  EXPECT_EQ(hashes.size(), kSeeds);
  EXPECT_GT(cuts, kSeeds);
  for (const char* word : {"direct", "queued", "1 lane", "2 lanes", "stripe(", "mirror(", "concat(",
                           "linear(", "mbr(", "passthrough(", "stats(", "delay(", "write_log("}) {
    EXPECT_NE(all.find(word), std::string::npos) << word;
  }
}

void expect_nothing(std::uint64_t first, std::uint64_t count) {
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const RunResult result = run({.seed = seed});
    ASSERT_FALSE(result.failure) << "seed " << seed << ", " << result.stack << ": "
                                 << *result.failure;
  }
}

TEST(Run, sixty_seeds_find_nothing) { expect_nothing(1001, 60); }
TEST(Run, another_sixty_seeds_find_nothing) { expect_nothing(2001, 60); }

}  // namespace
}  // namespace ashlar::sim
