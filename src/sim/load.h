// Random requests against one device, through several lanes, with the model beside them.
//
// THREAD: one.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "program/channel.h"
#include "sim/model.h"
#include "sim/world.h"

namespace ashlar::sim {

struct LoadCounts {
  std::uint64_t requests = 0;
  std::uint64_t failed = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t timed_out = 0;
};

// What gives one request a deadline: program/deadline.h, or what a test plants in its place.
class Timekeeper {
 public:
  virtual ~Timekeeper() = default;
  virtual void submit(Channel& channel, Bio& bio, std::uint64_t at_ns) noexcept = 0;
};
using MakeTimekeeper = std::function<std::unique_ptr<Timekeeper>()>;
std::unique_ptr<Timekeeper> real_timekeeper();

class Load {
 public:
  // `troubled`: requests may fail. Everything outlives the load.
  Load(std::uint64_t seed, World& world, Model& model, std::vector<Channel*> channels,
       bool troubled, const MakeTimekeeper& make_timekeeper);
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;
  // REQUIRES: nothing is under way.
  ~Load();

  // Submits a request, where not too many are under way already and there is memory; false: not.
  bool submit_one();
  // Asks for the end of one that is under way, if any is.
  void cancel_one();
  // One flush, behind which nothing else is asked; false as above.
  // `quiet`: it says that nobody will write for some time.
  bool submit_flush(bool quiet) { return start(Op::flush, {}, quiet ? kQuiet : std::uint8_t{0}); }

  // Memory has come to an end: a request on its way up may wait for the reserve of a step, which
  // another has whose disk hangs. So nothing is known of when its deadline ends it.
  void expect_waits() { prompt_ = false; }
  // Some class shields requests: one ends when the disks that it asks have, one after another.
  // And it may be told that nobody will write for some time, which is never quite true.
  void expect_shields();
  // Some class keeps copies, and promises nothing of two changes of one range that are under way at
  // the same time: none are asked.
  void expect_copies() { apart_ = true; }

  // From now on what ends is not looked at: the power is off.
  void go_blind() { blind_ = true; }

  std::size_t under_way() const { return under_way_.size(); }
  // What first went wrong.
  const std::optional<std::string>& failure() const { return failure_; }
  const LoadCounts& counts() const { return counts_; }

 private:
  struct Request {
    Load* load;
    Channel* channel;
    Bio* bio;
    RequestId id;
    Op op;
    Extent extent;
    bool cancelled = false;
    bool hasty = false;  // said to have ended when it had not
    bool ended = false;
    std::uint64_t deadline_ns = kNever;  // in simulated time
    std::unique_ptr<Timekeeper> timekeeper{};
    std::vector<std::byte> memory{};
    std::vector<Segment> segments{};
  };
  static constexpr std::uint64_t kNever = ~std::uint64_t{0};

  Extent some_extent(Op op);
  bool start(Op op, Extent extent, std::uint8_t flags);
  bool changes_now(Extent extent) const;
  void scatter(Request& request, std::uint64_t length);
  void draw_deadline(Request& request);
  static void ended(Bio& bio) noexcept;
  void judge(Request& request);
  void judge_deadline(const Request& request);
  void complain(std::string sentence);

  Random random_;
  World& world_;
  Model& model_;
  const std::vector<Channel*> channels_;
  const bool troubled_;
  const MakeTimekeeper& make_timekeeper_;
  const std::uint64_t depth_;  // most requests under way
  const std::uint64_t block_bytes_;
  const std::uint64_t blocks_;
  const std::uint64_t most_blocks_;  // of one request
  const std::uint64_t hot_blocks_;   // where most requests go
  const std::uint64_t deadline_odds_;
  std::uint64_t grace_ns_;  // from a deadline to the end
  bool blind_ = false;
  bool prompt_ = true;  // what is cancelled ends soon
  bool shields_ = false;
  bool apart_ = false;
  std::vector<std::unique_ptr<Request>> under_way_;
  std::vector<std::unique_ptr<Request>> past_;  // kept, so that one that ends again is known
  std::optional<std::string> failure_;
  LoadCounts counts_;
};

}  // namespace ashlar::sim
