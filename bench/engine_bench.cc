// What an engine costs: requests without work (reads of /dev/null) and 4 KiB random reads of a
// cached file, at depth 1 and 32, on each engine, beside fio's io_uring on the same file.
//
//   engine_bench [--json FILE]
//
// Each figure is the median of kRuns runs; wall-clock and CPU time (all threads) per request.
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "bench/fio.h"
#include "program/engine.h"

namespace {

using namespace ashlar;  // NOLINT: a program, not a library

constexpr int kRuns = 5;
constexpr std::size_t kBlockBytes = 4096;
constexpr std::uint64_t kFileBytes = 64 << 20;  // Several times the processor's caches.

struct Cost {
  double wall_ns;  // per request
  double cpu_ns;   // per request
};

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

double cpu_seconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double wall_seconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Keeps `depth` random reads of a file in flight until `left` requests have been started.
class Load {
 public:
  Load(Engine& engine, int fd, std::size_t depth, std::uint64_t blocks)
      : engine_(engine), blocks_(blocks), slots_(depth) {
    for (Slot& slot : slots_) {
      slot.load = this;
      slot.fd = fd;
      slot.length = kBlockBytes;
      slot.data.resize(kBlockBytes);
      slot.segment = {slot.data.data(), kBlockBytes};
      slot.vector = &slot.segment;
      slot.vector_count = 1;
      slot.on_complete = [](EngineRequest& request) {
        Slot& done = static_cast<Slot&>(request);
        done.load->start(done);
      };
    }
  }

  Cost run(std::size_t requests) {
    const double wall = wall_seconds(), cpu = cpu_seconds();
    left_ = requests;
    for (Slot& slot : slots_) start(slot);
    engine_.flush();
    while (engine_.in_flight() > 0) {
      if (engine_.poll() == 0) wait();
      engine_.flush();
    }
    const double count = static_cast<double>(requests);
    return {(wall_seconds() - wall) / count * 1e9, (cpu_seconds() - cpu) / count * 1e9};
  }

 private:
  struct Slot : EngineRequest {
    Load* load = nullptr;
    std::vector<char> data;
    iovec segment{};
  };

  void start(Slot& slot) {
    if (left_ == 0) return;
    --left_;
    slot.offset = random_() % blocks_ * kBlockBytes;
    engine_.submit(slot);
  }

  void wait() const {
    pollfd wanted{engine_.event_fd(), POLLIN, 0};
    ::poll(&wanted, 1, -1);
  }

  Engine& engine_;
  const std::uint64_t blocks_;
  std::vector<Slot> slots_;
  std::size_t left_ = 0;
  std::minstd_rand random_{1};
};

Cost median(std::array<Cost, kRuns> costs) {
  std::ranges::sort(costs, {}, &Cost::wall_ns);
  return costs[kRuns / 2];
}

// A file in the page cache, filled: reads cost a copy and no device. Not in tmpfs, which cannot say
// that a read would wait, so that io_uring hands each one to a worker of the kernel's.
int make_cached_file(std::string& path) {
  path = "/var/tmp/ashlar_engine_bench_XXXXXX";
  const int fd = mkstemp(path.data());
  const std::vector<char> bytes(1 << 20, 'b');
  for (std::uint64_t at = 0; fd >= 0 && at < kFileBytes; at += bytes.size()) {
    if (pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(at)) < 0) return -1;
  }
  return fd;
}

void report(nlohmann::json& all, std::string_view engine, std::string_view work, std::size_t depth,
            const Cost& cost) {
  std::printf("%-10s %-12s %5zu %10.0f %10.0f\n", engine.data(), work.data(), depth, cost.wall_ns,
              cost.cpu_ns);
  all.push_back({{"engine", engine},
                 {"work", work},
                 {"depth", depth},
                 {"wall_ns", cost.wall_ns},
                 {"cpu_ns", cost.cpu_ns}});
}

Cost measure(Engine& engine, int fd, std::size_t depth, std::size_t requests) {
  Load load(engine, fd, depth, kFileBytes / kBlockBytes);
  load.run(requests / 4);  // Starts the threads and warms the caches.
  std::array<Cost, kRuns> costs;
  for (Cost& cost : costs) cost = load.run(requests);
  return median(costs);
}

void measure_engine(EngineChoice choice, int null_fd, int file_fd, nlohmann::json& all) {
  Result<std::unique_ptr<Engine>> engine = make_engine({.choice = choice});
  if (!engine) {
    std::printf("%s\n", engine.error().message.c_str());
    return;
  }
  const std::size_t requests = choice == EngineChoice::io_uring ? 200'000 : 40'000;
  for (const std::size_t depth : {1, 32}) {
    report(all, (*engine)->name(), "nothing", depth, measure(**engine, null_fd, depth, requests));
    report(all, (*engine)->name(), "4 KiB read", depth,
           measure(**engine, file_fd, depth, requests));
  }
}

void measure_peer(const std::string& path, nlohmann::json& all) {
  for (const std::size_t depth : {1, 32}) {
    const auto cost = bench::run_fio({.path = path, .depth = static_cast<unsigned>(depth)});
    if (!cost) {
      std::printf("fio is not installed or failed; not compared\n");
      return;
    }
    report(all, "fio", "4 KiB read", depth, {cost->wall_ns, cost->cpu_ns});
  }
}

}  // namespace

int main(int count, char** words) {
  std::string path;
  const int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int file_fd = make_cached_file(path);
  if (null_fd < 0 || file_fd < 0) {
    std::perror("engine_bench");
    return 1;
  }
  nlohmann::json all = nlohmann::json::array();
  std::printf("%-10s %-12s %5s %10s %10s\n", "engine", "work", "depth", "wall ns", "CPU ns");
  measure_engine(EngineChoice::io_uring, null_fd, file_fd, all);
  measure_engine(EngineChoice::threads, null_fd, file_fd, all);
  measure_peer(path, all);
  unlink(path.c_str());
  if (count == 3 && std::string_view(words[1]) == "--json") std::ofstream(words[2]) << all.dump(2);
  return 0;
}
