// The caretaker's loop.
#include "node/caretaker.h"

#include <algorithm>
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

void Caretaker::look_after(std::unique_ptr<UpkeepDriver> driver) {
  const auto shared = std::make_shared<std::unique_ptr<UpkeepDriver>>(std::move(driver));
  lane_->post_task([this, shared] {
    drivers_.push_back(std::move(*shared));
    drivers_.back()->start(*lane_);
  });
}

void Caretaker::stop(std::shared_ptr<const UpkeepReport> report) {
  lane_->post_task([this, report = std::move(report)] {
    for (const auto& each : drivers_) {
      if (each->report() == report) each->stop();
    }
  });
}

// Closes their devices, which takes the node's lock.
void Caretaker::drop_ended() {
  const auto ended = std::erase_if(copies_, [](const auto& each) { return each->ended(); });
  count_.fetch_sub(static_cast<unsigned>(ended), std::memory_order_relaxed);
  std::vector<std::shared_ptr<UpkeepReport>> reports;
  for (const auto& each : drivers_) {
    if (each->ended()) reports.push_back(each->report());
  }
  std::erase_if(drivers_, [](const auto& each) { return each->ended(); });
  for (const auto& each : reports) each->end();
}

// False: somebody has the node, and it is to be tried again.
bool Caretaker::tidy() {
  const auto ended = [](const auto& each) { return each->ended(); };
  const bool any = std::any_of(copies_.begin(), copies_.end(), ended) ||
                   std::any_of(drivers_.begin(), drivers_.end(), ended);
  if (!any && !reap_wanted_) return true;
  return node_.try_alone([this] {
    drop_ended();
    if (!std::exchange(reap_wanted_, false)) return;
    poked_.store(false);
    node_.reap();
  });
}

void Caretaker::run() {
  while (!stopping_ || busy()) {
    if (stopping_) {
      for (const auto& each : copies_) each->stop();
      for (const auto& each : drivers_) each->stop();
    }
    const bool tidied = tidy();
    if (stopping_ && !busy()) return;
    lane_->wait(tidied ? -1 : kTryAgainMs);
  }
}

}  // namespace ashlar
