// What a second core brings: two lanes on two cores over the same memory disk, against one lane.
//
//   lanes_bench [--json FILE] [--quick]
//
// Each lane is a thread pinned to a core of its own and reads 4 KiB at random offsets, 32 at a
// time, as many in every run. Over a memory disk alone, and over the stack that stands for real
// ones (stats, gpt, stripe of 4, mirrors of 2, 8 memory disks). Beside them the same reads as bare
// copies without anything of Ashlar: what the machine's cores and memory allow.
//
// Method: rounds of one lane on the first core, one lane on the second, and both; the figure is the
// median over the rounds of (requests of both / time of both) / (the mean of the two alone). The
// same from the threads' processor time says whether the lanes are in each other's way even where
// others use the machine.
#include <fmt/core.h>
#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "bench/stack.h"
#include "bench/tools.h"

namespace ashlar::bench {
namespace {

constexpr std::uint64_t kDiskBytes = 16 * kMiB;  // the copies are measured, not the memory's bus
constexpr unsigned kDepth = 32;

using Work = std::function<void()>;
using MakeWork = std::function<Work(std::uint64_t seed)>;  // called in the thread that will work

std::vector<int> usable_cores() {
  cpu_set_t set;
  sched_getaffinity(0, sizeof(set), &set);
  std::vector<int> cores;
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(i, &set)) cores.push_back(i);
  }
  return cores;
}

// A thread on one core that does its work whenever it is told to.
class Pinned {
 public:
  Pinned(int core, std::uint64_t seed, const MakeWork& make_work)
      : thread_([this, core, seed, make_work] { main(core, seed, make_work); }) {
    while (finished_.load() != 1) std::this_thread::yield();
  }
  ~Pinned() {
    go_.store(kStop);
    go_.notify_one();
    thread_.join();
  }
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;

  void begin() {
    go_.fetch_add(1);
    go_.notify_one();
  }
  void wait_for_end() {
    for (std::uint64_t seen = finished_.load(); seen != go_.load() + 1; seen = finished_.load()) {
      finished_.wait(seen);
    }
  }
  double spent_ns() const { return spent_ns_; }

 private:
  static constexpr std::uint64_t kStop = ~std::uint64_t{0};

  void main(int core, std::uint64_t seed, const MakeWork& make_work) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set) != 0) std::abort();
    const Work work = make_work(seed);
    work();
    finished_.store(1);
    for (std::uint64_t turn = 0;; ++turn) {
      go_.wait(turn);
      if (go_.load() == kStop) return;
      const double before = thread_ns();
      work();
      spent_ns_ = thread_ns() - before;
      finished_.fetch_add(1);
      finished_.notify_one();
    }
  }

  std::atomic<std::uint64_t> go_{0};        // turns begun
  std::atomic<std::uint64_t> finished_{0};  // turns ended, and the first run
  double spent_ns_ = 0;
  std::thread thread_;
};

struct Turn {
  double wall_ns = 0;
  double processor_ns = 0;  // of all threads
};

Turn take_turn(const std::vector<Pinned*>& threads) {
  const double begin = wall_ns();
  for (Pinned* each : threads) each->begin();
  for (Pinned* each : threads) each->wait_for_end();
  Turn turn{wall_ns() - begin, 0};
  for (const Pinned* each : threads) turn.processor_ns += each->spent_ns();
  return turn;
}

struct Figure {
  std::string what;
  double one_ns = 0;           // a request of one lane
  double wall_ratio = 0;       // rate of two lanes to that of one
  double processor_ratio = 0;  // the same, were each alone on its core
};

Figure measure(const std::string& what, const std::vector<int>& cores, int rounds,
               std::uint64_t requests, const MakeWork& make_work) {
  Pinned first(cores[0], 1, make_work), second(cores[1], 2, make_work);
  std::vector<double> one, wall, processor;
  for (int round = 0; round < rounds; ++round) {
    const Turn left = take_turn({&first}), both = take_turn({&first, &second}),
               right = take_turn({&second});
    one.push_back((left.wall_ns + right.wall_ns) / 2 / static_cast<double>(requests));
    wall.push_back((left.wall_ns + right.wall_ns) / both.wall_ns);
    processor.push_back(2 * (left.processor_ns + right.processor_ns) / both.processor_ns);
  }
  const Figure figure{what, median(one), median(wall), median(processor)};
  fmt::print("{:<28} {:>10.1f} {:>12.2f} {:>18.2f}\n", what, figure.one_ns, figure.wall_ratio,
             figure.processor_ratio);
  return figure;
}

MakeWork lane_over(const Stack& stack, std::uint64_t requests) {
  return [&stack, requests](std::uint64_t seed) -> Work {
    auto load = std::make_shared<Load>(stack, Bios::pool, seed);
    return [load, requests] { load->run(requests, kDepth); };
  };
}

// The same copies from plain memory.
MakeWork bare_copies(const std::vector<std::byte>& memory, std::uint64_t requests) {
  return [&memory, requests](std::uint64_t seed) -> Work {
    return [&memory, requests, seed, target = std::vector<std::byte>(kRequestBytes)]() mutable {
      Random random(seed);
      for (std::uint64_t i = 0; i < requests; ++i) {
        std::memcpy(target.data(),
                    memory.data() + random.below(memory.size() / kRequestBytes) * kRequestBytes,
                    kRequestBytes);
        asm volatile("" : : "r"(target.data()) : "memory");  // the copy is needed
      }
    };
  };
}

int run(const Options& options) {
  const std::vector<int> cores = usable_cores();
  if (cores.size() < 2) {
    fmt::print("one core only: nothing to compare\n");
    save_json(options.json_path, {{"figures", nlohmann::json::array()}});
    return 0;
  }
  const int rounds = options.quick ? 5 : 31;
  const std::uint64_t requests = options.quick ? 64'000 : 320'000;
  const Stack disk({.layers = "passthrough", .disk = "memory", .disk_bytes = kDiskBytes});
  const Stack mixed({.layers = "mixed", .disk = "memory", .disk_bytes = kDiskBytes / 8});
  for (const Stack* each : {&disk, &mixed}) Load(*each, Bios::pool, 1, true).fill();
  const std::vector<std::byte> memory(kDiskBytes, std::byte{1});

  fmt::print("{:<28} {:>10} {:>12} {:>18}\n", "reads of 4 KiB", "one, ns", "two to one",
             "by processor time");
  nlohmann::json rows = nlohmann::json::array();
  const auto add = [&](const std::string& what, const MakeWork& make_work) {
    const Figure figure = measure(what, cores, rounds, requests, make_work);
    rows.push_back({{"what", figure.what},
                    {"one_lane_ns", figure.one_ns},
                    {"two_to_one", figure.wall_ratio},
                    {"two_to_one_by_processor_time", figure.processor_ratio}});
  };
  add("bare copies", bare_copies(memory, requests));
  add("memory", lane_over(disk, requests));
  add("mixed over memory", lane_over(mixed, requests));
  save_json(options.json_path, {{"figures", rows}});
  return 0;
}

}  // namespace
}  // namespace ashlar::bench

int main(int argc, char** argv) {
  return ashlar::bench::run(ashlar::bench::parse_options(argc, argv));
}
