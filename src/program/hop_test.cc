// Goal: a detached class runs on its own thread and everything else where it was; hops are compiled
// where the context changes and nowhere else.
// Method: probes that note the thread they run on; the shapes of compiled programs.
#include "program/hop.h"

#include <deque>
#include <future>
#include <thread>

#include "test/async.h"
#include "test/probe.h"

namespace ashlar {
namespace {

using test::Async;
using test::Opened;
using test::pattern;
using test::Probe;
using test::ProbeClass;
using test::ProbePad;
using test::Rig;

constexpr LockClass kOrderLock{"test.order"};

class HopTest : public testing::Test {
 protected:
  HopTest() { detached_.facts.placement = Placement::detached; }

  // A layer that notes "name down" and "name up" with the thread.
  Provider& noting(ProbeClass& probes, const std::string& name, std::vector<Provider*> over) {
    Probe& body = probes.body();
    body.request = [this, name](Bio&, ProbePad&, Context&) {
      note(name + " down");
      return Verdict::forward(0);
    };
    body.complete = [this, name](Bio&, ProbePad&, Context&) {
      note(name + " up");
      return Verdict::done();
    };
    return probes.make(rig_, name, std::move(over));
  }

  void note(const std::string& what) {
    const MutexLock lock(mutex_);
    order_.push_back(what);
    threads_[what] = std::this_thread::get_id();
  }

  static int hops(const Program& program) {
    int count = 0;
    for (const StepInfo& each : program.infos) count += each.kind == StepKind::hop;
    return count;
  }

  ProbeClass detached_;
  ProbeClass inline_;
  Rig rig_;
  Mutex mutex_{kOrderLock};
  std::vector<std::string> order_;
  std::map<std::string, std::thread::id> threads_;
  Provider& disk_ = rig_.make("memory", "disk", {}, {{"size", "64KiB"}});
};

TEST_F(HopTest, only_the_detached_layer_changes_thread) {
  // The lower layer wants the lane, so the path must come back to it.
  inline_.facts.placement = Placement::lane;
  Provider& lower = noting(inline_, "lower", {&disk_});
  Provider& middle = noting(detached_, "middle", {&lower});
  Provider& upper = noting(inline_, "upper", {&middle});
  Opened device = rig_.open(upper);
  EXPECT_EQ(hops(device.program()), 2);
  const auto bytes = pattern(4096);
  std::vector<std::byte> back(bytes.size());
  EXPECT_EQ(device.write(0, bytes), Errc::ok);
  EXPECT_EQ(device.read(0, back), Errc::ok);
  EXPECT_EQ(back, bytes);
  const auto here = std::this_thread::get_id();
  for (const char* what : {"upper down", "upper up", "lower down", "lower up"}) {
    EXPECT_EQ(threads_[what], here) << what;
  }
  EXPECT_NE(threads_["middle down"], here);
  EXPECT_EQ(threads_["middle down"], threads_["middle up"]);
  order_.resize(6);
  EXPECT_EQ(order_, (std::vector<std::string>{"upper down", "middle down", "lower down", "lower up",
                                              "middle up", "upper up"}));
}

TEST_F(HopTest, the_path_comes_back_to_the_lane_behind_a_detached_layer) {
  Provider& middle = noting(detached_, "middle", {&disk_});
  Opened device = rig_.open(middle);
  EXPECT_EQ(hops(device.program()), 2);
  EXPECT_EQ(device.flush(), Errc::ok);
}

TEST_F(HopTest, detached_layers_in_a_row_hand_over_directly) {
  Provider& lower = noting(detached_, "lower", {&disk_});
  Provider& upper = noting(detached_, "upper", {&lower});
  Opened device = rig_.open(upper);
  EXPECT_EQ(hops(device.program()), 3);
  EXPECT_EQ(device.program().workers.size(), 2u);
  EXPECT_EQ(device.flush(), Errc::ok);
  EXPECT_NE(threads_["upper down"], threads_["lower down"]);
  EXPECT_EQ(order_, (std::vector<std::string>{"upper down", "lower down", "lower up", "upper up"}));
}

TEST_F(HopTest, a_detached_geom_has_one_thread_for_all_its_programs) {
  Provider& middle = noting(detached_, "middle", {&disk_});
  Opened one = rig_.open(middle);
  EXPECT_EQ(one.flush(), Errc::ok);
  const auto first = threads_["middle down"];
  Opened two = rig_.open(noting(inline_, "top", {&middle}), Dispatch::queued);
  EXPECT_EQ(two.flush(), Errc::ok);
  EXPECT_EQ(threads_["middle down"], first);
}

TEST_F(HopTest, a_detached_leaf_answers) {
  Probe& body = detached_.body();
  body.request = [this](Bio& bio, ProbePad&, Context&) {
    note("leaf down");
    if (bio.op == Op::write) {
      bio.fail(Errc::no_space);
    } else {
      bio.succeed();
    }
    return Verdict::done();
  };
  Opened device = rig_.open(detached_.make(rig_, "leaf", {}, 4096));
  EXPECT_EQ(hops(device.program()), 1);
  EXPECT_EQ(device.flush(), Errc::ok);
  EXPECT_EQ(device.write(0, pattern(512)), Errc::no_space);
  EXPECT_NE(threads_["leaf down"], std::this_thread::get_id());
}

TEST_F(HopTest, queued_dispatch_hops_at_every_boundary) {
  Provider* top = &disk_;
  for (int i = 0; i < 5; ++i) top = &noting(inline_, "p" + std::to_string(i), {top});
  Opened device = rig_.open(*top, Dispatch::queued);
  EXPECT_EQ(hops(device.program()), 6);
  EXPECT_EQ(device.flush(), Errc::ok);
  for (int i = 0; i < 5; ++i) {
    const std::string name = "p" + std::to_string(i);
    EXPECT_NE(threads_[name + " down"], std::this_thread::get_id());
    EXPECT_EQ(threads_[name + " down"], threads_[name + " up"]);
    if (i == 0) continue;
    EXPECT_NE(threads_[name + " down"], threads_["p" + std::to_string(i - 1) + " down"]);
  }
}

TEST_F(HopTest, direct_dispatch_without_detached_layers_never_hops) {
  Opened device = rig_.open(noting(inline_, "p", {&disk_}));
  EXPECT_EQ(hops(device.program()), 0);
  EXPECT_TRUE(device.program().workers.empty());
}

// What a second lane has to wait for behind one that has submitted a thousand requests: its turn
// comes after a batch or two, not after the thousand. All thousand end: whoever waited with its
// sender for room is let in.
TEST_F(HopTest, a_deep_queue_waits_with_its_lane_and_keeps_nobody_else_waiting) {
  constexpr int kMany = 1000;
  std::promise<void> gate;
  std::shared_future<void> opened = gate.get_future().share();
  std::atomic<int> handled{0};
  std::atomic<int> turn_of_the_other{0};
  Probe& body = detached_.body();
  body.request = [&](Bio& bio, ProbePad&, Context&) {
    if (handled++ == 0) opened.wait();  // what has been submitted by now is queued
    if (bio.length == 4096) turn_of_the_other = handled.load();
    return Verdict::forward(0);
  };
  Provider& top = detached_.make(rig_, "top", {&disk_});
  Opened device = rig_.open(top);
  std::vector<std::byte> memory(4096);
  std::deque<Async> many;
  for (int i = 0; i < kMany; ++i) {
    many.emplace_back(device.channel(), Op::read, 0, ByteSpan(memory).first(512));
  }
  rig_.lane().poll();
  std::promise<void> submitted;
  std::thread other([&] {
    auto lane = Lane::create({}).value();
    Opened its(*lane, compile(top, {}).value(), {});
    std::vector<std::byte> its_memory(4096);
    Async one(its.channel(), Op::read, 0, its_memory);
    lane->poll();
    submitted.set_value();
    EXPECT_EQ(one.wait(), Errc::ok);
  });
  submitted.get_future().wait();
  gate.set_value();
  for (Async& each : many) EXPECT_EQ(each.wait(), Errc::ok);
  other.join();
  EXPECT_EQ(handled, kMany + 1);
  EXPECT_GT(turn_of_the_other, 0);
  EXPECT_LE(turn_of_the_other, 3 * static_cast<int>(Mailbox::kBatch));
}

// What waits with its sender for room is cancelled like anything else.
TEST_F(HopTest, what_waits_for_room_is_cancelled) {
  std::promise<void> gate;
  std::shared_future<void> opened = gate.get_future().share();
  std::atomic<int> handled{0};
  Probe& body = detached_.body();
  body.request = [&](Bio&, ProbePad&, Context&) {
    if (handled++ == 0) opened.wait();
    return Verdict::forward(0);
  };
  Opened device = rig_.open(detached_.make(rig_, "top", {&disk_}));
  std::vector<std::byte> memory(512);
  std::deque<Async> many;
  for (int i = 0; i < 300; ++i) many.emplace_back(device.channel(), Op::read, 0, memory);
  rig_.lane().poll();
  while (handled == 0) std::this_thread::yield();
  for (std::size_t i = 200; i < 300; ++i) many[i].cancel();
  gate.set_value();
  for (std::size_t i = 0; i < 300; ++i) {
    EXPECT_EQ(many[i].wait(), i < 200 ? Errc::ok : Errc::cancelled) << i;
  }
  EXPECT_EQ(handled, 200);
}

}  // namespace
}  // namespace ashlar
