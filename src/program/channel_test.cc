// Goal: a channel takes bios from anywhere, and its program may be replaced under way.
// Method: bios on the stack, of other devices and of earlier programs, against the count of clones;
// replacement while a leaf keeps requests.
#include "program/channel.h"

#include <deque>

#include "test/async.h"
#include "test/bounded_memory.h"
#include "test/probe.h"

namespace ashlar {
namespace {

using test::Async;
using test::BoundedMemory;
using test::Opened;
using test::pattern;
using test::Probe;
using test::ProbeClass;
using test::ProbePad;
using test::Rig;

// A bio that no channel has made.
struct Foreign {
  Bio bio;
  Segment segment;
  int ends = 0;

  Foreign(Op op, std::uint64_t offset, ByteSpan memory) : segment{memory.data(), memory.size()} {
    bio.op = op;
    bio.offset = offset;
    bio.length = memory.size();
    if (has_payload(op)) bio.payload = {&segment, 1, 0};
    bio.user = this;
    bio.end_io = [](Bio& done) noexcept { ++static_cast<Foreign*>(done.user)->ends; };
  }
};

TEST(Channel, a_bio_from_elsewhere_works_by_a_clone_and_is_counted) {
  Rig rig;
  Provider& disk = rig.make("memory", "disk", {}, {{"size", "64KiB"}});
  Opened device = rig.open(rig.make("passthrough", "top", {&disk}));
  auto bytes = pattern(4096);
  EXPECT_EQ(device.write(512, bytes), Errc::ok);
  EXPECT_EQ(device.channel().short_frames(), 0u);
  std::vector<std::byte> back(4096);
  Foreign one(Op::read, 512, back);
  device.channel().submit(one.bio);
  EXPECT_EQ(one.ends, 1);
  EXPECT_EQ(one.bio.error, Errc::ok);
  EXPECT_EQ(one.bio.done, 4096u);
  EXPECT_EQ(back, bytes);
  EXPECT_EQ(device.channel().short_frames(), 1u);
  // Once more with the same one, where it does not fit.
  one.bio.offset = 64 * kKiB;
  device.channel().submit(one.bio);
  EXPECT_EQ(one.ends, 2);
  EXPECT_EQ(one.bio.error, Errc::out_of_range);
  EXPECT_EQ(device.channel().in_flight(), 0u);
}

TEST(Channel, a_bio_of_another_device_is_foreign) {
  Rig rig;
  Provider& disk = rig.make("memory", "disk", {}, {{"size", "64KiB"}});
  Opened here = rig.open(disk);
  Opened there = rig.open(rig.make("passthrough", "top", {&disk}));
  std::vector<std::byte> buffer(512);
  Async one(here.channel(), Op::read, 0, buffer);
  EXPECT_EQ(one.wait(), Errc::ok);
  one.bio().user = nullptr;
  one.bio().end_io = [](Bio&) noexcept {};
  there.channel().submit(one.bio());
  EXPECT_EQ(one.bio().error, Errc::ok);
  EXPECT_EQ(there.channel().short_frames(), 1u);
}

TEST(Channel, without_memory_for_clones_they_wait_their_turn) {
  ProbeClass probes;
  Rig rig;
  std::deque<Bio*> kept;
  Probe& body = probes.body();
  body.request = [&](Bio& bio, ProbePad&, Context&) {
    kept.push_back(&bio);
    return Verdict::held();
  };
  body.cancel = [](Bio&, ProbePad&, Context&) {};
  auto program = compile(probes.make(rig, "leaf", {}, 64 * kKiB), {}).value();
  BoundedMemory memory(0);
  std::unique_ptr<Channel> channel;
  for (std::size_t bytes = 128; channel == nullptr; bytes += 128) {
    memory.set_left(bytes);
    auto opened = Channel::open(rig.lane(), *program, {.memory = &memory});
    if (opened) channel = std::move(*opened);
  }
  memory.set_left(0);
  // All of the pool is the caller's, and then foreign bios come.
  std::vector<Bio*> mine;
  while (Bio* bio = channel->allocate()) mine.push_back(bio);
  ASSERT_FALSE(mine.empty());
  std::vector<std::byte> buffer(512);
  std::deque<Foreign> requests;
  for (std::uint64_t i = 0; i < 10; ++i) {
    channel->submit(requests.emplace_back(Op::read, i * 512, buffer).bio);
  }
  EXPECT_TRUE(kept.empty());
  // What the caller gives back serves those that wait, in their order.
  for (Bio* each : mine) channel->release(*each);
  std::uint64_t expected = 0;
  while (!kept.empty()) {
    Bio& bio = *kept.front();
    kept.pop_front();
    EXPECT_EQ(bio.offset, expected++ * 512);
    bio.succeed();
    rig.lane().resume(bio, Verdict::done());
    rig.lane().poll();
  }
  EXPECT_EQ(expected, 10u);
  for (const Foreign& each : requests) EXPECT_EQ(each.ends, 1);
}

TEST(Channel, a_replaced_program_serves_what_it_began) {
  ProbeClass probes;
  Rig rig;
  std::deque<Bio*> kept;
  const auto keep = [&](Bio& bio, ProbePad&, Context&) {
    kept.push_back(&bio);
    return Verdict::held();
  };
  const auto ignore = [](Bio&, ProbePad&, Context&) {};
  probes.body().request = keep;
  probes.body().cancel = ignore;
  Provider& leaf = probes.make(rig, "leaf", {}, 64 * kKiB);
  Provider& top = rig.make("passthrough", "top", {&leaf});
  auto first = compile(leaf, {}).value();
  auto second = compile(top, {}).value();
  auto channel = Channel::open(rig.lane(), *first, {.writable = true}).value();
  std::vector<std::byte> buffer(512);
  {
    Async old(*channel, Op::read, 0, buffer);
    Bio* spare = channel->allocate();  // made for the first program, used after it
    ASSERT_TRUE(channel->replace(*second).ok());
    EXPECT_EQ(&channel->program(), second.get());
    EXPECT_TRUE(channel->uses(*first));
    Async young(*channel, Op::read, 512, buffer);
    EXPECT_EQ(channel->in_flight(), 2u);
    ASSERT_EQ(kept.size(), 2u);
    EXPECT_EQ(&kept[0]->home->program, first.get());
    EXPECT_EQ(&kept[1]->home->program, second.get());
    spare->op = Op::flush;
    spare->flags = 0;
    spare->offset = spare->length = 0;
    spare->user = nullptr;
    spare->end_io = [](Bio&) noexcept {};
    channel->submit(*spare);
    EXPECT_EQ(channel->short_frames(), 1u);
    for (Bio* each : kept) {
      each->succeed();
      rig.lane().resume(*each, Verdict::done());
    }
    EXPECT_EQ(old.wait(), Errc::ok);
    EXPECT_EQ(young.wait(), Errc::ok);
    channel->release(*spare);
    EXPECT_TRUE(channel->uses(*first)) << "a bio of it is not back yet";
  }
  EXPECT_FALSE(channel->uses(*first));
  first.reset();
}

TEST(Channel, a_replacement_that_has_no_memory_changes_nothing) {
  Rig rig;
  Provider& disk = rig.make("memory", "disk", {}, {{"size", "64KiB"}});
  Provider& top = rig.make("passthrough", "top", {&disk});
  auto first = compile(disk, {}).value();
  auto second = compile(top, {}).value();
  BoundedMemory memory(kMiB);
  auto channel = Channel::open(rig.lane(), *first, {.memory = &memory}).value();
  memory.set_left(0);
  EXPECT_EQ(channel->replace(*second).error().code, Errc::no_memory);
  EXPECT_EQ(&channel->program(), first.get());
  std::vector<std::byte> buffer(512);
  EXPECT_EQ(Async(*channel, Op::read, 0, buffer).wait(), Errc::ok);
}

}  // namespace
}  // namespace ashlar
