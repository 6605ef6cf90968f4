// What the data path costs: 4 KiB random reads over `null`, on one thread, with towers of map
// layers and of passthrough steps, in direct and in queued dispatch.
//
//   path_bench [--json FILE] [--quick]      measure; a table on stdout
//   path_bench --count STACK HEIGHT N       only run N requests (for counting instructions)
//
// Method: each figure is the median of several runs in this process; the stacks take turns within a
// round, so that a noisy machine is noisy for all of them. A request is what a caller does for one:
// allocate a bio, fill it, submit it, see its end, release it. A naive loop (bench/naive_path.h)
// takes its turns among them, as a yardstick for the machine of the moment. Instructions are
// counted by valgrind's callgrind where it is installed, as the difference of two runs of different
// length.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "bench/callgrind.h"
#include "bench/heap_count.h"
#include "bench/naive_path.h"
#include "class/list.h"
#include "program/channel.h"
#include "program/compiler.h"
#include "topology/topology.h"

namespace ashlar {
namespace {

constexpr std::uint64_t kDeviceBytes = 64 * kGiB;
constexpr std::uint64_t kRequestBytes = 4096;
constexpr std::uint32_t kOffsets = 4096;  // precomputed, so that the generator is not measured

struct Stack {
  std::string kind;  // "map" or "passthrough"
  int height;
  Dispatch dispatch = Dispatch::direct;
};

// A device, opened, with everything it stands on.
class Bed {
 public:
  explicit Bed(const Stack& stack) : lane_(Lane::create({}).value()) {
    Provider* top =
        add("null", "disk", nullptr, {{"size", std::to_string(kDeviceBytes)}, {"zero", "false"}});
    for (int i = 0; i < stack.height; ++i) {
      ParameterTexts parameters;
      if (stack.kind == "linear") {
        parameters["offset"] = std::to_string(kMiB);
        parameters["length"] = std::to_string(top->size_bytes - kMiB);
      }
      top = add(stack.kind, stack.kind + std::to_string(i), top, parameters);
    }
    program_ = compile(*top, {.dispatch = stack.dispatch}).value();
    channel_ = Channel::open(*lane_, *program_, {}).value();
    std::uint64_t state = 88172645463325252u;
    for (std::uint32_t i = 0; i < kOffsets; ++i) {
      state ^= state << 13, state ^= state >> 7, state ^= state << 17;
      offsets_.push_back(state % (top->size_bytes / kRequestBytes) * kRequestBytes);
    }
  }

  const Program& program() const { return *program_; }

  // `count` requests, `depth` at a time.
  void run(std::uint64_t count, unsigned depth) {
    std::vector<Bio*> batch(depth);
    for (std::uint64_t i = 0; i < count; i += depth) {
      left_ = depth;
      for (unsigned k = 0; k < depth; ++k) {
        Bio* bio = channel_->allocate();
        bio->op = Op::read;
        bio->flags = 0;
        bio->offset = offsets_[(i + k) % kOffsets];
        bio->length = kRequestBytes;
        bio->payload = Payload{&segment_, 1, 0};
        bio->user = this;
        bio->end_io = &ended;
        batch[k] = bio;
        channel_->submit(*bio);
      }
      while (left_ > 0) lane_->wait(-1);
      for (Bio* bio : batch) {
        if (!bio->ok()) std::abort();
        channel_->release(*bio);
      }
    }
  }

 private:
  static void ended(Bio& bio) noexcept { --static_cast<Bed*>(bio.user)->left_; }

  Provider* add(std::string_view class_name, std::string name, Provider* over,
                ParameterTexts parameters) {
    const ClassInfo* info = find_builtin_class(class_name);
    std::vector<Provider*> below;
    if (over != nullptr) below.push_back(over);
    Geom* geom = topology_.create(*info, {std::move(name), below, std::move(parameters)}).value();
    return geom->providers().front().get();
  }

  Topology topology_;
  std::unique_ptr<Lane> lane_;
  std::unique_ptr<Program> program_;
  std::unique_ptr<Channel> channel_;
  std::vector<std::uint64_t> offsets_;
  std::vector<std::byte> buffer_{kRequestBytes};
  Segment segment_{buffer_.data(), buffer_.size()};
  unsigned left_ = 0;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double time_ns(Bed& bed, std::uint64_t count, unsigned depth) {
  const auto begin = std::chrono::steady_clock::now();
  bed.run(count, depth);
  const std::chrono::duration<double, std::nano> spent = std::chrono::steady_clock::now() - begin;
  return spent.count() / static_cast<double>(count);
}

// Instructions per request by callgrind, or 0 where valgrind is not there.
double count_instructions(const std::string& self, const Stack& stack) {
  return bench::instructions_per_request([&](std::uint64_t requests) {
    return fmt::format("{} --count {} {} {}", self, stack.kind, stack.height, requests);
  });
}

struct Figure {
  Stack stack;
  double ns_depth_1 = 0;
  double ns_depth_32 = 0;
  double instructions = 0;
  double allocations = 0;
  std::size_t steps = 0;
  std::uint32_t frame_bytes = 0;
};

// What the naive loop takes: over nothing, and for each layer.
struct Naive {
  double empty_ns = 0;
  double layer_ns = 0;
};

std::vector<Figure> measure(const std::vector<Stack>& stacks, int rounds, std::uint64_t requests,
                            Naive* naive = nullptr) {
  std::vector<std::unique_ptr<Bed>> beds;
  for (const Stack& each : stacks) beds.push_back(std::make_unique<Bed>(each));
  std::vector<std::vector<double>> depth_1(stacks.size()), depth_32(stacks.size());
  bench::NaivePath bare(0), tower(16);
  std::vector<double> bare_ns, tower_ns;
  std::vector<Figure> figures(stacks.size());
  for (std::size_t i = 0; i < stacks.size(); ++i) beds[i]->run(requests / 10 + 32, 32);
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < stacks.size(); ++i) {
      depth_1[i].push_back(time_ns(*beds[i], requests, 1));
      depth_32[i].push_back(time_ns(*beds[i], requests, 32));
    }
    bare_ns.push_back(bare.time_ns(requests));
    tower_ns.push_back(tower.time_ns(requests));
  }
  if (naive != nullptr) {
    *naive = {median(bare_ns), (median(tower_ns) - median(bare_ns)) / 16};
  }
  for (std::size_t i = 0; i < stacks.size(); ++i) {
    const std::uint64_t before = bench::heap_allocations();
    beds[i]->run(requests, 1);
    // One vector a run() is the benchmark's own.
    const double allocated = static_cast<double>(bench::heap_allocations() - before - 1);
    figures[i] = {stacks[i],
                  median(depth_1[i]),
                  median(depth_32[i]),
                  0,
                  allocated / static_cast<double>(requests),
                  beds[i]->program().steps.size(),
                  beds[i]->program().frame_bytes};
  }
  return figures;
}

std::string_view mode(const Stack& stack) {
  return stack.dispatch == Dispatch::direct ? "direct" : "queued";
}

void print(const std::vector<Figure>& figures) {
  fmt::print("{:<12} {:>6}  {:<7} {:>9} {:>9} {:>12} {:>7} {:>6} {:>6}\n", "layers", "height",
             "mode", "ns QD1", "ns QD32", "instructions", "allocs", "steps", "frame");
  for (const Figure& each : figures) {
    fmt::print("{:<12} {:>6}  {:<7} {:>9.1f} {:>9.1f} {:>12} {:>7.3f} {:>6} {:>6}\n",
               each.stack.height == 0 ? "(empty)" : each.stack.kind, each.stack.height,
               mode(each.stack), each.ns_depth_1, each.ns_depth_32,
               each.instructions > 0 ? fmt::format("{:.1f}", each.instructions) : "-",
               each.allocations, each.steps, each.frame_bytes);
  }
}

const Figure& find(const std::vector<Figure>& figures, std::string_view kind, int height,
                   Dispatch dispatch) {
  for (const Figure& each : figures) {
    if (each.stack.kind == kind && each.stack.height == height && each.stack.dispatch == dispatch) {
      return each;
    }
  }
  std::abort();
}

nlohmann::json summary(const std::vector<Figure>& figures, const Naive& naive) {
  const Figure& empty = find(figures, "passthrough", 0, Dispatch::direct);
  const Figure& low = find(figures, "passthrough", 4, Dispatch::direct);
  const Figure& high = find(figures, "passthrough", 16, Dispatch::direct);
  const Figure& map_1 = find(figures, "linear", 1, Dispatch::direct);
  const Figure& map_16 = find(figures, "linear", 16, Dispatch::direct);
  const Figure& direct = find(figures, "passthrough", 1, Dispatch::direct);
  const Figure& queued = find(figures, "passthrough", 1, Dispatch::queued);
  return {
      {"naive_empty_ns", naive.empty_ns},
      {"naive_layer_ns", naive.layer_ns},
      {"empty_ns_depth_1", empty.ns_depth_1},
      {"empty_ns_depth_32", empty.ns_depth_32},
      {"passthrough_step_ns_depth_1", (high.ns_depth_1 - low.ns_depth_1) / 12},
      {"passthrough_step_ns_depth_32", (high.ns_depth_32 - low.ns_depth_32) / 12},
      {"map_layer_ns_depth_1", (map_16.ns_depth_1 - map_1.ns_depth_1) / 15},
      {"map_layer_instructions", (map_16.instructions - map_1.instructions) / 15},
      {"queued_over_direct_depth_1", queued.ns_depth_1 / direct.ns_depth_1},
  };
}

int measure_all(const std::string& self, const std::string& json_path, bool quick) {
  std::vector<Stack> direct;
  for (const char* kind : {"linear", "passthrough"}) {
    for (const int height : {0, 1, 2, 4, 8, 16}) direct.push_back({kind, height});
  }
  std::vector<Stack> queued;
  for (const int height : {0, 1, 2, 4, 8, 16}) {
    queued.push_back({"passthrough", height, Dispatch::queued});
  }
  Naive naive;
  auto figures = measure(direct, quick ? 3 : 9, quick ? 64'000 : 640'000, &naive);
  for (Figure& each : figures) each.instructions = count_instructions(self, each.stack);
  for (Figure& each : measure(queued, quick ? 1 : 5, quick ? 640 : 6'400)) figures.push_back(each);
  print(figures);
  const nlohmann::json totals = summary(figures, naive);
  fmt::print("\n");
  for (const auto& [name, value] : totals.items()) {
    fmt::print("{:<30} {:>10.2f}\n", name, value.get<double>());
  }
  if (json_path.empty()) return 0;
  nlohmann::json rows = nlohmann::json::array();
  for (const Figure& each : figures) {
    rows.push_back({{"layers", each.stack.kind},
                    {"height", each.stack.height},
                    {"dispatch", mode(each.stack)},
                    {"ns_depth_1", each.ns_depth_1},
                    {"ns_depth_32", each.ns_depth_32},
                    {"instructions", each.instructions},
                    {"allocations", each.allocations},
                    {"steps", each.steps},
                    {"frame_bytes", each.frame_bytes}});
  }
  std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(json_path.c_str(), "w"), &std::fclose);
  if (file == nullptr) return 1;
  fmt::print(file.get(), "{}\n", nlohmann::json{{"figures", rows}, {"summary", totals}}.dump(2));
  return 0;
}

}  // namespace
}  // namespace ashlar

int main(int argc, char** argv) {
  using namespace ashlar;
  const std::vector<std::string> words(argv, argv + argc);
  if (words.size() == 5 && words[1] == "--count") {
    Bed bed({words[2], std::stoi(words[3])});
    bed.run(std::stoull(words[4]), 1);
    return 0;
  }
  std::string json_path;
  bool quick = false;
  for (std::size_t i = 1; i < words.size(); ++i) {
    if (words[i] == "--quick") {
      quick = true;
    } else if (words[i] == "--json" && i + 1 < words.size()) {
      json_path = words[++i];
    } else {
      fmt::print(stderr, "usage: path_bench [--json FILE] [--quick]\n");
      return 2;
    }
  }
  return measure_all(words[0], json_path, quick);
}
