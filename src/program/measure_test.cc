// Goal: what a channel counts is what happened: requests by layer, errors where they arose, the
// share of bios without room, and times in the right order of size; and a caller's own bios run in
// place exactly where their room suffices.
// Method: small stacks; own bios with more, just enough and less room than the device advertises.
#include "program/measure.h"

#include <gtest/gtest.h>

#include "program/own_bio.h"
#include "test/probe.h"

namespace ashlar {
namespace {

using test::Opened;
using test::Rig;

// Submits a bio of the caller's and waits for its end.
Errc run(Opened& device, Bio& bio, std::uint64_t length = 4096) {
  static std::vector<std::byte> memory(1 << 20);
  Segment segment{memory.data(), memory.size()};
  bool ended = false;
  bio.op = Op::read;
  bio.offset = 0;
  bio.length = length;
  bio.payload = Payload{&segment, 1, 0};
  bio.user = &ended;
  bio.end_io = [](Bio& done) noexcept { *static_cast<bool*>(done.user) = true; };
  device.channel().submit(bio);
  while (!ended) device.channel().lane().wait(1000);
  return bio.error;
}

Provider& tower(Rig& rig, int height, const std::string& name = "disk") {
  Provider* top = &rig.make("memory", name, {}, {{"size", "1MiB"}});
  for (int i = 0; i < height; ++i) {
    top = &rig.make("passthrough", name + "-" + std::to_string(i), {top});
  }
  return *top;
}

TEST(OwnBio, with_room_it_runs_in_place_and_without_by_a_clone) {
  Rig rig;
  Opened low = rig.open(tower(rig, 1, "low"));
  Opened high = rig.open(tower(rig, 40, "high"));
  ASSERT_LE(low.channel().frame_bytes(), 64u);
  ASSERT_GT(high.channel().frame_bytes(), 128u);
  OwnBio<128> mine;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(run(low, mine.bio()), Errc::ok);
    EXPECT_EQ(run(high, mine.bio()), Errc::ok);
  }
  EXPECT_EQ(low.channel().requests(), 3u);
  EXPECT_EQ(low.channel().short_frames(), 0u);
  EXPECT_EQ(high.channel().requests(), 3u);
  EXPECT_EQ(high.channel().short_frames(), 3u);
}

TEST(OwnBio, room_is_judged_by_the_program_of_the_moment) {
  Rig rig;
  Provider& low = tower(rig, 1, "low");
  const auto program = compile(tower(rig, 40, "high"), {}).value();
  Opened device = rig.open(low);
  OwnBio<64> mine;
  EXPECT_EQ(run(device, mine.bio()), Errc::ok);
  EXPECT_EQ(device.channel().short_frames(), 0u);
  const std::uint32_t before = device.channel().frame_bytes();
  ASSERT_TRUE(device.channel().replace(*program).ok());
  EXPECT_GT(device.channel().frame_bytes(), before);
  EXPECT_EQ(run(device, mine.bio()), Errc::ok);
  EXPECT_EQ(device.channel().short_frames(), 1u);
  EXPECT_EQ(device.channel().requests(), 2u);
  ASSERT_TRUE(device.channel().replace(device.program()).ok());
}

TEST(OwnBio, errors_say_where_they_arose) {
  Rig rig;
  Provider& disk = rig.make("memory", "disk", {}, {{"size", "1MiB"}});
  Provider& bad = rig.make("fault", "bad", {&disk}, {{"rate", "1"}});
  Provider& top = rig.make("passthrough", "top", {&bad});
  Opened device = rig.open(top);
  OwnBio<64> roomy;
  EXPECT_EQ(run(device, roomy.bio()), Errc::io);
  EXPECT_EQ(fault_of(roomy.bio()).step, 2);
  // A bare bio has no place to say it.
  Bio bare;
  EXPECT_EQ(run(device, bare), Errc::io);
  EXPECT_FALSE(bare.has_frame());
  EXPECT_EQ(device.channel().short_frames(), 1u);
}

TEST(LayerCounts, every_layer_counts_what_comes_down_to_it_and_the_errors_that_it_makes) {
  for (const Dispatch dispatch : {Dispatch::direct, Dispatch::queued}) {
    Rig rig;
    std::vector<Provider*> legs;
    for (const char* name : {"a", "b"}) {
      legs.push_back(&rig.make("memory", name, {}, {{"size", "1MiB"}}));
    }
    Provider& stripe = rig.make("stripe", "stripe", legs, {{"chunk", "4KiB"}});
    Provider& bad = rig.make("fault", "bad", {&stripe}, {{"nth", "2"}});
    Opened device = rig.open(bad, dispatch);
    OwnBio<1024> mine;
    EXPECT_EQ(device.channel().layer_counts().size(), 0u);
    EXPECT_EQ(run(device, mine.bio(), 8192), Errc::ok);
    ASSERT_TRUE(device.channel().count_layers(true).ok());
    EXPECT_EQ(run(device, mine.bio(), 8192), Errc::io);
    EXPECT_EQ(run(device, mine.bio(), 8192), Errc::ok);
    ASSERT_TRUE(device.channel().count_layers(false).ok());
    EXPECT_EQ(run(device, mine.bio(), 8192), Errc::ok);
    const auto counts = device.channel().layer_counts();
    ASSERT_EQ(counts.size(), device.program().steps.size());
    std::map<std::string, const LayerCount*> by_name;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      const StepInfo& info = device.program().infos[i];
      if (info.kind == StepKind::geom) by_name[info.provider->name] = &counts[i];
    }
    EXPECT_EQ(by_name["bad"]->of(Op::read).requests.get(), 2u);
    EXPECT_EQ(by_name["bad"]->of(Op::read).bytes.get(), 16384u);
    EXPECT_EQ(by_name["bad"]->of(Op::read).errors.get(), 1u);
    EXPECT_EQ(by_name["bad"]->of(Op::write).requests.get(), 0u);
    EXPECT_EQ(by_name["stripe"]->of(Op::read).requests.get(), 1u);
    for (const char* leg : {"a", "b"}) {
      EXPECT_EQ(by_name[leg]->of(Op::read).requests.get(), 1u) << leg;
      EXPECT_EQ(by_name[leg]->of(Op::read).bytes.get(), 4096u) << leg;
      EXPECT_EQ(by_name[leg]->of(Op::read).errors.get(), 0u) << leg;
    }
  }
}

TEST(Latency, one_in_so_many_is_measured) {
  test::ProbeClass holds;
  Rig rig;
  Bio* held = nullptr;
  holds.body().request = [&](Bio& bio, test::ProbePad&, Context&) {
    held = &bio;
    return Verdict::held();
  };
  holds.body().cancel = [](Bio&, test::ProbePad&, Context&) {};
  Provider& disk = rig.make("memory", "disk", {}, {{"size", "1MiB"}});
  Opened device = rig.open(holds.make(rig, "top", {&disk}));
  Lane& lane = rig.lane();
  ASSERT_TRUE(device.channel().measure_latency(3).ok());  // every fourth
  OwnBio<64> mine;
  for (int i = 0; i < 8; ++i) {
    Bio& bio = mine.bio();
    bio.op = Op::flush;
    bio.end_io = [](Bio&) noexcept {};
    device.channel().submit(bio);
    const std::uint64_t begin = lane.now_ns();
    while (lane.now_ns() - begin < 1'000'000) {
    }
    lane.resume(*held, Verdict::forward(0));
    lane.wait(0);
    ASSERT_EQ(bio.state, BioState::idle);
  }
  ASSERT_NE(device.channel().sampler(), nullptr);
  EXPECT_EQ(device.channel().sampler()->count(), 2u);
  EXPECT_GE(device.channel().sampler()->percentile_ns(50), 800'000u);
  ASSERT_TRUE(device.channel().measure_latency(0).ok());
  EXPECT_EQ(device.channel().sampler(), nullptr);
}

TEST(LatencyHistogram, buckets_are_contiguous_and_narrow) {
  std::uint64_t next = 0;
  for (std::size_t i = 0; i < LatencyHistogram::kBuckets; ++i) {
    EXPECT_EQ(LatencyHistogram::bucket_of(next), i);
    const std::uint64_t end = LatencyHistogram::end_of(i);
    EXPECT_EQ(LatencyHistogram::bucket_of(end), i);
    EXPECT_LE(end - next, next / 4) << i;
    next = end + 1;
  }
  EXPECT_EQ(next, 0u) << "the last bucket ends with the last number";
}

TEST(LatencyHistogram, percentiles_are_those_of_what_was_added) {
  LatencyHistogram times;
  EXPECT_EQ(times.percentile(50), 0u);
  for (std::uint64_t i = 1; i <= 1000; ++i) times.add(i);
  EXPECT_EQ(times.count(), 1000u);
  for (const double percent : {1.0, 50.0, 99.0, 100.0}) {
    const auto exact = static_cast<std::uint64_t>(percent * 10);
    EXPECT_GE(times.percentile(percent), exact);
    EXPECT_LE(times.percentile(percent), exact + exact / 4 + 1);
  }
}

}  // namespace
}  // namespace ashlar
