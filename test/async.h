// One request that a test submits and looks after, for tests that need several under way.
//
//   Async one(device.channel(), Op::read, 0, buffer);
//   EXPECT_FALSE(one.ended());
//   one.cancel();
//   EXPECT_EQ(one.wait(), Errc::cancelled);
#pragma once

#include <gtest/gtest.h>

#include "program/channel.h"

namespace ashlar::test {

// THREAD: the lane's. Ends its request, in the destructor, before it goes.
class Async {
 public:
  // Submits at once. The memory must stay until the request has ended.
  Async(Channel& channel, Op op, std::uint64_t offset, ByteSpan memory, std::uint8_t flags = 0)
      : Async(channel, op, offset, memory.size(), Segment{memory.data(), memory.size()}, flags) {}
  // Without a payload.
  Async(Channel& channel, Op op, std::uint64_t offset, std::uint64_t length)
      : Async(channel, op, offset, length, Segment{}, 0) {}

  Async(const Async&) = delete;
  Async& operator=(const Async&) = delete;
  ~Async() {
    wait();
    EXPECT_EQ(ends_, 1);
    channel_.release(*bio_);
  }

  bool ended() const { return ends_ != 0; }
  Bio& bio() { return *bio_; }
  void cancel() { channel_.lane().cancel(*bio_); }

  // Runs the lane until the request has ended; its error.
  Errc wait() {
    while (!ended()) channel_.lane().wait(1000);
    return bio_->error;
  }

 private:
  Async(Channel& channel, Op op, std::uint64_t offset, std::uint64_t length, Segment memory,
        std::uint8_t flags)
      : channel_(channel), bio_(channel.allocate()), memory_(memory) {
    bio_->op = op;
    bio_->flags = flags;
    bio_->offset = offset;
    bio_->length = length;
    bio_->payload = has_payload(op) ? Payload{&memory_, 1, 0} : Payload{};
    bio_->user = this;
    bio_->end_io = [](Bio& done) noexcept { ++static_cast<Async*>(done.user)->ends_; };
    channel_.submit(*bio_);
  }

  Channel& channel_;
  Bio* bio_;
  Segment memory_;
  int ends_ = 0;
};

}  // namespace ashlar::test
