// What large stacks cost: the time to make the graph and to compile it, and the memory of both, by
// the number of geoms.
//
//   compile_bench [--json FILE] [--quick]
//
// Towers of passthrough steps (each stays a step), towers of maps (all fold into one edge), and a
// tree: mirrors of two, of mirrors of two, and so on down to `null` disks. Times are processor time
// of the one thread, medians of several makings; memory is what the allocator has handed out
// (mallinfo2), taken before and after, so that its own overhead is in it.
#include <fmt/core.h>
#include <malloc.h>

#include <cstdlib>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "bench/tools.h"
#include "class/list.h"
#include "program/compiler.h"
#include "topology/topology.h"

namespace ashlar::bench {
namespace {

// Enough that a tower of 100,000 maps has a byte left at the top.
constexpr std::uint64_t kDiskBytes = 64 * kGiB;
constexpr std::uint64_t kMapBytes = 4096;

double allocated_bytes() {
  const struct mallinfo2 info = mallinfo2();
  return static_cast<double>(info.uordblks + info.hblkhd);
}

// Makes geoms and remembers the youngest device.
class Builder {
 public:
  explicit Builder(Topology& topology) : topology_(topology) {}

  Provider* add(std::string_view class_name, std::vector<Provider*> over,
                ParameterTexts parameters = {}) {
    auto geom =
        topology_.create(*find_builtin_class(class_name),
                         {fmt::format("g{}", made_++), std::move(over), std::move(parameters)});
    if (!geom) {
      fmt::print(stderr, "{}\n", geom.error().message);
      std::exit(1);
    }
    return (*geom)->providers().front().get();
  }
  Provider* disk() { return add("null", {}, {{"size", std::to_string(kDiskBytes)}}); }

 private:
  Topology& topology_;
  int made_ = 0;
};

Provider* passthrough_tower(Builder& builder, int geoms) {
  Provider* top = builder.disk();
  for (int i = 1; i < geoms; ++i) top = builder.add("passthrough", {top});
  return top;
}

Provider* map_tower(Builder& builder, int geoms) {
  Provider* top = builder.disk();
  for (int i = 1; i < geoms; ++i) {
    top = builder.add("linear", {top},
                      {{"offset", std::to_string(kMapBytes)},
                       {"length", std::to_string(top->size_bytes - kMapBytes)}});
  }
  return top;
}

// Half of the geoms are disks.
Provider* mirror_tree(Builder& builder, int geoms) {
  std::deque<Provider*> roots;
  for (int i = 0; i < (geoms + 1) / 2; ++i) roots.push_back(builder.disk());
  while (roots.size() > 1) {
    Provider* const left = roots[0];
    Provider* const right = roots[1];
    roots.erase(roots.begin(), roots.begin() + 2);
    roots.push_back(builder.add("mirror", {left, right}));
  }
  return roots.front();
}

struct Shape {
  const char* name;
  Provider* (*make)(Builder&, int geoms);
};
constexpr Shape kShapes[] = {{"passthrough tower", &passthrough_tower},
                             {"map tower", &map_tower},
                             {"mirror tree", &mirror_tree}};

struct Figure {
  double make_ns = 0, compile_ns = 0, destroy_ns = 0;
  double graph_bytes = 0, program_bytes = 0;
  std::size_t steps = 0;
};

Figure measure_once(const Shape& shape, int geoms) {
  Figure figure;
  const double empty_bytes = allocated_bytes();
  auto topology = std::make_unique<Topology>();
  Builder builder(*topology);
  double begin = thread_ns();
  Provider* const top = shape.make(builder, geoms);
  figure.make_ns = thread_ns() - begin;
  const double graph_bytes = allocated_bytes();
  begin = thread_ns();
  auto program = compile(*top, {}).value();
  figure.compile_ns = thread_ns() - begin;
  figure.graph_bytes = graph_bytes - empty_bytes;
  figure.program_bytes = allocated_bytes() - graph_bytes;
  figure.steps = program->steps.size();
  begin = thread_ns();
  program.reset();
  topology.reset();
  figure.destroy_ns = thread_ns() - begin;
  return figure;
}

Figure measure(const Shape& shape, int geoms, int rounds) {
  std::vector<double> make, compile, destroy;
  Figure figure;
  for (int i = 0; i < rounds; ++i) {
    figure = measure_once(shape, geoms);
    make.push_back(figure.make_ns);
    compile.push_back(figure.compile_ns);
    destroy.push_back(figure.destroy_ns);
  }
  figure.make_ns = median(make);
  figure.compile_ns = median(compile);
  figure.destroy_ns = median(destroy);
  return figure;
}

int run(const Options& options) {
  nlohmann::json rows = nlohmann::json::array();
  fmt::print("{:<18} {:>8} {:>10} {:>12} {:>13} {:>13} {:>14} {:>8}\n", "stack", "geoms",
             "make, ms", "compile, ms", "destroy, ms", "graph B/geom", "program B/geom", "steps");
  for (const Shape& shape : kShapes) {
    for (const int geoms : {1'000, 10'000, 100'000}) {
      const Figure figure = measure(shape, geoms, options.quick ? 1 : 5);
      const double count = geoms;
      fmt::print("{:<18} {:>8} {:>10.2f} {:>12.2f} {:>13.2f} {:>13.0f} {:>14.0f} {:>8}\n",
                 shape.name, geoms, figure.make_ns / 1e6, figure.compile_ns / 1e6,
                 figure.destroy_ns / 1e6, figure.graph_bytes / count, figure.program_bytes / count,
                 figure.steps);
      rows.push_back({{"stack", shape.name},
                      {"geoms", geoms},
                      {"make_ms", figure.make_ns / 1e6},
                      {"compile_ms", figure.compile_ns / 1e6},
                      {"destroy_ms", figure.destroy_ns / 1e6},
                      {"graph_bytes_per_geom", figure.graph_bytes / count},
                      {"program_bytes_per_geom", figure.program_bytes / count},
                      {"steps", figure.steps}});
    }
  }
  save_json(options.json_path, {{"figures", rows}});
  return 0;
}

}  // namespace
}  // namespace ashlar::bench

int main(int argc, char** argv) {
  return ashlar::bench::run(ashlar::bench::parse_options(argc, argv));
}
