// The buffer cache: what a hit and a miss cost, what several threads get, and how often a block is
// there, beside LRU, ARC, the paper's S3-FIFO and the optimum.
//
//   cache_bench [--json FILE] [--quick]
//
// Traces have the shapes of published ones: popularity by Zipf's law, the same with scans through
// blocks that are never asked for again or only by the next scan, and a loop that is larger than
// the cache. The seed is fixed. A miss is a fill by a copy of 4 KiB, beside the copy alone.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <thread>

#include "base/random.h"
#include "bench/cache_policies.h"
#include "bench/stack.h"
#include "bench/tools.h"
#include "cache/buffer_cache.h"

namespace ashlar::bench {
namespace {

constexpr std::uint32_t kBlock = 4096;
constexpr std::uint64_t kBuffers = 4096;

// --- cost
// -----------------------------------------------------------------------------------------

std::unique_ptr<cache::BufferCache> make() {
  return cache::BufferCache::create({kBlock, kBuffers * kBlock, 0, 16}).value();
}

void fill(cache::BufferCache& cache, std::uint64_t block, const std::byte* from) {
  cache::Waiter waiter;
  cache::Get got = cache.get(block, cache::Access::read, waiter);
  if (got.kind != cache::Get::Kind::fill) return;
  std::memcpy(got.pin.edit().data(), from, kBlock);
  cache.filled(got.pin, cache::Access::read, Errc::ok);
}

// Nanoseconds of `count` calls, for each, the median of some rounds.
double cost(bool quick, const std::function<void(std::uint64_t count)>& work) {
  const std::uint64_t count = quick ? 20'000 : 400'000;
  std::vector<double> rounds;
  for (int i = 0; i < (quick ? 3 : 9); ++i) {
    const double begin = thread_ns();
    work(count);
    rounds.push_back((thread_ns() - begin) / static_cast<double>(count));
  }
  return median(rounds);
}

double hit_ns(bool quick) {
  const auto cache = make();
  const std::vector<std::byte> block(kBlock);
  for (std::uint64_t i = 0; i < kBuffers / 2; ++i) fill(*cache, i, block.data());
  Random random(1);
  std::uint64_t sum = 0;
  const double ns = cost(quick, [&](std::uint64_t count) {
    cache::Waiter waiter;
    for (; count > 0; --count) {
      const cache::Get got = cache->get(random.below(kBuffers / 2), cache::Access::read, waiter);
      sum += static_cast<std::uint64_t>(got.pin.bytes()[0]);
    }
  });
  if (sum != 0) fmt::print("{}\n", sum);  // it is zero; the compiler does not know
  return ns;
}

struct MissCost {
  double with_ns;
  double copy_ns;
};

MissCost miss_ns(bool quick) {
  const auto cache = make();
  std::vector<std::byte> device(std::size_t{kBlock} * 64);
  std::vector<std::byte> into(std::size_t{kBlock} * kBuffers);
  std::uint64_t next = 0;
  const double with = cost(quick, [&](std::uint64_t count) {
    for (; count > 0; --count, ++next) fill(*cache, next, device.data() + next % 64 * kBlock);
  });
  const double copy = cost(quick, [&](std::uint64_t count) {
    for (; count > 0; --count, ++next) {
      std::memcpy(into.data() + next % kBuffers * kBlock, device.data() + next % 64 * kBlock,
                  kBlock);
    }
  });
  return {with, copy};
}

// --- hits
// -----------------------------------------------------------------------------------------

class Zipf {
 public:
  Zipf(std::uint64_t count, double exponent) {
    double sum = 0;
    for (std::uint64_t i = 1; i <= count; ++i) {
      sums_.push_back(sum += 1 / std::pow(static_cast<double>(i), exponent));
    }
  }
  std::uint64_t draw(Random& random) const {
    const double at = static_cast<double>(random.next() >> 11) * 0x1p-53 * sums_.back();
    const auto rank = std::lower_bound(sums_.begin(), sums_.end(), at) - sums_.begin();
    return static_cast<std::uint64_t>(rank) * 2654435761u % 1'000'003;  // popular ones apart
  }

 private:
  std::vector<double> sums_;
};

struct NamedTrace {
  std::string name;
  std::vector<std::uint64_t> blocks;
};

constexpr std::uint64_t kPopulation = 100'000;
constexpr std::uint64_t kElsewhere = 10'000'000;  // blocks of scans

NamedTrace zipf_trace(double exponent) {
  Random random(7);
  const Zipf zipf(kPopulation, exponent);
  NamedTrace trace{fmt::format("zipf {:.1f}", exponent), {}};
  for (int i = 0; i < 600'000; ++i) trace.blocks.push_back(zipf.draw(random));
  return trace;
}

// Between 15,000 accesses by Zipf's law each: a scan of `length` blocks, new ones or always the
// same.
NamedTrace scan_trace(std::string name, std::uint64_t length, bool same) {
  Random random(8);
  const Zipf zipf(kPopulation, 1.0);
  NamedTrace trace{std::move(name), {}};
  for (std::uint64_t round = 0; round < 30; ++round) {
    for (int i = 0; i < 15'000; ++i) trace.blocks.push_back(zipf.draw(random));
    for (std::uint64_t i = 0; i < length; ++i) {
      trace.blocks.push_back(kElsewhere + (same ? 0 : round * length) + i);
    }
  }
  return trace;
}

NamedTrace loop_trace() {
  NamedTrace trace{"loop of 12,000", {}};
  for (int round = 0; round < 40; ++round) {
    for (std::uint64_t i = 0; i < 12'000; ++i) trace.blocks.push_back(i);
  }
  return trace;
}

nlohmann::json hits(bool quick) {
  std::vector<NamedTrace> traces;
  for (const double exponent : {0.8, 1.0, 1.2}) traces.push_back(zipf_trace(exponent));
  traces.push_back(scan_trace("zipf 1.0, new scans", 10'000, false));
  traces.push_back(scan_trace("zipf 1.0, the same scan", 20'000, true));
  traces.push_back(loop_trace());
  fmt::print("\n{:<26}{:>8}{:>8}{:>8}{:>10}{:>8}{:>9}\n", "hits, share", "buffers", "LRU", "ARC",
             "S3-FIFO", "ashlar", "optimum");
  nlohmann::json rows = nlohmann::json::array();
  for (NamedTrace& trace : traces) {
    if (quick) trace.blocks.resize(trace.blocks.size() / 10);
    for (const std::uint64_t buffers : {1'000, 10'000}) {
      const nlohmann::json row = {{"trace", trace.name},
                                  {"buffers", buffers},
                                  {"lru", lru_hits(trace.blocks, buffers)},
                                  {"arc", arc_hits(trace.blocks, buffers)},
                                  {"s3_fifo", s3_fifo_hits(trace.blocks, buffers)},
                                  {"ashlar", ashlar_hits(trace.blocks, buffers)},
                                  {"optimum", optimal_hits(trace.blocks, buffers)}};
      fmt::print("{:<26}{:>8}{:>8.3f}{:>8.3f}{:>10.3f}{:>8.3f}{:>9.3f}\n", trace.name, buffers,
                 row["lru"].get<double>(), row["arc"].get<double>(), row["s3_fifo"].get<double>(),
                 row["ashlar"].get<double>(), row["optimum"].get<double>());
      rows.push_back(row);
    }
  }
  return rows;
}

// --- the class -----------------------------------------------------------------------------------

// A read of 4 KiB at a random place, one at a time: of a stack, on this thread.
double read_ns(bool quick, const StackShape& shape) {
  const Stack stack(shape);
  Load load(stack, Bios::pool);
  load.run(quick ? 20'000 : 100'000, 1);  // what fits is there
  return cost(quick, [&](std::uint64_t count) { load.run(count, 1); });
}

nlohmann::json class_costs(bool quick) {
  constexpr std::uint64_t kFits = 16 * kMiB;
  const auto read = [&](const char* layers, const char* disk, std::uint64_t bytes) {
    return read_ns(quick, {.layers = layers, .height = 1, .disk = disk, .disk_bytes = bytes});
  };
  const nlohmann::json row = {{"hit_ns", read("cache", "memory", kFits)},
                              {"memory_ns", read("passthrough", "memory", kFits)},
                              {"miss_ns", read("cache", "null", 64 * kGiB)},
                              {"null_ns", read("passthrough", "null", 64 * kGiB)}};
  fmt::print("a read through the class, a hit     {:>8.1f} ns, of memory itself {:.1f} ns\n",
             row["hit_ns"].get<double>(), row["memory_ns"].get<double>());
  fmt::print("a read through the class, a miss    {:>8.1f} ns, of null itself {:.1f} ns\n",
             row["miss_ns"].get<double>(), row["null_ns"].get<double>());
  return row;
}

int run(const Options& options) {
  const double hit = hit_ns(options.quick);
  const MissCost miss = miss_ns(options.quick);
  fmt::print("a hit, pinned and let go            {:>8.1f} ns\n", hit);
  fmt::print("a miss, filled by a copy            {:>8.1f} ns, the copy alone {:.1f} ns\n",
             miss.with_ns, miss.copy_ns);
  const nlohmann::json results = {{"bench", "cache"},
                                  {"hit_ns", hit},
                                  {"miss_ns", miss.with_ns},
                                  {"copy_ns", miss.copy_ns},
                                  {"class", class_costs(options.quick)},
                                  {"hits", hits(options.quick)}};
  save_json(options.json_path, results);
  return 0;
}

}  // namespace
}  // namespace ashlar::bench

int main(int argc, char** argv) {
  return ashlar::bench::run(ashlar::bench::parse_options(argc, argv));
}
