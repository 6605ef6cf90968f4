// The node's own thread, from the first live change on: it frees what changes have left behind,
// copies to devices that join (leg_copy.h), and does what arrays want done (upkeep_driver.h). It
// has a lane, and sleeps when there is nothing to do. It never waits for the node: who has that may
// be waiting for a request of this lane.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "node/leg_copy.h"
#include "node/upkeep_driver.h"
#include "program/lane.h"

namespace ashlar {

class Node;

class Caretaker {
 public:
  // Errors: what Lane::create says.
  static Result<std::unique_ptr<Caretaker>> start(Node& node, const EngineOptions& engine);
  Caretaker(const Caretaker&) = delete;
  Caretaker& operator=(const Caretaker&) = delete;
  // Ends copies and other work where they are, and the thread. REQUIRES: the node's lock is not
  // held.
  ~Caretaker();

  // node.reap() is called soon. THREAD: any.
  void poke() noexcept;

  // Has it carried out. THREAD: any.
  void copy(std::unique_ptr<LegCopy> copy);
  // That were given and have not ended. THREAD: any.
  unsigned copies() const noexcept { return count_.load(std::memory_order_relaxed); }

  // THREAD: any.
  void look_after(std::unique_ptr<UpkeepDriver> driver);
  // Ends the work of this report. THREAD: any.
  void stop(std::shared_ptr<const UpkeepReport> report);

 private:
  // Between two tries to have the node.
  static constexpr int kTryAgainMs = 10;

  explicit Caretaker(Node& node) : node_(node) {}
  void run();
  bool busy() const { return !copies_.empty() || !drivers_.empty(); }
  bool tidy();
  void drop_ended();

  Node& node_;
  std::unique_ptr<Lane> lane_;
  std::atomic<bool> poked_{false};
  std::atomic<unsigned> count_{0};
  // The thread's own.
  bool stopping_ = false;
  bool reap_wanted_ = false;
  std::vector<std::unique_ptr<LegCopy>> copies_;
  std::vector<std::unique_ptr<UpkeepDriver>> drivers_;
  std::thread thread_;
};

}  // namespace ashlar
