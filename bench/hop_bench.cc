// What a queue boundary costs: a request over a hop into a detached layer and back, beside the bare
// hand-over that it is made of, in the same run.
//
//   hop_bench [--json FILE] [--quick]
//
// Bare: two threads, a queue under a mutex each way; down through a condition variable, as into a
// worker; up through an eventfd that the other waits for with epoll, as into a lane; all that has
// gathered goes with one lock and one wake-up. Ours: a request over `null` through a detached layer
// that does nothing; what the hop costs of it is what it takes beyond the same request through the
// same layer where that is not detached. Once with both threads on one core,
// where processor time is all that counts, and once placed freely, where the wake-up of an idle
// core is.
//
// Method: rounds in turn, the median of several; depth 1 and 32.
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <fmt/core.h>

#include "bench/tools.h"
#include "class/list.h"
#include "program/channel.h"
#include "program/compiler.h"
#include "topology/step_class.h"
#include "topology/topology.h"

namespace ashlar::bench {
namespace {

// --- bare ---------------------------------------------------------------------------------------

// A thread that sends back what it gets.
class Bare {
 public:
  Bare() {
    epoll_event event{};
    event.events = EPOLLIN;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, event_, &event);
    thread_ = std::thread([this] { echo(); });
  }
  ~Bare() {
    {
      const std::lock_guard lock(down_mutex_);
      stop_ = true;
    }
    down_wake_.notify_one();
    thread_.join();
    close(epoll_);
    close(event_);
  }
  Bare(const Bare&) = delete;
  Bare& operator=(const Bare&) = delete;

  // `depth` items there and back.
  void round(unsigned depth) {
    {
      const std::lock_guard lock(down_mutex_);
      down_.resize(depth);
    }
    down_wake_.notify_one();
    std::vector<int> back;
    for (unsigned got = 0; got < depth;) {
      epoll_event event;
      epoll_wait(epoll_, &event, 1, -1);
      std::uint64_t ignored;
      if (read(event_, &ignored, sizeof(ignored)) != sizeof(ignored)) continue;
      const std::lock_guard lock(up_mutex_);
      got += static_cast<unsigned>(up_.size());
      up_.clear();
    }
  }

 private:
  void echo() {
    for (;;) {
      std::vector<int> taken;
      {
        std::unique_lock lock(down_mutex_);
        down_wake_.wait(lock, [this] { return stop_ || !down_.empty(); });
        if (stop_) return;
        taken.swap(down_);
      }
      {
        const std::lock_guard lock(up_mutex_);
        up_.insert(up_.end(), taken.begin(), taken.end());
      }
      const std::uint64_t one = 1;
      if (write(event_, &one, sizeof(one)) != sizeof(one)) std::abort();
    }
  }

  int epoll_ = epoll_create1(0);
  int event_ = eventfd(0, EFD_NONBLOCK);
  std::mutex down_mutex_, up_mutex_;
  std::condition_variable down_wake_;
  std::vector<int> down_, up_;
  bool stop_ = false;
  std::thread thread_;
};

// --- ours ---------------------------------------------------------------------------------------

template <Placement kPlacement>
class Layer final : public StepClass<Layer<kPlacement>> {
 public:
  static constexpr ClassFacts kFacts = {.name = "layer",
                                        .summary = "does nothing",
                                        .min_consumers = 1,
                                        .max_consumers = 1,
                                        .policies = OpPolicies::handle_all(),
                                        .placement = kPlacement};
  static Result<GeomPlan> create(const CreateArguments& arguments) {
    GeomPlan plan;
    plan.body = std::make_unique<Layer>();
    plan.providers.push_back({.size_bytes = arguments.consumers[0].size_bytes});
    return plan;
  }
  Verdict on_request(Bio&, NoPad&, Context&) noexcept { return Verdict::forward(0); }
};

template <Placement kPlacement>
constexpr ClassInfo kLayer = {&Layer<kPlacement>::kFacts, &Layer<kPlacement>::create, nullptr};

class Ours {
 public:
  explicit Ours(const ClassInfo& layer) : lane_(Lane::create({}).value()) {
    Provider& disk = make(*find_builtin_class("null"), {"disk", {}, {{"size", "1GiB"}}});
    program_ = compile(make(layer, {"layer", {&disk}, {}}), {}).value();
    channel_ = Channel::open(*lane_, *program_, {}).value();
  }

  void round(unsigned depth) {
    left_ = depth;
    batch_.resize(depth);
    for (Bio*& bio : batch_) {
      bio = channel_->allocate();
      bio->op = Op::flush;
      bio->flags = 0;
      bio->offset = bio->length = 0;
      bio->user = this;
      bio->end_io = [](Bio& done) noexcept { --static_cast<Ours*>(done.user)->left_; };
      channel_->submit(*bio);
    }
    while (left_ > 0) lane_->wait(-1);
    for (Bio* bio : batch_) channel_->release(*bio);
  }

 private:
  Provider& make(const ClassInfo& info, CreateRequest request) {
    return *topology_.create(info, std::move(request)).value()->providers().front();
  }

  Topology topology_;
  std::unique_ptr<Lane> lane_;
  std::unique_ptr<Program> program_;
  std::unique_ptr<Channel> channel_;
  std::vector<Bio*> batch_;
  unsigned left_ = 0;
};

// --- measuring ----------------------------------------------------------------------------------

void stay_on_one_core(bool one) {
  static cpu_set_t all = [] {
    cpu_set_t set;
    sched_getaffinity(0, sizeof(set), &set);
    return set;
  }();
  cpu_set_t set = all;
  if (one) {
    CPU_ZERO(&set);
    for (int i = 0; i < CPU_SETSIZE; ++i) {
      if (!CPU_ISSET(i, &all)) continue;
      CPU_SET(i, &set);
      break;
    }
  }
  sched_setaffinity(0, sizeof(set), &set);
}

template <typename Side>
double time_ns(Side& side, unsigned depth, int requests) {
  const int rounds = requests / static_cast<int>(depth);
  const double begin = wall_ns();
  for (int i = 0; i < rounds; ++i) side.round(depth);
  return (wall_ns() - begin) / (static_cast<double>(rounds) * depth);
}

nlohmann::json measure(bool one_core, unsigned depth, int requests, int repeats) {
  stay_on_one_core(one_core);  // before the threads start, which inherit it
  Bare bare;
  Ours elsewhere(kLayer<Placement::detached>), here(kLayer<Placement::anywhere>);
  std::vector<double> bare_ns, with_ns, hop_ns;
  for (int i = -1; i < repeats; ++i) {  // the first round warms up
    const double floor = time_ns(bare, depth, requests);
    const double with = time_ns(elsewhere, depth, requests);
    const double without = time_ns(here, depth, requests);
    if (i < 0) continue;
    bare_ns.push_back(floor);
    with_ns.push_back(with);
    hop_ns.push_back(with - without);
  }
  const double bare_median = median(bare_ns), with = median(with_ns), hop = median(hop_ns);
  fmt::print("{:<10} {:>6} {:>12.0f} {:>14.0f} {:>12.0f} {:>8.2f}\n",
             one_core ? "one core" : "free", depth, bare_median, with, hop, hop / bare_median);
  return {{"placement", one_core ? "one core" : "free"},
          {"depth", depth},
          {"bare_ns", bare_median},
          {"request_ns", with},
          {"hop_ns", hop},
          {"request_ratio", with / bare_median},
          {"ratio", hop / bare_median}};
}

int run(const Options& options) {
  fmt::print("{:<10} {:>6} {:>12} {:>14} {:>12} {:>8}\n", "placement", "depth", "bare ns",
             "a request ns", "its hop ns", "ratio");
  nlohmann::json rows = nlohmann::json::array();
  for (const bool one_core : {true, false}) {
    for (const unsigned depth : {1u, 32u}) {
      rows.push_back(
          measure(one_core, depth, options.quick ? 3'200 : 19'200, options.quick ? 3 : 9));
    }
  }
  fmt::print("\nThere and back: two hand-overs.\n");
  save_json(options.json_path, {{"figures", rows}});
  return 0;
}

}  // namespace
}  // namespace ashlar::bench

int main(int argc, char** argv) {
  return ashlar::bench::run(ashlar::bench::parse_options(argc, argv));
}
