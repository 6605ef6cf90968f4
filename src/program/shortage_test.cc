// Goal: a stack whose pools cannot grow goes on, at every depth, and no class notices.
// Method: devices opened with the least memory that open() accepts, leaves that keep every request
// until nothing else moves, and many requests at once; all of them must end, with the right bytes.
#include <deque>

#include "base/random.h"
#include "program/split.h"
#include "test/bounded_memory.h"
#include "test/probe.h"

namespace ashlar {
namespace {

using test::BoundedMemory;
using test::pattern;
using test::Probe;
using test::ProbeClass;
using test::ProbePad;
using test::Rig;

constexpr std::uint64_t kSize = 256 * kKiB;

// A layer over `over` that cuts each request of more than one block into two halves, on whichever
// consumers the seed says; all consumers hold the same bytes.
Provider& halver(ProbeClass& probes, Rig& rig, const std::string& name,
                 const std::vector<Provider*>& over) {
  Probe& body = probes.body();
  body.children = 2;
  const auto consumers = static_cast<std::uint32_t>(over.size());
  body.request = [consumers](Bio& bio, ProbePad&, Context& cx) {
    if (bio.length <= 512)
      return Verdict::forward(static_cast<std::uint32_t>(bio.offset / 512) % consumers);
    const std::uint64_t half = align_up(bio.length / 2, 512);
    Split split(cx, bio);
    split.add(0, bio.offset, 0, half);
    split.add(consumers - 1, bio.offset + half, half, bio.length - half);
    return split.verdict();
  };
  return probes.make(rig, name, over);
}

// A leaf that reads as pattern bytes and lets go of requests only when told.
class SlowLeaf {
 public:
  SlowLeaf(ProbeClass& probes, Rig& rig) : bytes_(pattern(kSize, 5)) {
    Probe& body = probes.body();
    body.request = [this](Bio& bio, ProbePad&, Context& cx) {
      held_.push_back({&bio, &cx});
      return Verdict::held();
    };
    body.cancel = [](Bio&, ProbePad&, Context&) {};
    provider_ = &probes.make(rig, "leaf", {}, kSize);
  }

  Provider& provider() { return *provider_; }
  const std::vector<std::byte>& bytes() const { return bytes_; }
  std::size_t held() const { return held_.size(); }

  void let_go(Random& random) {
    std::swap(held_.front(), held_[random.below(held_.size())]);
    const auto [bio, cx] = held_.front();
    held_.pop_front();
    if (bio->op == Op::read) bio->payload.copy_from(&bytes_[bio->offset], bio->length);
    bio->succeed();
    cx->resume(*bio, Verdict::done());
  }

 private:
  struct Held {
    Bio* bio;
    Context* cx;
  };
  std::vector<std::byte> bytes_;
  std::deque<Held> held_;
  Provider* provider_ = nullptr;
};

// A channel on as little memory as it takes, and then none.
class Starved {
 public:
  Starved(Lane& lane, Provider& top) : program_(compile(top, {}).value()), memory_(0) {
    for (std::size_t bytes = 256; channel_ == nullptr; bytes += 256) {
      memory_.set_left(bytes);
      auto opened = Channel::open(lane, *program_, {.writable = true, .memory = &memory_});
      if (opened) channel_ = std::move(*opened);
    }
    memory_.set_left(0);
  }

  Channel& channel() { return *channel_; }
  BoundedMemory& memory() { return memory_; }

 private:
  std::unique_ptr<Program> program_;
  BoundedMemory memory_;
  std::unique_ptr<Channel> channel_;
};

// Requests of random places and lengths that are submitted to a starved channel from elsewhere, so
// that their number is not bound by its pool of roots.
struct Foreign {
  Bio bio;
  std::vector<std::byte> memory;
  Segment segment;
  int ends = 0;
};

void run_many(Lane& lane, Starved& device, SlowLeaf& leaf, std::uint64_t seed) {
  Random random(seed);
  std::deque<Foreign> requests(80);
  for (Foreign& each : requests) {
    const std::uint64_t blocks = kSize / 512;
    const std::uint64_t first = random.below(blocks);
    const std::uint64_t count = 1 + random.below(std::min<std::uint64_t>(blocks - first, 40));
    each.memory.resize(count * 512);
    each.segment = {each.memory.data(), each.memory.size()};
    each.bio.offset = first * 512;
    each.bio.length = each.memory.size();
    each.bio.payload = {&each.segment, 1, 0};
    each.bio.user = &each;
    each.bio.end_io = [](Bio& done) noexcept { ++static_cast<Foreign*>(done.user)->ends; };
    device.channel().submit(each.bio);
  }
  // The leaf answers one request at a time, and only when nothing else can go on.
  for (;;) {
    while (lane.poll() > 0) {
    }
    if (leaf.held() == 0) break;
    leaf.let_go(random);
  }
  for (const Foreign& each : requests) {
    ASSERT_EQ(each.ends, 1) << "a request never ended: shortage stopped the stack";
    EXPECT_EQ(each.bio.error, Errc::ok);
    EXPECT_TRUE(std::equal(each.memory.begin(), each.memory.end(),
                           leaf.bytes().begin() + static_cast<std::ptrdiff_t>(each.bio.offset)));
  }
  EXPECT_GT(device.memory().refusals(), 0u) << "there was no shortage to survive";
  EXPECT_EQ(device.channel().in_flight(), 0u);
}

TEST(Shortage, a_splitting_layer_goes_on) {
  ProbeClass probes;
  Rig rig;
  SlowLeaf leaf(probes, rig);
  Provider& top = halver(probes, rig, "halver", {&leaf.provider(), &leaf.provider()});
  Starved device(rig.lane(), top);
  run_many(rig.lane(), device, leaf, 1);
}

TEST(Shortage, layers_of_splitting_go_on) {
  ProbeClass probes;
  Rig rig;
  SlowLeaf leaf(probes, rig);
  Provider* top = &leaf.provider();
  for (int i = 0; i < 4; ++i) top = &halver(probes, rig, "halver" + std::to_string(i), {top, top});
  Starved device(rig.lane(), *top);
  for (std::uint64_t seed = 1; seed <= 4; ++seed) run_many(rig.lane(), device, leaf, seed);
}

TEST(Shortage, layers_that_split_anew_on_the_way_up_go_on) {
  ProbeClass probes;
  Rig rig;
  SlowLeaf leaf(probes, rig);
  Provider* top = &leaf.provider();
  for (int i = 0; i < 3; ++i) {
    // Reads everything a second time, in halves, before it is content.
    Probe& body = probes.body();
    body.children = 2;
    body.request = [](Bio&, ProbePad& pad, Context&) {
      pad.word = 0;
      return Verdict::forward(0);
    };
    body.complete = [](Bio& bio, ProbePad& pad, Context& cx) {
      if (++pad.word == 2 || bio.length <= 512 || !bio.ok()) return Verdict::done();
      const std::uint64_t half = align_up(bio.length / 2, 512);
      Split split(cx, bio);
      split.add(0, bio.offset, 0, half);
      split.add(0, bio.offset + half, half, bio.length - half);
      return split.verdict();
    };
    top = &probes.make(rig, "again" + std::to_string(i), {top});
  }
  Starved device(rig.lane(), *top);
  for (std::uint64_t seed = 1; seed <= 2; ++seed) run_many(rig.lane(), device, leaf, seed);
}

TEST(Shortage, folded_maps_that_mostly_forward_go_on) {
  ProbeClass probes;
  Rig rig;
  SlowLeaf leaf(probes, rig);
  Provider& other = halver(probes, rig, "halver", {&leaf.provider(), &leaf.provider()});
  // Alternating extents of two devices, each byte where it belongs.
  std::vector<ProviderPlan> plans(1);
  plans[0].size_bytes = kSize;
  for (std::uint64_t at = 0; at < kSize; at += 8192) {
    plans[0].map.push_back({at, 8192, static_cast<std::uint32_t>(at / 8192 % 2), at});
  }
  auto geom = probes.try_make(rig, "map", {&leaf.provider(), &other}, std::move(plans));
  ASSERT_TRUE(geom.ok()) << geom.error().message;
  Provider& top = halver(probes, rig, "top", {(*geom)->providers().front().get()});
  Starved device(rig.lane(), top);
  for (std::uint64_t seed = 1; seed <= 8; ++seed) run_many(rig.lane(), device, leaf, seed);
}

TEST(Shortage, requests_too_long_for_the_device_go_on) {
  ProbeClass probes;
  Rig rig;
  SlowLeaf leaf(probes, rig);
  probes.body().limits = [](Limits& limits) { limits.max_request_bytes = 1024; };
  Provider& narrow = probes.make(rig, "narrow", {&leaf.provider()});
  Starved device(rig.lane(), narrow);
  run_many(rig.lane(), device, leaf, 1);
}

TEST(Shortage, open_says_so_when_not_even_the_reserve_fits) {
  ProbeClass probes;
  Rig rig;
  SlowLeaf leaf(probes, rig);
  Provider& top = halver(probes, rig, "halver", {&leaf.provider()});
  auto program = compile(top, {}).value();
  BoundedMemory memory(256);
  const auto opened = Channel::open(rig.lane(), *program, {.memory = &memory});
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, Errc::no_memory);
  EXPECT_EQ(memory.left_bytes(), 256);
}

}  // namespace
}  // namespace ashlar
