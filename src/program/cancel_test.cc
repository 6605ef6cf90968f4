// Goal: a request can be cancelled in every state that it can be in, with all its parts; it still
// ends exactly once, and not later than those parts.
// Method: probes that hold requests where the test wants them; the states one by one. Where the
// moment is another thread's, many rounds.
#include <deque>

#include "program/split.h"
#include "test/async.h"
#include "test/bounded_memory.h"
#include "test/probe.h"

namespace ashlar {
namespace {

using test::Async;
using test::BoundedMemory;
using test::Opened;
using test::Probe;
using test::ProbeClass;
using test::ProbePad;
using test::Rig;

constexpr std::uint64_t kSize = 64 * kKiB;

class CancelTest : public testing::Test {
 protected:
  // A leaf that keeps requests until they are cancelled, and counts.
  Provider& holding_leaf(const std::string& name = "leaf") {
    Probe& body = probes_.body();
    body.request = [this](Bio&, ProbePad&, Context&) {
      ++arrived_;
      return Verdict::held();
    };
    body.cancel = [this](Bio& bio, ProbePad&, Context& cx) {
      ++told_;
      bio.fail(Errc::cancelled);
      cx.resume(bio, Verdict::done());
    };
    return probes_.make(rig_, name, {}, kSize);
  }

  // A layer that sends a part to each consumer.
  Provider& spreader(const std::string& name, const std::vector<Provider*>& over) {
    Probe& body = probes_.body();
    const auto count = static_cast<std::uint16_t>(over.size());
    body.children = count;
    body.request = [count](Bio& bio, ProbePad&, Context& cx) {
      Split split(cx, bio);
      for (std::uint16_t i = 0; i < count; ++i) {
        split.add(i, bio.offset, bio.length / count * i, bio.length / count);
      }
      return split.verdict();
    };
    return probes_.make(rig_, name, over);
  }

  ProbeClass probes_;
  Rig rig_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(8192);
  int arrived_ = 0;
  int told_ = 0;
};

TEST_F(CancelTest, one_that_a_step_holds) {
  Opened device = rig_.open(holding_leaf());
  Async one(device.channel(), Op::read, 4096, buffer_);
  EXPECT_FALSE(one.ended());
  one.cancel();
  EXPECT_EQ(one.wait(), Errc::cancelled);
  EXPECT_EQ(told_, 1);
  EXPECT_EQ(fault_of(one.bio()).offset, 4096u);
}

TEST_F(CancelTest, twice_is_once) {
  Opened device = rig_.open(holding_leaf());
  Async one(device.channel(), Op::read, 0, buffer_);
  one.cancel();
  one.cancel();
  EXPECT_EQ(one.wait(), Errc::cancelled);
  EXPECT_EQ(told_, 1);
}

TEST_F(CancelTest, all_parts_of_parts) {
  Provider& leaf = holding_leaf();
  std::vector<Provider*> middle;
  for (int i = 0; i < 4; ++i) middle.push_back(&spreader("m" + std::to_string(i), {&leaf, &leaf}));
  Opened device = rig_.open(spreader("top", middle));
  Async one(device.channel(), Op::read, 0, buffer_);
  rig_.lane().poll();
  EXPECT_EQ(arrived_, 8);
  EXPECT_EQ(one.bio().outstanding, 4);
  one.cancel();
  EXPECT_EQ(one.wait(), Errc::cancelled);
  EXPECT_EQ(told_, 8);
}

TEST_F(CancelTest, parts_that_have_not_started) {
  Provider& leaf = holding_leaf();
  Opened device = rig_.open(spreader("top", {&leaf, &leaf}));
  // The parts wait in the run list while the completion of another request runs.
  struct Scene {
    Channel* channel;
    Bio* second;
    int ends = 0;
  } scene{&device.channel(), device.channel().allocate()};
  const Segment segment{buffer_.data(), buffer_.size()};
  scene.second->op = Op::read;
  scene.second->offset = 0;
  scene.second->length = buffer_.size();
  scene.second->payload = {&segment, 1, 0};
  scene.second->user = &scene;
  scene.second->end_io = [](Bio& done) noexcept { ++static_cast<Scene*>(done.user)->ends; };
  Bio* first = device.channel().allocate();
  first->op = Op::read;
  first->offset = kSize;  // refused, so that it ends inside submit
  first->length = 512;
  first->payload = {&segment, 1, 0};
  first->user = &scene;
  first->end_io = [](Bio& done) noexcept {
    auto& mine = *static_cast<Scene*>(done.user);
    mine.channel->submit(*mine.second);
    EXPECT_EQ(mine.second->state, BioState::queued);
    mine.channel->lane().cancel(*mine.second);
  };
  device.channel().submit(*first);
  while (scene.ends == 0) rig_.lane().wait(100);
  EXPECT_EQ(scene.ends, 1);
  EXPECT_EQ(scene.second->error, Errc::cancelled);
  EXPECT_EQ(arrived_, 0);
  device.channel().release(*first);
  device.channel().release(*scene.second);
}

TEST_F(CancelTest, one_that_waits_for_children_to_come_free) {
  Provider& leaf = holding_leaf();
  Provider& top = spreader("top", {&leaf, &leaf});
  auto program = compile(top, {}).value();
  BoundedMemory memory(0);
  std::unique_ptr<Channel> channel;
  for (std::size_t bytes = 256; channel == nullptr; bytes += 256) {
    memory.set_left(bytes);
    auto opened = Channel::open(rig_.lane(), *program, {.memory = &memory});
    if (opened) channel = std::move(*opened);
  }
  // One growth, and the roots take it: their children get none.
  memory.set_left(64 * kKiB);
  std::vector<Bio*> roots;
  while (Bio* root = channel->allocate()) roots.push_back(root);
  for (Bio* root : roots) channel->release(*root);
  ASSERT_GT(roots.size(), 4u);
  std::deque<Async> requests;
  Bio* parked = nullptr;
  while (parked == nullptr && requests.size() < roots.size()) {
    requests.emplace_back(*channel, Op::read, 0, ByteSpan(buffer_).first(1024));
    rig_.lane().poll();
    if (requests.back().bio().state == BioState::parked) parked = &requests.back().bio();
  }
  ASSERT_NE(parked, nullptr) << "no request had to wait for children";
  requests.back().cancel();
  EXPECT_EQ(requests.back().wait(), Errc::cancelled);
  for (Async& each : requests) {
    if (!each.ended()) each.cancel();
  }
  while (channel->in_flight() > 0) rig_.lane().wait(100);
  requests.clear();
}

TEST_F(CancelTest, makes_no_second_trip) {
  // A layer that tries again for ever.
  Provider& leaf = holding_leaf();
  Probe& body = probes_.body();
  body.complete = [](Bio& bio, ProbePad&, Context&) {
    return bio.ok() ? Verdict::done() : Verdict::forward(0);
  };
  Opened device = rig_.open(probes_.make(rig_, "stubborn", {&leaf}));
  Async one(device.channel(), Op::read, 0, buffer_);
  one.cancel();
  EXPECT_EQ(one.wait(), Errc::cancelled);
  EXPECT_EQ(arrived_, 1);
}

TEST_F(CancelTest, ends_carving) {
  Provider& leaf = holding_leaf();
  probes_.body().limits = [](Limits& limits) { limits.max_request_bytes = 512; };
  Opened device = rig_.open(probes_.make(rig_, "narrow", {&leaf}));
  std::vector<std::byte> all(kSize);  // 128 pieces, 64 at a time
  Async one(device.channel(), Op::read, 0, all);
  rig_.lane().poll();
  EXPECT_EQ(arrived_, 64);
  one.cancel();
  EXPECT_EQ(one.wait(), Errc::cancelled);
  EXPECT_EQ(arrived_, 64);
  EXPECT_EQ(told_, 64);
}

TEST_F(CancelTest, a_foreign_one_and_one_that_waits_for_its_clone) {
  auto program = compile(holding_leaf(), {}).value();
  BoundedMemory memory(0);
  std::unique_ptr<Channel> channel;
  for (std::size_t bytes = 128; channel == nullptr; bytes += 128) {
    memory.set_left(bytes);
    auto opened = Channel::open(rig_.lane(), *program, {.memory = &memory});
    if (opened) channel = std::move(*opened);
  }
  memory.set_left(0);
  // All roots but three are taken.
  std::vector<Bio*> taken;
  while (Bio* root = channel->allocate()) taken.push_back(root);
  ASSERT_GE(taken.size(), 3u);
  for (int i = 0; i < 3; ++i) {
    channel->release(*taken.back());
    taken.pop_back();
  }
  struct Foreign {
    Bio bio;
    int ends = 0;
  };
  std::deque<Foreign> requests(40);
  const Segment segment{buffer_.data(), buffer_.size()};
  for (Foreign& each : requests) {
    each.bio.length = 512;
    each.bio.payload = {&segment, 1, 0};
    each.bio.user = &each;
    each.bio.end_io = [](Bio& done) noexcept { ++static_cast<Foreign*>(done.user)->ends; };
    channel->submit(each.bio);
  }
  const int started = arrived_;
  EXPECT_EQ(started, 3);
  // The last one waits; the first one is held by the leaf.
  rig_.lane().cancel(requests.back().bio);
  EXPECT_EQ(requests.back().ends, 1);
  EXPECT_EQ(requests.back().bio.error, Errc::cancelled);
  EXPECT_EQ(arrived_, started);
  rig_.lane().cancel(requests.front().bio);
  rig_.lane().poll();
  EXPECT_EQ(requests.front().ends, 1);
  EXPECT_EQ(requests.front().bio.error, Errc::cancelled);
  // Its clone goes to the next that waited.
  rig_.lane().poll();
  EXPECT_EQ(arrived_, started + 1);
  while (channel->in_flight() > 0) {
    for (Foreign& each : requests) {
      if (each.ends == 0) rig_.lane().cancel(each.bio);
    }
    rig_.lane().poll();
  }
  for (const Foreign& each : requests) EXPECT_EQ(each.ends, 1);
  EXPECT_EQ(channel->short_frames(), 40u);
  for (Bio* root : taken) channel->release(*root);
}

// --- in other contexts ------------------------------------------------------------------------

TEST_F(CancelTest, one_that_another_thread_has_or_that_is_on_its_way) {
  probes_.facts.placement = Placement::detached;
  Opened device = rig_.open(holding_leaf());
  for (int i = 0; i < 300; ++i) {
    Async one(device.channel(), Op::read, 0, buffer_);
    for (int spin = 0; spin < i % 50; ++spin) rig_.lane().poll();
    one.cancel();
    EXPECT_EQ(one.wait(), Errc::cancelled);
  }
  EXPECT_LE(told_, arrived_);
}

TEST_F(CancelTest, parts_that_are_spread_over_threads) {
  for (const Dispatch dispatch : {Dispatch::direct, Dispatch::queued}) {
    ProbeClass detached;
    Rig rig;
    detached.facts.placement = Placement::detached;
    std::vector<Provider*> leaves;
    for (int i = 0; i < 3; ++i) {
      Probe& body = detached.body();
      body.request = [](Bio&, ProbePad&, Context&) { return Verdict::held(); };
      body.cancel = [](Bio& bio, ProbePad&, Context& cx) {
        bio.fail(Errc::cancelled);
        cx.resume(bio, Verdict::done());
      };
      leaves.push_back(&detached.make(rig, "leaf" + std::to_string(i), {}, kSize));
    }
    Probe& body = detached.body();
    body.children = 3;
    body.request = [](Bio& bio, ProbePad&, Context& cx) {
      Split split(cx, bio);
      for (std::uint32_t i = 0; i < 3; ++i) split.add(i, 0, 0, 0);
      return split.verdict();
    };
    Opened device = rig.open(detached.make(rig, "spread", leaves), dispatch);
    for (int i = 0; i < 200; ++i) {
      Async one(device.channel(), Op::flush, 0, std::uint64_t{0});
      one.cancel();
      EXPECT_EQ(one.wait(), Errc::cancelled);
    }
  }
}

// A part that came back to the lane while its parent is in a worker: the lane is told, too.
TEST_F(CancelTest, a_part_on_the_lane_whose_parent_is_in_a_worker) {
  ProbeClass lane_leaf;
  lane_leaf.facts.placement = Placement::lane;
  Rig rig;
  std::atomic<int> arrived{0};
  Probe& leaf_body = lane_leaf.body();
  leaf_body.request = [&](Bio&, ProbePad&, Context&) {
    ++arrived;
    return Verdict::held();
  };
  leaf_body.cancel = [](Bio& bio, ProbePad&, Context& cx) {
    bio.fail(Errc::cancelled);
    cx.resume(bio, Verdict::done());
  };
  Provider& leaf = lane_leaf.make(rig, "leaf", {}, kSize);
  ProbeClass detached;
  detached.facts.placement = Placement::detached;
  Probe& body = detached.body();
  body.children = 2;
  body.request = [](Bio& bio, ProbePad&, Context& cx) {
    Split split(cx, bio);
    for (std::uint32_t i = 0; i < 2; ++i) split.add(0, bio.offset, 0, bio.length);
    return split.verdict();
  };
  body.complete = [](Bio& bio, ProbePad&, Context&) {
    if (bio.ok()) bio.succeed();
    return Verdict::done();
  };
  Opened device = rig.open(detached.make(rig, "spread", {&leaf}));
  std::vector<std::byte> buffer(512);
  Async one(device.channel(), Op::read, 0, buffer);
  while (arrived < 2) rig.lane().wait(10);
  one.cancel();
  EXPECT_EQ(one.wait(), Errc::cancelled);
}

}  // namespace
}  // namespace ashlar
