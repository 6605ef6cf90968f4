// The node's own thread, from the first live change on: it frees what changes have left behind, and
// copies to devices that join (leg_copy.h). It has a lane, and sleeps when there is nothing to do.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "node/leg_copy.h"
#include "program/lane.h"

namespace ashlar {

class Node;

class Caretaker {
 public:
  // Errors: what Lane::create says.
  static Result<std::unique_ptr<Caretaker>> start(Node& node, const EngineOptions& engine);
  Caretaker(const Caretaker&) = delete;
  Caretaker& operator=(const Caretaker&) = delete;
  // Ends copies where they are, and the thread. REQUIRES: the node's lock is not held.
  ~Caretaker();

  // node.reap() is called soon. THREAD: any.
  void poke() noexcept;

  // Has it carried out. THREAD: any.
  void copy(std::unique_ptr<LegCopy> copy);
  // That were given and have not ended. THREAD: any.
  unsigned copies() const noexcept { return count_.load(std::memory_order_relaxed); }

 private:
  explicit Caretaker(Node& node) : node_(node) {}
  void run();
  void drop_ended();

  Node& node_;
  std::unique_ptr<Lane> lane_;
  std::atomic<bool> poked_{false};
  std::atomic<unsigned> count_{0};
  // The thread's own.
  bool stopping_ = false;
  bool reap_wanted_ = false;
  std::vector<std::unique_ptr<LegCopy>> copies_;
  std::thread thread_;
};

}  // namespace ashlar
