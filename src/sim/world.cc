// Who takes the next turn, and how time passes.
#include "sim/world.h"

#include <algorithm>

namespace ashlar::sim {
namespace {

// One in so many turns time passes although somebody could run: a timer finds its context busy.
constexpr std::uint64_t kLatenessOdds = 8;
// By so much at the most: a second is no lateness but a context that hangs.
constexpr std::uint64_t kMostLatenessNs = 1'000'000;

}  // namespace

Lane& World::add_lane() {
  LaneOptions options;
  options.engine.choice = EngineChoice::none;
  options.clock = &clock_;
  lanes_.push_back(Lane::create(options).value());
  return *lanes_.back();
}

bool World::wants_turn(std::size_t context) const {
  if (context < lanes_.size()) return lanes_[context]->wants_poll();
  return workers_[context - lanes_.size()]->wants_turn();
}

void World::turn(std::size_t context) {
  trace_.event(clock_.now_ns(), "turn", {context});
  if (context < lanes_.size()) {
    lanes_[context]->poll();
  } else {
    workers_[context - lanes_.size()]->turn();
  }
}

bool World::pass_time(std::uint64_t most_ns) {
  std::int64_t next = -1;
  const auto look = [&](std::int64_t until) {
    if (until >= 0 && (next < 0 || until < next)) next = until;
  };
  for (const auto& each : lanes_) look(each->until_timer_ns());
  for (const Worker* each : workers_) look(each->until_timer_ns());
  if (next < 0) return false;
  clock_.advance(std::min(static_cast<std::uint64_t>(next), most_ns));
  return true;
}

bool World::step() {
  ready_.clear();
  for (std::size_t i = 0; i < contexts(); ++i) {
    if (wants_turn(i)) ready_.push_back(i);
  }
  if (ready_.empty()) return pass_time(~std::uint64_t{0});
  if (random_.one_in(kLatenessOdds)) pass_time(kMostLatenessNs);
  turn(ready_[random_.below(ready_.size())]);
  return true;
}

}  // namespace ashlar::sim
