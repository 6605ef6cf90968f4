// What the data path costs: 4 KiB random reads over `null`, on one thread: towers of map layers and
// of passthrough steps, a stack that stands for real ones, bios of all origins, counters and
// latencies on, direct and queued dispatch.
//
//   path_bench [--json FILE] [--quick]      measure; a table on stdout
//   path_bench --count ROW N                only carry out N requests of a row, at depth 1
//
// Method: each figure is the median of several rounds in this process; in a round all rows take
// their turns, so that a noisy machine is noisy for all of them, and what is a difference of two
// rows is the median of the differences within rounds. A request is what a caller does for one: get
// a bio, fill it, submit it, see its end, release it. In direct dispatch nothing sleeps, so its
// time is the thread's processor time; in queued dispatch it is the time of day. A naive loop
// (bench/naive_path.h) takes its turns among them, as a yardstick for the machine of the moment.
// Instructions are counted by valgrind's callgrind where it is installed, as the difference of two
// runs of different length.
#include <fmt/core.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "bench/callgrind.h"
#include "bench/heap_count.h"
#include "bench/naive_path.h"
#include "bench/stack.h"
#include "bench/tools.h"

namespace ashlar::bench {
namespace {

constexpr std::uint64_t kSampleEvery = 64;

struct Row {
  std::string name;
  StackShape shape;
  Dispatch dispatch = Dispatch::direct;
  Bios bios = Bios::pool;
  bool counted = false;
  bool sampled = false;
};

std::vector<Row> all_rows() {
  const StackShape empty{.layers = "passthrough"}, mixed{.layers = "mixed"};
  const auto tower = [](const char* layers, int height) {
    return StackShape{.layers = layers, .height = height};
  };
  std::vector<Row> rows = {{"empty", empty}};
  for (const int height : {1, 2, 4, 8, 16}) {
    rows.push_back({fmt::format("linear-{}", height), tower("linear", height)});
  }
  for (const int height : {1, 2, 4, 8, 16}) {
    rows.push_back({fmt::format("passthrough-{}", height), tower("passthrough", height)});
  }
  const StackShape four = tower("passthrough", 4), high = tower("passthrough", 16);
  rows.push_back({"mixed", mixed});
  // Smaller than the others: an overlay asks for as many addresses, and callgrind has not so many.
  for (auto [name, layers, height] :
       {std::tuple{"null", "passthrough", 0}, std::tuple{"overlay-untouched", "overlay", 1}}) {
    StackShape shape = tower(layers, height);
    shape.disk_bytes = kGiB;
    rows.push_back({name, shape});
  }
  rows.push_back({.name = "empty-own", .shape = empty, .bios = Bios::own});
  rows.push_back({.name = "passthrough-4-own", .shape = four, .bios = Bios::own});
  rows.push_back({.name = "empty-clone", .shape = empty, .bios = Bios::too_small});
  rows.push_back({.name = "passthrough-4-clone", .shape = four, .bios = Bios::too_small});
  rows.push_back({.name = "passthrough-16-counted", .shape = high, .counted = true});
  rows.push_back({.name = "empty-sampled", .shape = empty, .sampled = true});
  rows.push_back({.name = "mixed-all", .shape = mixed, .counted = true, .sampled = true});
  for (const int height : {0, 1, 4, 16}) {
    rows.push_back(
        {fmt::format("queued-{}", height), tower("passthrough", height), Dispatch::queued});
  }
  rows.push_back({"queued-mixed", mixed, Dispatch::queued});
  return rows;
}

class Bed {
 public:
  explicit Bed(const Row& row) : stack_(row.shape, row.dispatch), load_(stack_, row.bios) {
    if (row.counted && !load_.channel().count_layers(true)) std::abort();
    if (row.sampled && !load_.channel().measure_latency(kSampleEvery)) std::abort();
  }
  const Program& program() const { return stack_.program(); }
  Load& load() { return load_; }

 private:
  Stack stack_;
  Load load_;
};

struct Figure {
  Row row;
  std::vector<double> ns_depth_1{}, ns_depth_32{};  // by round
  double instructions = 0;
  double allocations = 0;
  std::size_t steps = 0;
  std::uint32_t frame_bytes = 0;
};

struct Results {
  std::vector<Figure> figures;
  std::vector<double> naive_empty_ns, naive_16_ns;

  const Figure& of(std::string_view name) const {
    for (const Figure& each : figures) {
      if (each.row.name == name) return each;
    }
    std::abort();
  }
  // The median of what `more` takes beyond `less`.
  double extra_ns(std::string_view more, std::string_view less,
                  std::vector<double> Figure::*ns = &Figure::ns_depth_1) const {
    std::vector<double> extra = of(more).*ns;
    for (std::size_t i = 0; i < extra.size(); ++i) extra[i] -= (of(less).*ns)[i];
    return median(std::move(extra));
  }
  double extra_instructions(std::string_view more, std::string_view less) const {
    return of(more).instructions - of(less).instructions;
  }
};

double time_ns(Bed& bed, const Row& row, std::uint64_t count, unsigned depth) {
  const auto now = row.dispatch == Dispatch::direct ? &thread_ns : &wall_ns;
  const double begin = now();
  bed.load().run(count, depth);
  return (now() - begin) / static_cast<double>(count);
}

Results measure(const Options& options) {
  const int rounds = options.quick ? 3 : 11;
  const std::uint64_t direct = options.quick ? 64'000 : 320'000, queued = direct / 100;
  Results results;
  std::vector<std::unique_ptr<Bed>> beds;
  for (const Row& row : all_rows()) {
    results.figures.push_back({.row = row});
    beds.push_back(std::make_unique<Bed>(row));
    beds.back()->load().run(queued, 32);
  }
  NaivePath bare(0), tower(16);
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < beds.size(); ++i) {
      Figure& figure = results.figures[i];
      const std::uint64_t count = figure.row.dispatch == Dispatch::direct ? direct : queued;
      figure.ns_depth_1.push_back(time_ns(*beds[i], figure.row, count, 1));
      figure.ns_depth_32.push_back(time_ns(*beds[i], figure.row, count, 32));
    }
    results.naive_empty_ns.push_back(bare.time_ns(direct));
    results.naive_16_ns.push_back(tower.time_ns(direct));
  }
  for (std::size_t i = 0; i < beds.size(); ++i) {
    Figure& figure = results.figures[i];
    const std::uint64_t before = heap_allocations();
    beds[i]->load().run(queued, 1);
    figure.allocations =
        static_cast<double>(heap_allocations() - before) / static_cast<double>(queued);
    figure.steps = beds[i]->program().steps.size();
    figure.frame_bytes = beds[i]->program().frame_bytes;
    if (figure.row.dispatch == Dispatch::queued) continue;
    figure.instructions = instructions_per_request([&](std::uint64_t requests) {
      return fmt::format("{} --count {} {}", options.self, figure.row.name, requests);
    });
  }
  return results;
}

void print(const std::vector<Figure>& figures) {
  fmt::print("{:<24} {:>9} {:>9} {:>12} {:>7} {:>6} {:>6}\n", "row", "ns QD1", "ns QD32",
             "instructions", "allocs", "steps", "frame");
  for (const Figure& each : figures) {
    fmt::print("{:<24} {:>9.1f} {:>9.1f} {:>12} {:>7.3f} {:>6} {:>6}\n", each.row.name,
               median(each.ns_depth_1), median(each.ns_depth_32),
               each.instructions > 0 ? fmt::format("{:.1f}", each.instructions) : "-",
               each.allocations, each.steps, each.frame_bytes);
  }
}

nlohmann::json summary(const Results& results) {
  const double naive = median(results.naive_empty_ns);
  constexpr auto kDepth32 = &Figure::ns_depth_32;
  // What counts in a tower of 16: its layers and the disk.
  constexpr double kCounted = 17;
  return {
      {"naive_empty_ns", naive},
      {"naive_layer_ns", (median(results.naive_16_ns) - naive) / 16},
      {"empty_ns_depth_1", median(results.of("empty").ns_depth_1)},
      {"empty_ns_depth_32", median(results.of("empty").ns_depth_32)},
      {"passthrough_step_ns_depth_1", results.extra_ns("passthrough-16", "passthrough-4") / 12},
      {"passthrough_step_ns_depth_32",
       results.extra_ns("passthrough-16", "passthrough-4", kDepth32) / 12},
      {"passthrough_step_instructions",
       results.extra_instructions("passthrough-16", "passthrough-4") / 12},
      {"map_layer_ns_depth_1", results.extra_ns("linear-16", "linear-1") / 15},
      {"map_layer_instructions", results.extra_instructions("linear-16", "linear-1") / 15},
      {"overlay_extra_ns_depth_32", results.extra_ns("overlay-untouched", "null", kDepth32)},
      {"overlay_extra_instructions", results.extra_instructions("overlay-untouched", "null")},
      {"own_bio_extra_ns", results.extra_ns("empty-own", "empty")},
      {"own_bio_extra_instructions", results.extra_instructions("empty-own", "empty")},
      {"clone_extra_ns", results.extra_ns("empty-clone", "empty-own")},
      {"clone_extra_instructions", results.extra_instructions("empty-clone", "empty-own")},
      {"counted_layer_extra_ns",
       results.extra_ns("passthrough-16-counted", "passthrough-16") / kCounted},
      {"counted_layer_extra_instructions",
       results.extra_instructions("passthrough-16-counted", "passthrough-16") / kCounted},
      {"sampled_extra_ns", results.extra_ns("empty-sampled", "empty")},
      {"sampled_extra_instructions", results.extra_instructions("empty-sampled", "empty")},
      {"sampled_one_in", static_cast<double>(kSampleEvery)},
      {"queued_over_direct_depth_1",
       median(results.of("queued-1").ns_depth_1) / median(results.of("passthrough-1").ns_depth_1)},
  };
}

int measure_all(const Options& options) {
  const Results results = measure(options);
  print(results.figures);
  const nlohmann::json totals = summary(results);
  fmt::print("\n");
  for (const auto& [name, value] : totals.items()) {
    fmt::print("{:<34} {:>10.2f}\n", name, value.get<double>());
  }
  nlohmann::json rows = nlohmann::json::array();
  for (const Figure& each : results.figures) {
    rows.push_back({{"row", each.row.name},
                    {"ns_depth_1", median(each.ns_depth_1)},
                    {"ns_depth_32", median(each.ns_depth_32)},
                    {"instructions", each.instructions},
                    {"allocations", each.allocations},
                    {"steps", each.steps},
                    {"frame_bytes", each.frame_bytes}});
  }
  save_json(options.json_path, {{"figures", rows}, {"summary", totals}});
  return 0;
}

int count_only(const Options& options) {
  std::vector<Row> rows = all_rows();
  // Not measured: what the search for locked instructions must find (bench/locked.py).
  rows.push_back({"planted-atomic", {.layers = "atomic", .height = 1}});
  for (const Row& row : rows) {
    if (row.name != options.count) continue;
    Bed bed(row);
    bed.load().run(options.requests, 1);
    return 0;
  }
  fmt::print(stderr, "there is no row {}\n", options.count);
  return 2;
}

}  // namespace
}  // namespace ashlar::bench

int main(int argc, char** argv) {
  const auto options = ashlar::bench::parse_options(argc, argv);
  return options.count.empty() ? ashlar::bench::measure_all(options)
                               : ashlar::bench::count_only(options);
}
