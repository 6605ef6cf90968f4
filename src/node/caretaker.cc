// The caretaker's loop.
#include "node/caretaker.h"

#include <future>

#include "node/node.h"

namespace ashlar {

Result<std::unique_ptr<Caretaker>> Caretaker::start(Node& node, const EngineOptions& engine) {
  std::unique_ptr<Caretaker> caretaker(new Caretaker(node));
  std::promise<Result<void>> ready;
  std::future<Result<void>> answer = ready.get_future();
  // A lane belongs to the thread that makes it.
  caretaker->thread_ = std::thread([self = caretaker.get(), &engine, &ready] {
    auto lane = Lane::create({.engine = engine});
    if (!lane) return ready.set_value(lane.error());
    self->lane_ = *std::move(lane);
    ready.set_value({});
    self->run();
  });
  Result<void> started = answer.get();
  if (started) return caretaker;
  caretaker->thread_.join();
  return started.error();
}

Caretaker::~Caretaker() {
  if (!thread_.joinable()) return;
  lane_->post_task([this] { stopping_ = true; });
  thread_.join();
}

void Caretaker::poke() noexcept {
  if (poked_.exchange(true)) return;
  lane_->post_task([this] { reap_wanted_ = true; });
}

void Caretaker::copy(std::unique_ptr<LegCopy> copy) {
  count_.fetch_add(1, std::memory_order_relaxed);
  const auto shared = std::make_shared<std::unique_ptr<LegCopy>>(std::move(copy));
  lane_->post_task([this, shared] {
    copies_.push_back(std::move(*shared));
    copies_.back()->start(*lane_);
  });
}

// Closes their devices, which takes the node's lock.
void Caretaker::drop_ended() {
  const auto ended = std::erase_if(copies_, [](const auto& each) { return each->ended(); });
  count_.fetch_sub(static_cast<unsigned>(ended), std::memory_order_relaxed);
}

void Caretaker::run() {
  while (!stopping_ || !copies_.empty()) {
    if (stopping_) {
      for (const auto& each : copies_) each->stop();
    }
    drop_ended();
    if (stopping_ && copies_.empty()) return;
    lane_->wait(-1);
    drop_ended();
    if (!std::exchange(reap_wanted_, false)) continue;
    poked_.store(false);
    node_.reap();
  }
}

}  // namespace ashlar
