// What a change under running requests costs: the pause that a lane sees, and the time a change
// takes, by the height of the stack.
//
//   live_bench [--json FILE] [--quick]
//
// Method: a lane in a thread of its own reads 4 KiB at random from a memory device, without pause,
// at depth 1 and 32, and keeps the longest time between two completions. Windows of the same length
// with and without a change (a passthrough is put in, the next time taken out) take turns; the
// medians of many are compared, so that what the machine does meanwhile is in both. For the height,
// a passthrough is put in at the bottom of a tower and taken out again: graph, access, compiling
// and publishing together, and compiling alone beside it.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <fmt/core.h>

#include "base/random.h"
#include "bench/tools.h"
#include "node/node.h"
#include "program/compiler.h"

namespace ashlar::bench {
namespace {

using Steady = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::uint64_t kDeviceBytes = 64 * kMiB;
constexpr std::uint64_t kRequestBytes = 4096;
constexpr auto kWindow = 20ms;

double microseconds(Steady::duration time) {
  return std::chrono::duration<double, std::micro>(time).count();
}

void must(const Result<void>& result) {
  if (result) return;
  fmt::print(stderr, "{}\n", result.error().message);
  std::exit(1);
}

std::unique_ptr<Node> node_with_disk() {
  auto node = Node::create({}).value();
  CreateRequest request{"disk", {}, {{"size", std::to_string(kDeviceBytes)}}};
  (void)node->add_geom("memory", std::move(request), false).value();
  return node;
}

// A lane that reads without pause, in its own thread.
class Reader {
 public:
  Reader(Node& node, unsigned depth) : node_(node), depth_(depth), thread_([this] { main(); }) {
    while (!running_) std::this_thread::yield();
  }
  ~Reader() {
    stop_ = true;
    thread_.join();
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // The longest gap since the last call, in microseconds.
  double take_longest() { return microseconds(Steady::duration(longest_.exchange(0))); }
  std::uint64_t ended() const { return ended_; }

 private:
  struct Request {
    Reader* reader;
    Segment segment;
    std::vector<std::byte> memory;
  };

  void main() {
    lane_ = Lane::create({}).value();
    auto device = node_.open("disk", {.write = true}).value();
    channel_ = device->channel(*lane_).value();
    std::vector<Request> requests(depth_);
    last_ = Steady::now();
    for (Request& each : requests) {
      each.reader = this;
      each.memory.resize(kRequestBytes);
      each.segment = {each.memory.data(), each.memory.size()};
      submit(each);
    }
    running_ = true;
    while (!stop_) lane_->poll();
    while (under_way_ > 0) lane_->wait(1);
    channel_.reset();
    device.reset();
    lane_.reset();
  }

  void submit(Request& request) {
    Bio& bio = *channel_->allocate();
    bio.op = Op::read;
    bio.flags = 0;
    bio.offset = random_.below(kDeviceBytes / kRequestBytes) * kRequestBytes;
    bio.length = kRequestBytes;
    bio.payload = Payload{&request.segment, 1, 0};
    bio.user = &request;
    bio.end_io = [](Bio& done) noexcept {
      auto& mine = *static_cast<Request*>(done.user);
      mine.reader->channel_->release(done);
      mine.reader->end(mine);
    };
    ++under_way_;
    channel_->submit(bio);
  }

  void end(Request& request) {
    const auto now = Steady::now();
    const auto gap = (now - last_).count();
    last_ = now;
    if (gap > longest_.load(std::memory_order_relaxed)) longest_ = gap;
    ended_.store(ended_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    --under_way_;
    if (!stop_) submit(request);
  }

  Node& node_;
  const unsigned depth_;
  std::unique_ptr<Lane> lane_;
  std::unique_ptr<Channel> channel_;
  Random random_{1};
  Steady::time_point last_;
  unsigned under_way_ = 0;
  std::atomic<Steady::rep> longest_{0};
  std::atomic<std::uint64_t> ended_{0};
  std::atomic<bool> running_{false};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

struct Pause {
  unsigned depth;
  double without_us;
  double with_us;
};

Pause measure_pause(unsigned depth, int rounds) {
  auto node = node_with_disk();
  Reader reader(*node, depth);
  std::vector<double> without;
  std::vector<double> with;
  for (int i = 0; i < rounds; ++i) {
    reader.take_longest();
    std::this_thread::sleep_for(kWindow);
    without.push_back(reader.take_longest());
    if (i % 2 == 0) {
      (void)node->insert("disk", "passthrough", "layer").value();
    } else {
      must(node->remove("layer"));
    }
    std::this_thread::sleep_for(kWindow);
    with.push_back(reader.take_longest());
    while (!node->settled()) std::this_thread::yield();
  }
  return {depth, median(without), median(with)};
}

struct Height {
  int layers;
  double insert_us;
  double remove_us;
  double compile_us;
};

Height measure_height(int layers, int rounds) {
  auto node = node_with_disk();
  std::string below = "disk";
  for (int i = 0; i < layers; ++i) {
    Provider* under = node->topology().find(below).value();
    below = fmt::format("layer{}", i);
    (void)node->add_geom("passthrough", {below, {under}, {}}, false).value();
  }
  auto device = node->open(below, {.write = true}).value();
  Provider& top = *node->topology().find(below).value();
  std::vector<double> inserts;
  std::vector<double> removes;
  std::vector<double> compiles;
  for (int i = 0; i < rounds; ++i) {
    auto begin = Steady::now();
    (void)node->insert("disk", "passthrough", "one_more").value();
    inserts.push_back(microseconds(Steady::now() - begin));
    begin = Steady::now();
    must(node->remove("one_more"));
    removes.push_back(microseconds(Steady::now() - begin));
    begin = Steady::now();
    const auto program = compile(top, {}).value();
    compiles.push_back(microseconds(Steady::now() - begin));
    while (!node->settled()) std::this_thread::yield();
  }
  return {layers, median(inserts), median(removes), median(compiles)};
}

int measure_all(const Options& options) {
  const bool quick = options.quick;
  nlohmann::json page;
  fmt::print("longest time between two completions of a lane, µs, median of windows of 20 ms\n");
  fmt::print("{:>8} {:>16} {:>16}\n", "depth", "without change", "with a change");
  for (const unsigned depth : {1u, 32u}) {
    const Pause pause = measure_pause(depth, quick ? 8 : 60);
    fmt::print("{:>8} {:>16.1f} {:>16.1f}\n", pause.depth, pause.without_us, pause.with_us);
    page["pause"].push_back(
        {{"depth", pause.depth}, {"without_us", pause.without_us}, {"with_us", pause.with_us}});
  }
  fmt::print("\na change below so many layers, µs, median\n");
  fmt::print("{:>8} {:>12} {:>12} {:>16}\n", "layers", "insert", "remove", "compile alone");
  for (const int layers : {1, 10, 100, 1000, 10000}) {
    const Height height = measure_height(layers, quick || layers > 1000 ? 3 : 11);
    fmt::print("{:>8} {:>12.1f} {:>12.1f} {:>16.1f}\n", height.layers, height.insert_us,
               height.remove_us, height.compile_us);
    page["height"].push_back({{"layers", height.layers},
                              {"insert_us", height.insert_us},
                              {"remove_us", height.remove_us},
                              {"compile_us", height.compile_us}});
  }
  save_json(options.json_path, page);
  return 0;
}

}  // namespace
}  // namespace ashlar::bench

int main(int argc, char** argv) {
  return ashlar::bench::measure_all(ashlar::bench::parse_options(argc, argv));
}
