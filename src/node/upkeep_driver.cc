// The work, as a machine that takes a turn after each end of a request.
#include "node/upkeep_driver.h"

#include <algorithm>

namespace ashlar {
namespace {

std::uint64_t bytes_of(const UpkeepJob& job) {
  std::uint64_t sum = 0;
  for (const Extent& each : job.ranges) sum += each.length;
  return sum;
}

}  // namespace

UpkeepDriver::~UpkeepDriver() {
  ASHLAR_ASSERT(under_way_ == 0 && !flushing_ && !timer_.armed);
  call_->driver = nullptr;
}

void UpkeepDriver::start(Lane& lane) {
  lane_ = &lane;
  for (Slot& each : slots_) each.driver = this;
  timer_.user = this;
  timer_.expired = [](Timer& timer, Context&) noexcept {
    static_cast<UpkeepDriver*>(timer.user)->turn_soon();
  };
  auto channel = parts_.device->channel(lane);
  if (!channel) return end(UpkeepStatus::State::failed, "there is no memory for it");
  channel_ = std::move(*channel);
  mismatches_before_ = parts_.upkeep->mismatches();
  from_due_ = parts_.options.work == UpkeepOptions::Work::due;
  begin(std::move(parts_.first));
}

void UpkeepDriver::stop() {
  if (std::exchange(stopping_, true) || ended_) return;
  if (timer_.armed) lane_->disarm(timer_);
  turn_soon();
}

// --- jobs

void UpkeepDriver::begin(UpkeepJob job) {
  job_ = std::move(job);
  phase_ = Phase::working;
  range_ = 0;
  at_ = job_.ranges.empty() ? 0 : job_.ranges.front().offset;
  finish_said_ = useless_ = tried_again_ = drains_ = false;
  error_ = flush_error_ = Errc::ok;
  job_began_ns_ = batch_began_ns_ = checkpoint_ns_ = lane_->now_ns();
  batch_ended_ = 0;
  checkpoint_bytes_ = 0;
  users_requests_ = parts_.upkeep->requests();
  parts_.report->change([&](UpkeepStatus& status) {
    status.state = UpkeepStatus::State::running;
    status.work = job_.text;
    status.done_bytes = 0;
    status.total_bytes = bytes_of(job_);
    status.bytes_per_second = 0;
  });
  turn_soon();
}

void UpkeepDriver::next_job() {
  if (from_due_) {
    if (auto job = parts_.upkeep->due()) return begin(std::move(*job));
  }
  end(UpkeepStatus::State::done);
}

// From the lane's loop: no request of this work is on the machine stack.
void UpkeepDriver::turn_soon() {
  if (std::exchange(turn_posted_, true)) return;
  lane_->post_task([call = call_] {
    if (call->driver == nullptr) return;
    call->driver->turn_posted_ = false;
    call->driver->turn();
  });
}

void UpkeepDriver::turn() {
  if (ended_ || timer_.armed) return;
  if (phase_ == Phase::working) return work();
  if (!flushing_) after_flush();
}

// --- requests

void UpkeepDriver::work() {
  report_progress();
  if (rests()) return;
  useless_ = !parts_.upkeep->wanted(job_);
  const bool halted = stopping_ || useless_ || error_ != Errc::ok || drains_;
  if (!halted) {
    while (under_way_ < kDepth && ask_for_more()) {
    }
  }
  if (under_way_ > 0) {
    const std::uint64_t now = lane_->now_ns();
    const std::uint64_t done = done_bytes(all_done_below());
    const bool due = now - checkpoint_ns_ >= kCheckpointNs ||
                     done - checkpoint_bytes_ >= bytes_of(job_) / kCheckpoints + kRequestBytes;
    if (due && !flushing_ && !checks() && !halted) {
      checkpoint_ns_ = now;
      checkpoint_bytes_ = done;
      tell_progress();
      flush(kQuiet);
    }
    return;
  }
  if (flushing_) return;
  if (drains_ && !stopping_ && !useless_) return give_way();
  end_pass();
}

// False: all of the job is under way or done.
bool UpkeepDriver::ask_for_more() {
  while (range_ < job_.ranges.size() && at_ == job_.ranges[range_].end()) {
    ++range_;
    if (range_ < job_.ranges.size()) at_ = job_.ranges[range_].offset;
  }
  if (range_ == job_.ranges.size()) return false;
  const auto free =
      std::find_if(slots_.begin(), slots_.end(), [](const auto& s) { return !s.busy; });
  const std::uint64_t step = parts_.upkeep->step_bytes();
  const std::uint64_t most = std::max(step, kRequestBytes / step * step);
  free->extent = {at_, std::min(most, job_.ranges[range_].end() - at_)};
  at_ = free->extent.end();
  submit(*free);
  return error_ == Errc::ok;
}

void UpkeepDriver::submit(Slot& slot) {
  Bio* const bio = channel_->allocate();
  slot.busy = true;
  ++under_way_;
  if (bio == nullptr) {
    slot.busy = false;
    --under_way_;
    note_failure(slot.extent.offset, Errc::no_memory);
    return;
  }
  bio->op = Op::repair;
  bio->flags = checks() ? kCheck : std::uint8_t{0};
  bio->offset = slot.extent.offset;
  bio->length = slot.extent.length;
  bio->payload = {};
  bio->user = &slot;
  bio->end_io = &end_request;
  channel_->submit(*bio);
}

void UpkeepDriver::note_failure(std::uint64_t offset, Errc error) {
  failed_at_ = error_ == Errc::ok ? offset : std::min(failed_at_, offset);
  error_ = error;
}

void UpkeepDriver::end_request(Bio& bio) noexcept {
  Slot& slot = *static_cast<Slot*>(bio.user);
  UpkeepDriver& self = *slot.driver;
  const Errc error = bio.error;
  self.channel_->release(bio);
  slot.busy = false;
  --self.under_way_;
  if (error != Errc::ok && self.checks()) {
    self.parts_.report->change(
        [&](UpkeepStatus& status) { status.unread_bytes += slot.extent.length; });
  } else if (error != Errc::ok) {
    self.note_failure(slot.extent.offset, error);
  }
  if (++self.batch_ended_ >= kDepth && !self.drains_) {
    const std::uint64_t requests = self.parts_.upkeep->requests();
    self.drains_ = requests != self.users_requests_ && self.parts_.options.share_percent < 100;
    self.batch_ended_ = 0;
    if (!self.drains_) self.batch_began_ns_ = self.lane_->now_ns();
  }
  self.turn_soon();
}

// Users have asked for something during the batch, which has ended: it has taken its share.
void UpkeepDriver::give_way() {
  const std::uint64_t now = lane_->now_ns();
  const std::uint64_t share = std::max(1u, parts_.options.share_percent);
  drains_ = false;
  batch_ended_ = 0;
  rest_until_ns_ = now + (now - batch_began_ns_) * (100 - share) / share;
  rest_on(now);
}

// For a while, and then it looks whether users have asked for something.
void UpkeepDriver::rest_on(std::uint64_t now) {
  users_requests_ = parts_.upkeep->requests();
  lane_->arm(timer_, std::min(rest_until_ns_, now + kRestNs));
}

// True: it is not over, and users were there all the time.
bool UpkeepDriver::rests() {
  if (rest_until_ns_ == 0) return false;
  const std::uint64_t now = lane_->now_ns();
  if (!stopping_ && now < rest_until_ns_ && parts_.upkeep->requests() != users_requests_) {
    rest_on(now);
    return true;
  }
  rest_until_ns_ = 0;
  batch_began_ns_ = now;
  return false;
}

// --- how far it is

// A byte of the device: everything of the job before it is done.
std::uint64_t UpkeepDriver::all_done_below() const {
  std::uint64_t low = at_;
  for (const Slot& each : slots_) {
    if (each.busy) low = std::min(low, each.extent.offset);
  }
  return error_ == Errc::ok ? low : std::min(low, failed_at_);
}

std::uint64_t UpkeepDriver::done_bytes(std::uint64_t offset) const {
  std::uint64_t sum = 0;
  for (const Extent& each : job_.ranges) {
    if (offset <= each.offset) break;
    sum += std::min(offset, each.end()) - each.offset;
  }
  return sum;
}

void UpkeepDriver::tell_progress() {
  if (!checks() && !job_.ranges.empty()) parts_.upkeep->progress(job_, all_done_below());
}

void UpkeepDriver::report_progress() {
  const std::uint64_t done = done_bytes(all_done_below());
  const std::uint64_t ns = std::max<std::uint64_t>(1, lane_->now_ns() - job_began_ns_);
  const std::uint64_t mismatches = parts_.upkeep->mismatches() - mismatches_before_;
  parts_.report->change([&](UpkeepStatus& status) {
    status.done_bytes = done;
    status.bytes_per_second =
        static_cast<std::uint64_t>(static_cast<double>(done) * 1e9 / static_cast<double>(ns));
    status.mismatches = mismatches;
  });
}

// --- the end of a pass over the job, of the job, of all

// Nothing is under way, and nothing more is asked for now.
void UpkeepDriver::end_pass() {
  const std::uint64_t low = all_done_below();
  const bool all = range_ == job_.ranges.size();
  const bool goes_on = !stopping_ && !useless_;
  if (error_ != Errc::ok && goes_on && (!tried_again_ || low > tried_from_)) {
    tried_again_ = true;
    tried_from_ = low;
    error_ = Errc::ok;
    at_ = low;
    range_ = 0;
    while (range_ + 1 < job_.ranges.size() && job_.ranges[range_].end() <= low) ++range_;
    return turn_soon();
  }
  tell_progress();
  if (checks()) {
    if (all) parts_.upkeep->finish(job_);
    return end(all ? UpkeepStatus::State::done : UpkeepStatus::State::stopped);
  }
  const bool completes = all && error_ == Errc::ok && !useless_;
  phase_ = completes ? Phase::flushing : Phase::over;
  flush(completes ? std::uint8_t{0} : kQuiet);
}

void UpkeepDriver::flush(std::uint8_t flags) {
  Bio* const bio = channel_->allocate();
  if (bio == nullptr) {
    flush_error_ = Errc::no_memory;
    return turn_soon();
  }
  flushing_ = true;
  bio->op = Op::flush;
  bio->flags = flags;
  bio->offset = bio->length = 0;
  bio->payload = {};
  bio->user = this;
  bio->end_io = &end_flush;
  channel_->submit(*bio);
}

void UpkeepDriver::end_flush(Bio& bio) noexcept {
  UpkeepDriver& self = *static_cast<UpkeepDriver*>(bio.user);
  // A checkpoint that fails is made up for by the next one.
  if (self.phase_ != Phase::working) self.flush_error_ = bio.error;
  self.channel_->release(bio);
  self.flushing_ = false;
  self.turn_soon();
}

void UpkeepDriver::after_flush() {
  if (flush_error_ != Errc::ok) {
    return end(UpkeepStatus::State::failed,
               fmt::format("{}: a flush failed: {}", job_.text, to_string(flush_error_)));
  }
  switch (phase_) {
    case Phase::working:
      return;
    case Phase::flushing:
      finish_said_ = parts_.upkeep->finish(job_);
      fruitless_ = finish_said_ ? 0 : fruitless_ + 1;
      phase_ = Phase::telling;
      return flush(kQuiet);
    case Phase::telling:
      if (finish_said_) parts_.report->change([](UpkeepStatus& status) { ++status.works; });
      if (stopping_) {
        const bool all = finish_said_ && (!from_due_ || !parts_.upkeep->due());
        return end(all ? UpkeepStatus::State::done : UpkeepStatus::State::stopped);
      }
      // Requests that failed midway are made up for by a resync; not for ever.
      if (fruitless_ >= 3 || (!finish_said_ && !parts_.upkeep->wanted(job_))) {
        return end(UpkeepStatus::State::failed, fmt::format("{} has come to nothing", job_.text));
      }
      return next_job();
    case Phase::over:
      if (useless_) {
        if (auto job = stopping_ ? std::nullopt : parts_.upkeep->due()) {
          return begin(std::move(*job));
        }
        return end(UpkeepStatus::State::failed,
                   fmt::format("{} has come to nothing: the member was dropped", job_.text));
      }
      if (error_ == Errc::ok) return end(UpkeepStatus::State::stopped);
      return end(UpkeepStatus::State::failed, fmt::format("{} stopped at byte {}: {}", job_.text,
                                                          failed_at_, to_string(error_)));
  }
}

void UpkeepDriver::end(UpkeepStatus::State state, const std::string& problem) {
  if (channel_ != nullptr) report_progress();
  if (!parts_.report->settle(state, problem)) {
    from_due_ = parts_.device->writable();
    return next_job();
  }
  channel_.reset();
  ended_ = true;
}

}  // namespace ashlar
