// Goal: children are registered, counted, found from their parent and merged as split.h says,
// in whatever order they end.
// Method: a layer that splits into many, over a leaf that keeps them; the test lets them go in
// random orders, some with errors. Carving of long requests is splitting by the framework.
#include "program/split.h"

#include <deque>

#include "base/random.h"
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

constexpr std::uint16_t kParts = 8;
constexpr std::uint64_t kPart = 512;

class SplitTest : public testing::Test {
 protected:
  Provider& keeping_leaf() {
    Probe& body = probes_.body();
    body.request = [this](Bio& bio, ProbePad&, Context&) {
      kept_.push_back(&bio);
      return Verdict::held();
    };
    body.cancel = [](Bio&, ProbePad&, Context&) {};
    return probes_.make(rig_, "leaf", {}, 64 * kKiB);
  }

  Probe& splitting_body() {
    Probe& body = probes_.body();
    body.children = kParts;
    body.request = [](Bio& bio, ProbePad& pad, Context& cx) {
      pad.word = 77;
      Split split(cx, bio);
      for (std::uint64_t i = 0; i < kParts; ++i) {
        split.add(0, bio.offset + i * kPart, i * kPart, kPart, 100 + i);
      }
      return split.verdict();
    };
    return body;
  }

  void end(Bio& bio, Errc error) {
    std::erase(kept_, &bio);
    if (error == Errc::ok) {
      bio.succeed();
    } else {
      bio.fail(error);
    }
    rig_.lane().resume(bio, Verdict::done());
    rig_.lane().poll();
  }

  // The children that a parent lists, by tag, in its list's order.
  static std::vector<std::uint64_t> tags(const Bio& parent) {
    std::vector<std::uint64_t> all;
    for (const Bio* each = parent.children; each != nullptr; each = each->sibling_next) {
      EXPECT_EQ(each->parent, &parent);
      all.push_back(each->tag);
    }
    EXPECT_EQ(all.size(), parent.outstanding);
    return all;
  }

  ProbeClass probes_;
  Rig rig_;
  std::deque<Bio*> kept_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(kParts * kPart);
};

TEST_F(SplitTest, children_are_found_from_their_parent_until_they_end) {
  Provider& leaf = keeping_leaf();
  splitting_body();
  Opened device = rig_.open(probes_.make(rig_, "split", {&leaf}));
  Random random(5);
  for (int round = 0; round < 50; ++round) {
    Async one(device.channel(), Op::read, 0, buffer_);
    rig_.lane().poll();
    std::vector<std::uint64_t> expected;
    for (std::uint64_t i = 0; i < kParts; ++i) expected.push_back(100 + i);
    while (!expected.empty()) {
      EXPECT_EQ(tags(one.bio()), expected);
      Bio& picked = *kept_[random.below(kept_.size())];
      std::erase(expected, picked.tag);
      EXPECT_FALSE(one.ended());
      end(picked, Errc::ok);
    }
    EXPECT_TRUE(one.ended());
    EXPECT_EQ(one.wait(), Errc::ok);
    EXPECT_EQ(one.bio().done, buffer_.size());
    EXPECT_EQ(one.bio().children, nullptr);
  }
}

TEST_F(SplitTest, a_child_is_a_view_of_its_parents_memory) {
  Provider& leaf = keeping_leaf();
  splitting_body();
  Opened device = rig_.open(probes_.make(rig_, "split", {&leaf}));
  Async one(device.channel(), Op::read, 4096, buffer_, 0);
  rig_.lane().poll();
  ASSERT_EQ(kept_.size(), kParts);
  for (std::uint64_t i = 0; i < kParts; ++i) {
    const Bio& child = *kept_[i];
    EXPECT_EQ(child.op, Op::read);
    EXPECT_EQ(child.offset, 4096 + i * kPart);
    EXPECT_EQ(child.length, kPart);
    EXPECT_EQ(child.payload.contiguous(kPart), buffer_.data() + i * kPart);
    EXPECT_EQ(child.payload.segments, one.bio().payload.segments);
  }
  while (!kept_.empty()) end(*kept_.front(), Errc::ok);
}

TEST_F(SplitTest, the_first_error_is_the_parents_and_the_rest_still_ends) {
  Provider& leaf = keeping_leaf();
  splitting_body();
  Opened device = rig_.open(probes_.make(rig_, "split", {&leaf}));
  Async one(device.channel(), Op::read, 0, buffer_);
  rig_.lane().poll();
  end(*kept_[0], Errc::ok);
  end(*kept_[3], Errc::no_space);
  end(*kept_[0], Errc::io);
  EXPECT_FALSE(one.ended());
  while (!kept_.empty()) end(*kept_.back(), Errc::ok);
  EXPECT_EQ(one.wait(), Errc::no_space);
  // Where it failed: at the leaf, the second of the program's geoms, at the fifth part.
  EXPECT_EQ(one.bio()
                .home->program.infos[static_cast<std::size_t>(fault_of(one.bio()).step)]
                .provider->name,
            "leaf");
  EXPECT_EQ(fault_of(one.bio()).offset, 4 * kPart);
}

TEST_F(SplitTest, each_childs_end_is_shown_and_the_parent_may_decide_otherwise) {
  Provider& leaf = keeping_leaf();
  Probe& body = splitting_body();
  std::vector<std::uint64_t> shown;
  int failed = 0;
  body.child = [&](Bio&, Bio& child, ProbePad& pad, Context&) {
    EXPECT_EQ(pad.word, 77u);
    shown.push_back(child.tag);
    if (!child.ok()) ++failed;
  };
  body.complete = [&](Bio& bio, ProbePad&, Context&) {
    EXPECT_EQ(bio.outstanding, 0);
    EXPECT_EQ(bio.offset, 1024u);
    if (failed < 2) bio.succeed();
    return Verdict::done();
  };
  Opened device = rig_.open(probes_.make(rig_, "tolerant", {&leaf}));
  for (const int errors : {1, 2}) {
    shown.clear();
    failed = 0;
    Async one(device.channel(), Op::read, 1024, buffer_);
    rig_.lane().poll();
    for (int i = 0; i < kParts; ++i) end(*kept_.back(), i < errors ? Errc::io : Errc::ok);
    EXPECT_EQ(shown, (std::vector<std::uint64_t>{107, 106, 105, 104, 103, 102, 101, 100}));
    EXPECT_EQ(one.wait(), errors == 1 ? Errc::ok : Errc::io);
  }
}

TEST_F(SplitTest, a_flush_goes_to_every_consumer_where_the_class_says_broadcast) {
  ProbeClass all;
  ProbeClass leaf;
  all.facts.policies.flush = OpPolicy::broadcast;
  Rig rig;
  std::vector<Provider*> leaves;
  std::vector<int> flushes(3);
  for (std::size_t i = 0; i < 3; ++i) {
    leaf.body().request = [&flushes, i](Bio& bio, ProbePad&, Context&) {
      ++flushes[i];
      i == 1 ? bio.fail(Errc::io) : bio.succeed();
      return Verdict::done();
    };
    leaves.push_back(&leaf.make(rig, "leaf" + std::to_string(i), {}, 4096));
  }
  Opened device = rig.open(all.make(rig, "top", leaves));
  EXPECT_EQ(device.flush(), Errc::io);
  EXPECT_EQ(flushes, (std::vector<int>{1, 1, 1}));
}

// --- carving
// --------------------------------------------------------------------------------------

class CarveTest : public testing::TestWithParam<Dispatch> {};

INSTANTIATE_TEST_SUITE_P(Dispatch, CarveTest, testing::Values(Dispatch::direct, Dispatch::queued),
                         [](const auto& each) {
                           return each.param == Dispatch::direct ? "direct" : "queued";
                         });

TEST_P(CarveTest, long_requests_arrive_in_pieces_that_fit) {
  ProbeClass probes;
  Rig rig;
  Provider& disk = rig.make("memory", "disk", {}, {{"size", "2MiB"}});
  Probe& body = probes.body();
  std::atomic<int> pieces{0};
  body.limits = [](Limits& limits) {
    limits.max_request_bytes = 4096;
    limits.max_range_bytes = 65536;
  };
  body.request = [&](Bio& bio, ProbePad&, Context&) {
    ++pieces;
    EXPECT_LE(bio.length, has_payload(bio.op) ? 4096u : 65536u);
    EXPECT_EQ(bio.fua(), bio.op == Op::write);
    return Verdict::forward(0);
  };
  Opened device = rig.open(probes.make(rig, "narrow", {&disk}), GetParam());
  const auto bytes = pattern(kMiB + 512, 9);
  EXPECT_EQ(device.write(1536, bytes, kFua), Errc::ok);
  EXPECT_EQ(pieces, 257);
  pieces = 0;
  std::vector<std::byte> back(bytes.size());
  EXPECT_EQ(device.read(1536, back), Errc::ok);
  EXPECT_EQ(pieces, 257);
  EXPECT_EQ(back, bytes);
  pieces = 0;
  EXPECT_EQ(device.write_zeroes(0, 2 * kMiB), Errc::ok);
  EXPECT_EQ(pieces, 32);
  EXPECT_EQ(device.read(1536, back), Errc::ok);
  EXPECT_EQ(back, std::vector<std::byte>(back.size()));
}

TEST_P(CarveTest, an_error_ends_the_whole_and_later_pieces_do_not_start) {
  ProbeClass probes;
  Rig rig;
  Provider& disk = rig.make("memory", "disk", {}, {{"size", "1MiB"}});
  Provider& bad = rig.make("fault", "bad", {&disk}, {{"offset", "16KiB"}, {"length", "512"}});
  std::atomic<int> pieces{0};
  probes.body().limits = [](Limits& limits) { limits.max_request_bytes = 512; };
  probes.body().request = [&](Bio&, ProbePad&, Context&) {
    ++pieces;
    return Verdict::forward(0);
  };
  Opened device = rig.open(probes.make(rig, "narrow", {&bad}), GetParam());
  std::vector<std::byte> back(kMiB);
  EXPECT_EQ(device.read(0, back), Errc::io);
  EXPECT_EQ(pieces, 64);  // 32 are before the bad place, and 64 are under way at a time.
}

}  // namespace
}  // namespace ashlar
