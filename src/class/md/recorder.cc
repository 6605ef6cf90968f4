// Records, phase by phase and batch by batch.
#include "class/md/recorder.h"

#include <algorithm>

namespace ashlar {

std::optional<Verdict> MdRecorder::enter(Bio& bio, MdRecordPad& pad, Extent sync_range,
                                         MdLocal& local, Context& cx) noexcept {
  pad.stage = MdRecordPad::Stage::enter;
  pad.waits = pad.records = false;
  pad.range = sync_range;
  const bool asks = keeper_ != nullptr && planted_ != MdPlanted::late_dirt;
  return asks ? ask(bio, pad, local, cx) : std::nullopt;
}

std::optional<Verdict> MdRecorder::leave(Bio& bio, MdRecordPad& pad, md::Written written,
                                         MdLocal& local, Context& cx) noexcept {
  if (keeper_ == nullptr) return std::nullopt;
  if (!ends_early()) keeper_->end_write(pad.range, written);
  const bool late = planted_ == MdPlanted::late_dirt;
  pad.stage = late ? MdRecordPad::Stage::late : MdRecordPad::Stage::leave;
  return ask(bio, pad, local, cx);
}

std::optional<Verdict> MdRecorder::settle(Bio& bio, MdRecordPad& pad, MdLocal& local,
                                          Context& cx) noexcept {
  const bool quiet = (bio.flags & kQuiet) != 0;
  pad.stage = quiet ? MdRecordPad::Stage::clean : MdRecordPad::Stage::leave;
  pad.waits = pad.records = false;
  return keeper_ == nullptr ? std::nullopt : ask(bio, pad, local, cx);
}

std::optional<Verdict> MdRecorder::go_on(Bio& bio, MdRecordPad& pad, MdLocal& local,
                                         Context& cx) noexcept {
  if (std::exchange(pad.waits, false)) std::destroy_at(&pad.its_wait());
  if (pad.records) {
    // What could not be put is in failed_.
    bio.error = Errc::ok;
    bio.done = 0;
    if (const auto batch = next_batch(bio, cx)) return batch;
    pad.records = false;
    bio.shielded = false;
  }
  return ask(bio, pad, local, cx);
}

bool MdRecorder::forget(MdRecordPad& pad) noexcept {
  if (!pad.waits || !keeper_->forget(pad.its_wait().waiter)) return false;
  pad.waits = false;
  std::destroy_at(&pad.its_wait());
  return true;
}

md::Answer MdRecorder::ask_keeper(const MdRecordPad& pad, md::Keeper::Waiter& waiter) noexcept {
  switch (pad.stage) {
    case MdRecordPad::Stage::enter:
    case MdRecordPad::Stage::late: {
      const md::Answer answer = keeper_->begin_write(pad.range, waiter);
      const bool ends = answer == md::Answer::open && ends_early();
      if (ends) keeper_->end_write(pad.range, md::Written::all);
      return answer;
    }
    case MdRecordPad::Stage::leave:
      return keeper_->settle_failures(waiter);
    case MdRecordPad::Stage::clean: {
      const std::uint64_t changes = changes_.load();
      const md::Answer answer = keeper_->begin_clean(waiter);
      if (answer == md::Answer::open) cleaned_.store(changes);
      // Somebody writes, and will leave it clean.
      return answer == md::Answer::busy ? keeper_->checkpoint(waiter) : answer;
    }
  }
  return md::Answer::lost;
}

std::optional<Verdict> MdRecorder::ask(Bio& bio, MdRecordPad& pad, MdLocal& local,
                                       Context& cx) noexcept {
  MdKeeperWait& wait = *new (pad.wait) MdKeeperWait;
  wait.parked.bio = &bio;
  wait.parked.local = &local;
  wait.waiter.user = &wait;
  wait.waiter.wake = [](md::Keeper::Waiter& waiter) noexcept {
    MdKeeperWait& its = *static_cast<MdKeeperWait*>(waiter.user);
    its.parked.local->wake(its.parked);
  };
  const md::Answer answer = ask_keeper(pad, wait.waiter);
  if (answer == md::Answer::wait) {
    pad.waits = true;
    bio.error = Errc::ok;
    bio.done = 0;
    return Verdict::held();
  }
  std::destroy_at(&wait);
  if (answer == md::Answer::open) return std::nullopt;
  if (answer == md::Answer::record) {
    changes_.fetch_add(1);
    pad.records = true;
    bio.shielded = true;
    if (start_record()) {
      if (const auto batch = next_batch(bio, cx)) return batch;
    }
    // Nothing to be put, or no memory for it.
    pad.records = false;
    bio.shielded = false;
    return go_on(bio, pad, local, cx);
  }
  bio.fail(Errc::io);
  return Verdict::done();
}

// False: there was no memory for it, and every device has failed.
bool MdRecorder::start_record() noexcept {
  const md::Record& record = keeper_->record();
  at_ = At::flush_first;
  phase_ = put_ = 0;
  try {
    std::uint32_t most = 0;
    for (const std::uint32_t each : record.devices) most = std::max(most, each + 1);
    failed_.assign(most, false);
    devices_failed_.reserve(record.devices.size());
    std::size_t puts = 0;
    for (const md::Phase& each : record.phases) puts = std::max(puts, each.puts.size());
    segments_.resize(puts);
  } catch (const std::bad_alloc&) {
    keeper_->recorded(record.devices);
    dropper_.drop_devices(record.devices);
    return false;
  }
  return true;
}

bool MdRecorder::add_flushes(Split& split) noexcept {
  bool any = false;
  for (const std::uint32_t each : keeper_->record().devices) {
    if (failed_[each]) continue;
    split.add_own({.op = Op::flush, .consumer = each, .tag = each});
    any = true;
  }
  return any;
}

// Nothing: the record has come to its end.
std::optional<Verdict> MdRecorder::next_batch(Bio& bio, Context& cx) noexcept {
  const md::Record& record = keeper_->record();
  Split split(cx, bio);
  while (phase_ < record.phases.size()) {
    const md::Phase& phase = record.phases[phase_];
    bool any = false;
    if (at_ == At::flush_first) {
      at_ = At::puts;
      if (phase.flush_first) any = add_flushes(split);
    } else if (at_ == At::puts) {
      for (std::uint16_t n = 0; n < kMostPuts && put_ < phase.puts.size(); ++put_) {
        const md::Put& put = phase.puts[put_];
        if (failed_[put.device]) continue;
        segments_[put_] = {const_cast<std::byte*>(put.bytes.data()), put.bytes.size()};
        split.add_own({.op = Op::write,
                       .flags = fua_ ? kFua : std::uint8_t{0},
                       .consumer = put.device,
                       .offset = put.offset,
                       .length = put.bytes.size(),
                       .payload = Payload{&segments_[put_], 1, 0},
                       .tag = put.device});
        ++n;
        any = true;
      }
      if (put_ == phase.puts.size()) at_ = At::flush_behind;
    } else {
      if (!fua_ && !phase.puts.empty()) any = add_flushes(split);
      ++phase_;
      put_ = 0;
      at_ = At::flush_first;
    }
    if (any) return split.verdict();
  }
  end_record();
  return std::nullopt;
}

void MdRecorder::end_record() noexcept {
  devices_failed_.clear();
  for (std::uint32_t i = 0; i < failed_.size(); ++i) {
    if (failed_[i]) devices_failed_.push_back(i);
  }
  // The next record may start, on another lane, as soon as this one is said to be over.
  const std::vector<std::uint32_t> failed = std::move(devices_failed_);
  devices_failed_ = {};
  keeper_->recorded(failed);
  if (!failed.empty()) dropper_.drop_devices(failed);
}

void MdRecorder::member_failed(MemberSet roles) noexcept {
  if (keeper_ == nullptr) return;
  changes_.fetch_add(1);  // the others are to say so
  if (planted_ == MdPlanted::silent_failures) return;
  for (; roles != 0; roles &= roles - 1) keeper_->member_failed(first_member(roles));
}

}  // namespace ashlar
