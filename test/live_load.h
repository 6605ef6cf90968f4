// Verified load on one device of a node: what the tests of live change run on their lanes.
//
// Each request has a part of the device of its own, so what a read must find is known exactly: the
// model has, for every block, the version that the last completed write left there. THREAD: a lane
// each; LiveLoad is made and used on its own.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "node/node.h"
#include "test/block_model.h"

namespace ashlar::test {

// What all loads of a test count together.
struct LiveTally {
  std::atomic<std::uint64_t> ended{0};
  std::atomic<std::uint64_t> failed{0};
  std::atomic<std::uint64_t> wrong{0};
};

class LiveLoad {
 public:
  static constexpr std::uint64_t kBlock = 4096;
  static constexpr std::uint64_t kPartBlocks = 8;  // of one request's part

  // Bytes of a device that `loads` of `depth` need.
  static constexpr std::uint64_t bytes_for(unsigned loads, unsigned depth) {
    return kPartBlocks * kBlock * loads * depth;
  }

  // Its requests are in the `part`-th stretch of the device, which must be zeros.
  LiveLoad(Node& node, const std::string& device, unsigned part, unsigned depth, std::uint64_t seed,
           LiveTally& tally)
      : node_(node), name_(device), random_(seed), tally_(tally), lane_(Lane::create({}).value()) {
    requests_.reserve(depth);
    for (unsigned i = 0; i < depth; ++i) {
      requests_.push_back(std::make_unique<Request>(*this, (part * depth + i) * kPartBlocks));
    }
    open();
  }
  LiveLoad(const LiveLoad&) = delete;
  LiveLoad& operator=(const LiveLoad&) = delete;
  ~LiveLoad() { drain(); }

  // Keeps all requests under way until `count` more have ended.
  void run(std::uint64_t count) {
    const std::uint64_t target = ended_ + count;
    while (ended_ < target && tally_.wrong == 0) {
      for (const auto& each : requests_) {
        if (each->bio == nullptr) submit(*each);
      }
      lane_->wait(10);
    }
  }

  // Lets all end.
  void drain() {
    while (under_way_ > 0) lane_->wait(10);
  }

  // Closes the device and opens it again.
  void reopen() {
    drain();
    channel_.reset();
    device_.reset();
    open();
  }

  // Reads back every part.
  void verify() {
    drain();
    for (const auto& each : requests_) start(*each, Op::read, 0, kPartBlocks);
    drain();
  }

  Device& device() { return *device_; }

 private:
  struct Request {
    Request(LiveLoad& its, std::uint64_t first)
        : load(its), first_block(first), model(kPartBlocks * kBlock, kBlock, false) {
      memory.resize(kPartBlocks * kBlock);
    }
    LiveLoad& load;
    const std::uint64_t first_block;
    BlockModel model;  // of its part
    Version version = 0;
    Bio* bio = nullptr;
    Extent extent;  // in the part
    std::vector<std::byte> memory;
    Segment segment;
  };

  void open() {
    auto opened = node_.open(name_, {.write = true, .user = "a load"});
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    device_ = std::move(*opened);
    channel_ = device_->channel(*lane_).value();
  }

  void submit(Request& request) {
    constexpr std::array kMix = {Op::read,  Op::read,  Op::write,
                                 Op::write, Op::flush, Op::write_zeroes};
    const Op op = kMix[random_.below(kMix.size())];
    const std::uint64_t first = random_.below(kPartBlocks);
    start(request, op, first, 1 + random_.below(kPartBlocks - first));
  }

  void start(Request& request, Op op, std::uint64_t first, std::uint64_t blocks) {
    request.extent = {first * kBlock, blocks * kBlock};
    const ByteSpan memory = ByteSpan(request.memory).first(request.extent.length);
    request.segment = {memory.data(), memory.size()};
    if (op == Op::write) {
      // Versions are never used again, so that old bytes are told from new ones.
      request.model.fill(request.extent, ++request.version, memory);
    }
    Bio& bio = *channel_->allocate();
    bio.op = op;
    bio.flags = op == Op::write && random_.one_in(8) ? std::uint8_t{kFua} : std::uint8_t{0};
    bio.offset = op == Op::flush ? 0 : request.first_block * kBlock + request.extent.offset;
    bio.length = op == Op::flush ? 0 : request.extent.length;
    bio.payload = has_payload(op) ? Payload{&request.segment, 1, 0} : Payload{};
    bio.user = &request;
    bio.end_io = [](Bio& done) noexcept {
      auto& mine = *static_cast<Request*>(done.user);
      mine.load.end(mine, done);
    };
    request.bio = &bio;
    ++under_way_;
    channel_->submit(bio);
  }

  void end(Request& request, Bio& bio) noexcept {
    ASHLAR_ASSERT(request.bio == &bio);  // else it ended twice, or was never submitted
    request.bio = nullptr;
    --under_way_;
    ++ended_;
    if (bio.error != Errc::ok) {
      if (tally_.failed++ == 0) ADD_FAILURE() << device_->describe_failure(bio, bio.offset);
    } else if (bio.op == Op::write) {
      request.model.wrote(request.extent, request.version, true);
    } else if (bio.op == Op::write_zeroes) {
      request.model.zeroed(request.extent, true);
    } else if (bio.op == Op::read) {
      check(request);
    }
    channel_->release(bio);
    ++tally_.ended;
  }

  void check(Request& request) {
    const auto problem =
        request.model.check(request.extent, ByteView(request.memory).first(request.extent.length));
    if (problem && tally_.wrong++ == 0) {
      ADD_FAILURE() << "part at block " << request.first_block << ": " << *problem;
    }
  }

  Node& node_;
  const std::string name_;
  Random random_;
  LiveTally& tally_;
  std::unique_ptr<Lane> lane_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Channel> channel_;
  std::vector<std::unique_ptr<Request>> requests_;
  std::uint64_t ended_ = 0;
  std::uint64_t under_way_ = 0;
};

}  // namespace ashlar::test
