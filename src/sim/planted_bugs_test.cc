// Goal: the simulator finds the bugs that block layers have, each within a bounded number of seeds.
// Method: a real class is exchanged for a variant with one bug; disks that lie or write to wrong
// places are bugs below the stack, and deadlines have a seam of their own. The real classes pass
// (run_test.cc).
#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <vector>

#include "program/split.h"
#include "sim/run.h"
#include "sim/variant_test_util.h"

namespace ashlar::sim {
namespace {

// --- a mirror that flushes one leg ---------------------------------------------------------------

class HalfFlushedMirror final : public Variant {
 public:
  using Variant::Variant;

 private:
  void replace(StepCode& code) override {
    code.make_local = nullptr;  // it is the real body's, for legs that join; none does here
    code.on_request = [](void* body, Bio& bio, void* pad, Context& cx) noexcept {
      const StepCode& real = static_cast<HalfFlushedMirror*>(body)->real_code();
      if (bio.op == Op::flush) return Verdict::forward(0);
      return real.on_request(real.body, bio, pad, cx);
    };
    code.on_complete = [](void* body, Bio& bio, void* pad, Context& cx) noexcept {
      const StepCode& real = static_cast<HalfFlushedMirror*>(body)->real_code();
      if (bio.op == Op::flush) return Verdict::done();
      return real.on_complete(real.body, bio, pad, cx);
    };
    code.on_child = [](void* body, Bio& bio, Bio& child, void* pad, Context& cx) noexcept {
      const StepCode& real = static_cast<HalfFlushedMirror*>(body)->real_code();
      real.on_child(real.body, bio, child, pad, cx);
    };
  }
};

TEST(PlantedBugs, a_mirror_that_flushes_one_leg_is_found) {
  const ClassInfo bad = variant_of<HalfFlushedMirror>("mirror");
  expect_found({.find = with("mirror", bad)});
}

// --- a split that answers before its last child has ended ----------------------------------------

// Cuts each longer write in two. The second half goes down with the next request only: the write
// ends before its last child.
class HastySplit final : public Variant {
 public:
  using Variant::Variant;

  void adjust_limits(std::uint32_t provider, Limits& limits) const override {
    Variant::adjust_limits(provider, limits);
    block_ = limits.block_bytes;
  }

 private:
  struct Late {
    std::uint64_t offset;
    std::vector<std::byte> bytes;
    Segment segment;
  };

  void replace(StepCode& code) override {
    code.max_children = 2;
    code.on_request = [](void* body, Bio& bio, void*, Context& cx) noexcept {
      return static_cast<HastySplit*>(body)->request(bio, cx);
    };
    code.on_complete = [](void*, Bio& bio, void*, Context&) noexcept {
      if (bio.ok()) bio.succeed();
      return Verdict::done();
    };
  }

  Verdict request(Bio& bio, Context& cx) noexcept {
    const std::size_t late = late_.size();
    std::uint64_t now = bio.length;
    if (bio.op == Op::write && bio.length > block_) now = keep_half(bio);
    if (sent_ == late && now == bio.length) return Verdict::forward(0);
    Split split(cx, bio);
    split.add(0, bio.offset, 0, now);
    if (sent_ < late) {
      Late& each = late_[sent_++];
      split.add_own({.op = Op::write,
                     .offset = each.offset,
                     .length = each.bytes.size(),
                     .payload = {&each.segment, 1, 0}});
    }
    return split.verdict();
  }

  // How much of the write is done at once.
  std::uint64_t keep_half(const Bio& bio) {
    const std::uint64_t now = align_up(bio.length / 2, block_);
    Late& each = late_.emplace_back();
    each.offset = bio.offset + now;
    each.bytes.resize(bio.length - now);
    each.segment = {each.bytes.data(), each.bytes.size()};
    bio.payload.from(now).copy_to(each.bytes.data(), each.bytes.size());
    return now;
  }

  mutable std::uint32_t block_ = 512;
  std::deque<Late> late_;  // all of them, so that their memory stays
  std::size_t sent_ = 0;
};

TEST(PlantedBugs, a_split_that_ends_before_its_last_child_is_found) {
  const ClassInfo bad = variant_of<HastySplit>("passthrough");
  expect_found({.find = with("passthrough", bad)});
}

// --- a layer that keeps FUA to itself ------------------------------------------------------------

// What was to be durable when it is acknowledged is written like anything else.
class FuaEater final : public Variant {
 public:
  using Variant::Variant;

 private:
  void replace(StepCode& code) override {
    code.on_request = [](void* body, Bio& bio, void* pad, Context& cx) noexcept {
      const StepCode& real = static_cast<FuaEater*>(body)->real_code();
      bio.flags = static_cast<std::uint8_t>(bio.flags & ~kFua);
      return real.on_request(real.body, bio, pad, cx);
    };
    if (code.on_complete == nullptr) return;
    code.on_complete = [](void* body, Bio& bio, void* pad, Context& cx) noexcept {
      const StepCode& real = static_cast<FuaEater*>(body)->real_code();
      return real.on_complete(real.body, bio, pad, cx);
    };
  }
};

TEST(PlantedBugs, a_layer_that_drops_fua_is_found) {
  const ClassInfo bad = variant_of<FuaEater>("passthrough");
  expect_found({.find = with("passthrough", bad)});
}

// --- a layer that acknowledges a flush before it is done -----------------------------------------

class FlushEater final : public Variant {
 public:
  using Variant::Variant;

 private:
  void replace(StepCode& code) override {
    code.on_request = [](void* body, Bio& bio, void* pad, Context& cx) noexcept {
      const StepCode& real = static_cast<FlushEater*>(body)->real_code();
      if (bio.op != Op::flush) return real.on_request(real.body, bio, pad, cx);
      bio.succeed();
      return Verdict::done();
    };
    if (code.on_complete == nullptr) return;
    code.on_complete = [](void* body, Bio& bio, void* pad, Context& cx) noexcept {
      const StepCode& real = static_cast<FlushEater*>(body)->real_code();
      return real.on_complete(real.body, bio, pad, cx);
    };
  }
};

TEST(PlantedBugs, a_layer_that_acknowledges_a_flush_early_is_found) {
  const ClassInfo bad = variant_of<FlushEater>("passthrough");
  expect_found({.find = with("passthrough", bad)});
}

// --- a cache that flushes below before what is dirty is there
// --------------------------------------

class HastyCache final : public Variant {
 public:
  using Variant::Variant;

 private:
  // The body stays the real one, which keeps a state in each context.
  void replace(StepCode& code) override {
    code = real_code();
    real_request_ = code.on_request;
    code.on_request = [](void* body, Bio& bio, void* pad, Context& cx) noexcept {
      if (bio.op != Op::flush) return real_request_(body, bio, pad, cx);
      std::memset(pad, 0, sizeof(void*));  // as of a flush that finds nothing dirty
      return Verdict::forward(0);
    };
  }

  static inline RequestFn real_request_ = nullptr;
};

TEST(PlantedBugs, a_cache_that_flushes_before_what_is_dirty_is_written_is_found) {
  const ClassInfo bad = variant_of<HastyCache>("cache");
  expect_found({.find = with("cache", bad)});
}

// --- logs ----------------------------------------------------------------------------------------

// Every eighth write is carried out and not logged.
class ForgetfulLog final : public Variant {
 public:
  using Variant::Variant;

 private:
  void replace(StepCode& code) override {
    code.on_request = [](void* body, Bio& bio, void* pad, Context& cx) noexcept {
      auto& self = *static_cast<ForgetfulLog*>(body);
      const StepCode& real = self.real_code();
      if (bio.op != Op::write || ++self.writes_ % 8 != 0) {
        return real.on_request(real.body, bio, pad, cx);
      }
      std::memset(pad, 0, real.pad_bytes);  // as of a request that is not to be logged
      return Verdict::forward(0);
    };
    code.on_complete = [](void* body, Bio& bio, void* pad, Context& cx) noexcept {
      const StepCode& real = static_cast<ForgetfulLog*>(body)->real_code();
      return real.on_complete(real.body, bio, pad, cx);
    };
    code.on_cancel = [](void* body, Bio& bio, void* pad, Context& cx) noexcept {
      const StepCode& real = static_cast<ForgetfulLog*>(body)->real_code();
      real.on_cancel(real.body, bio, pad, cx);
    };
  }

  std::uint64_t writes_ = 0;
};

// The log hears of a plain write's end only behind the next flush, which covers it.
class LateLog final : public Variant {
 public:
  using Variant::Variant;
  ~LateLog() override {
    for (Late& each : late_) tell(each, *last_);
  }

 private:
  struct Late {
    std::unique_ptr<Bio> bio;
    std::vector<std::byte> pad;
  };

  void replace(StepCode& code) override {
    code.on_request = [](void* body, Bio& bio, void* pad, Context& cx) noexcept {
      const StepCode& real = static_cast<LateLog*>(body)->real_code();
      return real.on_request(real.body, bio, pad, cx);
    };
    code.on_complete = [](void* body, Bio& bio, void* pad, Context& cx) noexcept {
      return static_cast<LateLog*>(body)->complete(bio, pad, cx);
    };
    code.on_cancel = [](void* body, Bio& bio, void* pad, Context& cx) noexcept {
      const StepCode& real = static_cast<LateLog*>(body)->real_code();
      real.on_cancel(real.body, bio, pad, cx);
    };
  }

  Verdict complete(Bio& bio, void* pad, Context& cx) noexcept {
    last_ = &cx;
    if (bio.op == Op::write && bio.ok() && !bio.fua()) {
      const auto* bytes = static_cast<const std::byte*>(pad);
      auto copy = std::make_unique<Bio>();
      copy->op = bio.op;
      late_.push_back({std::move(copy), {bytes, bytes + real_code().pad_bytes}});
      return Verdict::done();
    }
    const Verdict verdict = real_code().on_complete(real_code().body, bio, pad, cx);
    if (bio.op != Op::flush) return verdict;
    for (Late& each : late_) tell(each, cx);
    late_.clear();
    return verdict;
  }

  void tell(Late& late, Context& cx) noexcept {
    static_cast<void>(real_code().on_complete(real_code().body, *late.bio, late.pad.data(), cx));
  }

  std::vector<Late> late_;
  Context* last_ = nullptr;
};

TEST(PlantedBugs, a_log_that_drops_an_entry_is_found) {
  const ClassInfo bad = variant_of<ForgetfulLog>("write_log");
  expect_found({.find = with("write_log", bad)});
}

TEST(PlantedBugs, a_log_of_a_flush_before_the_writes_that_it_covers_is_found) {
  const ClassInfo bad = variant_of<LateLog>("write_log");
  expect_found({.find = with("write_log", bad)});
}

// --- deadlines -----------------------------------------------------------------------------------

enum class DeadlineBug { ends_without_its_parts, ends_twice, fires_early, never_fires };

// A deadline with one bug; what is right in it is as in program/deadline.cc.
template <DeadlineBug kBug>
class BadDeadline final : public Timekeeper {
 public:
  void submit(Channel& channel, Bio& bio, std::uint64_t at_ns) noexcept override {
    bio_ = &bio;
    lane_ = &channel.lane();
    end_io_ = std::exchange(bio.end_io, &BadDeadline::ended);
    user_ = std::exchange(bio.user, this);
    timer_.user = this;
    timer_.expired = &BadDeadline::expired;
    const std::uint64_t now = lane_->now_ns();
    if (kBug == DeadlineBug::fires_early) at_ns = now + (at_ns - now) / 2;
    if (kBug != DeadlineBug::never_fires) lane_->arm(timer_, at_ns);
    channel.submit(bio);
  }

 private:
  static void expired(Timer& timer, Context&) noexcept {
    auto& self = *static_cast<BadDeadline*>(timer.user);
    self.expired_ = true;
    if (kBug != DeadlineBug::ends_without_its_parts) return self.lane_->cancel(*self.bio_);
    self.bio_->fail(Errc::timed_out);
    self.tell();
    self.bio_->end_io = &BadDeadline::ended;
    self.bio_->user = &self;
  }
  static void ended(Bio& bio) noexcept {
    auto& self = *static_cast<BadDeadline*>(bio.user);
    if (self.timer_.armed) self.lane_->disarm(self.timer_);
    if (self.expired_ && bio.error == Errc::cancelled) bio.error = Errc::timed_out;
    self.tell();
    if (kBug == DeadlineBug::ends_twice && self.expired_) self.tell();
  }
  void tell() noexcept {
    bio_->end_io = end_io_;
    bio_->user = user_;
    bio_->end_io(*bio_);
  }

  Bio* bio_ = nullptr;
  Lane* lane_ = nullptr;
  EndIo end_io_ = nullptr;
  void* user_ = nullptr;
  bool expired_ = false;
  Timer timer_;
};

template <DeadlineBug kBug>
void expect_deadline_found() {
  expect_found({.make_timekeeper = [] { return std::make_unique<BadDeadline<kBug>>(); }});
}

TEST(PlantedBugs, a_deadline_that_ends_a_request_before_its_parts_is_found) {
  expect_deadline_found<DeadlineBug::ends_without_its_parts>();
}

TEST(PlantedBugs, a_deadline_that_ends_a_request_twice_is_found) {
  expect_deadline_found<DeadlineBug::ends_twice>();
}

TEST(PlantedBugs, a_deadline_that_fires_early_is_found) {
  expect_deadline_found<DeadlineBug::fires_early>();
}

TEST(PlantedBugs, a_deadline_that_never_fires_is_found) {
  expect_deadline_found<DeadlineBug::never_fires>();
}

// --- disks ---------------------------------------------------------------------------------------

TEST(PlantedBugs, disks_that_lie_about_flushes_are_found) {
  expect_found({.faults = FaultSetting::lost_flush});
}

TEST(PlantedBugs, disks_that_write_to_wrong_places_are_found) {
  expect_found({.faults = FaultSetting::misdirect});
}

}  // namespace
}  // namespace ashlar::sim
