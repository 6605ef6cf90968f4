// Goal: whatever moment the power is cut at, what may differ between members is resynced by whoever
// assembles the array, a member that lacks something is not taken, and an orderly end is clean.
// Method: members in memory; random writes, failures and cuts, in lives one after another, with
// every byte of metadata parsed anew after each; the same operations from threads; arrays that
// mdadm made as starting points.
#include "md/keeper.h"

#include "md/keeper_test_rig.h"

namespace ashlar::md {
namespace {

constexpr Extent kFirst{0, 64 * kKiB};

void no_wake(Keeper::Waiter&) noexcept {}

// A running array over disks, used by one thread.
struct Array {
  explicit Array(const Shape& shape) : Array(make_disks(shape)) {}
  explicit Array(std::vector<Disk> from)
      : disks(std::move(from)), power(disks, 1), found(disks), keeper(make_keeper(disks, found)) {}

  // Asks until there is nothing to carry out.
  Answer settle(const std::function<Answer(Keeper::Waiter&)>& ask,
                std::optional<std::uint32_t> failing = {}) {
    Keeper::Waiter waiter;
    waiter.wake = no_wake;
    Answer answer = ask(waiter);
    while (answer == Answer::record) {
      keeper->recorded(power.carry_out(keeper->record(), failing));
      answer = ask(waiter);
    }
    EXPECT_NE(answer, Answer::wait);
    return answer;
  }
  Answer write(const Extent& range, std::optional<std::uint32_t> failing = {}) {
    return settle([&](Keeper::Waiter& w) { return keeper->begin_write(range, w); }, failing);
  }
  void whole_write(const Extent& range) {
    EXPECT_EQ(write(range), Answer::open);
    keeper->end_write(range, Written::all);
  }
  Answer clean() {
    return settle([&](Keeper::Waiter& w) { return keeper->begin_clean(w); });
  }
  Answer clear_bits() {
    return settle([&](Keeper::Waiter& w) { return keeper->clear_bits(w); });
  }
  Answer settle_failures() {
    return settle([&](Keeper::Waiter& w) { return keeper->settle_failures(w); });
  }
  Answer checkpoint() {
    return settle([&](Keeper::Waiter& w) { return keeper->checkpoint(w); });
  }
  std::uint64_t bits(std::size_t disk = 0) const {
    const BitmapCopy copy = read_bitmap(disks[disk], read_superblock(disks[disk]));
    std::uint64_t set = 0;
    for (const Extent& each : bitmap_ranges(copy.header, copy.bits)) set += each.length;
    return set / kChunkBytes;
  }
  Found again() const { return Found(disks); }

  std::vector<Disk> disks;
  Power power;
  Found found;
  std::unique_ptr<Keeper> keeper;
};

Disk blank_disk(const Shape& shape) {
  Disk disk = make_disks(shape).back();
  disk.name = "new";
  std::fill(disk.bytes.begin(), disk.bytes.end(), std::byte{0});
  return disk;
}

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all = {
      {Version::v1_2, 1, 2, true},  {Version::v1_2, 1, 3, false},   {Version::v1_2, 5, 4, true},
      {Version::v1_2, 5, 3, false}, {Version::v1_2, 6, 5, true, 1}, {Version::v1_2, 10, 4, true},
      {Version::v0_90, 1, 2, true}, {Version::v0_90, 5, 3, false},  {Version::v0_90, 6, 4, true, 1},
      {Version::v1_0, 10, 4, true},
  };
  return all;
}

TEST(MdKeeper, AnArrayThatIsNotWrittenIsNotTouched) {
  for (const Shape& shape : shapes()) {
    Array array(shape);
    const std::vector<Disk> before = array.disks;
    EXPECT_EQ(array.clean(), Answer::open);
    EXPECT_EQ(array.clear_bits(), Answer::open);
    EXPECT_EQ(array.settle_failures(), Answer::open);
    EXPECT_EQ(array.checkpoint(), Answer::open);
    EXPECT_EQ(array.power.records, 0u);
    for (std::size_t i = 0; i < before.size(); ++i)
      EXPECT_TRUE(same(array.disks[i].bytes, before[i].bytes));
  }
}

TEST(MdKeeper, DirtyWhileWrittenCleanAfter) {
  for (const Shape& shape : shapes()) {
    Array array(shape);
    ASSERT_EQ(array.write(kFirst), Answer::open);
    EXPECT_TRUE(array.again().resyncs(array.disks, kFirst));
    EXPECT_EQ(array.again().freshest().events, 21u);
    EXPECT_EQ(array.again().freshest().updated_seconds, 123456u);
    EXPECT_EQ(array.clean(), Answer::busy);
    array.keeper->end_write(kFirst, Written::all);
    EXPECT_EQ(array.clean(), Answer::open);
    const Found found = array.again();
    EXPECT_TRUE(found.assembly.runs());
    EXPECT_FALSE(found.assembly.dirty());
    EXPECT_EQ(found.freshest().events, 22u);
    EXPECT_EQ(array.power.records, 2u);
    for (std::size_t i = 0; i < array.disks.size(); ++i) {
      EXPECT_EQ(found.candidates[i].superblock.events, 22u);
      if (shape.bitmap && i < shape.disks) {
        EXPECT_EQ(array.bits(i), 0u);
      }
    }
    if (shape.bitmap) {
      EXPECT_EQ(read_bitmap(array.disks[0], found.freshest()).header.events, 22u);
      EXPECT_EQ(read_bitmap(array.disks[0], found.freshest()).header.events_cleared, 21u);
    }
  }
}

TEST(MdKeeper, AHotRangeIsRecordedOnce) {
  Array array(Shape{});
  for (int i = 0; i < 1000; ++i) array.whole_write({4096, 4096});
  EXPECT_EQ(array.power.records, 1u);
  array.whole_write({128 * kKiB, 4096});
  EXPECT_EQ(array.power.records, 2u);
  EXPECT_EQ(array.keeper->events(), 21u);  // a bit is no event
}

TEST(MdKeeper, BitsAreClearedWhenTheyHaveRested) {
  Array array(Shape{});
  array.whole_write(kFirst);
  ASSERT_EQ(array.write({kMiB, 4096}), Answer::open);
  array.clear_bits();
  EXPECT_EQ(array.bits(), 2u);  // used since the call before
  array.clear_bits();
  EXPECT_EQ(array.bits(), 1u);
  EXPECT_EQ(array.bits(1), 1u);
  EXPECT_EQ(read_bitmap(array.disks[0], array.again().freshest()).header.events_cleared, 21u);
  array.keeper->end_write({kMiB, 4096}, Written::all);
  array.clear_bits();
  EXPECT_EQ(array.bits(), 1u);
  array.clear_bits();
  EXPECT_EQ(array.bits(), 0u);
  EXPECT_TRUE(array.again().assembly.dirty());
  array.whole_write(kFirst);  // and set again
  EXPECT_EQ(array.bits(), 1u);
}

TEST(MdKeeper, AFailureIsRecordedBeforeItIsSettled) {
  for (const Shape& shape : shapes()) {
    Array array(shape);
    ASSERT_EQ(array.write(kFirst), Answer::open);
    EXPECT_TRUE(array.keeper->member_failed(1));
    EXPECT_EQ(array.keeper->degraded(), 1u);
    EXPECT_FALSE(array.keeper->in_sync(1));
    EXPECT_TRUE(array.again().has(1));
    EXPECT_EQ(array.settle_failures(), Answer::open);
    const Found found = array.again();
    EXPECT_FALSE(found.has(1));
    EXPECT_EQ(found.freshest().events, 22u);
    EXPECT_EQ(found.candidates[1].superblock.events, 21u);
    array.keeper->end_write(kFirst, Written::live);
    EXPECT_EQ(array.clean(), Answer::open);
    EXPECT_FALSE(array.again().assembly.dirty());
    EXPECT_TRUE(array.again().assembly.runs());
    if (shape.bitmap) {
      EXPECT_EQ(array.bits(), 1u);  // for the one that comes back
    }
    EXPECT_EQ(array.settle_failures(), Answer::open);
    EXPECT_EQ(array.power.records, 3u);
  }
}

// Somebody else's record that says it is under way: until it has ended, nothing is on the members.
TEST(MdKeeper, AFailureThatIsBeingRecordedIsNotSettledYet) {
  for (const Shape& shape : shapes()) {
    Array array(shape);
    ASSERT_EQ(array.write(kFirst), Answer::open);
    EXPECT_TRUE(array.keeper->member_failed(1));
    unsigned woken = 0;
    Keeper::Waiter first;
    Keeper::Waiter second;
    second.user = &woken;
    second.wake = [](Keeper::Waiter& waiter) noexcept { ++*static_cast<unsigned*>(waiter.user); };
    ASSERT_EQ(array.keeper->settle_failures(first), Answer::record);
    ASSERT_EQ(array.keeper->settle_failures(second), Answer::wait);
    const auto failed = array.power.carry_out(array.keeper->record());
    EXPECT_EQ(woken, 0u);
    array.keeper->recorded(failed);
    EXPECT_EQ(woken, 1u);
    EXPECT_EQ(array.keeper->settle_failures(second), Answer::open);
    EXPECT_FALSE(array.again().has(1));
    array.keeper->end_write(kFirst, Written::live);
  }
}

TEST(MdKeeper, APutThatFailsIsAFailure) {
  Array array(Shape{Version::v1_2, 5, 4, true});
  EXPECT_EQ(array.write(kFirst, 2), Answer::open);
  EXPECT_EQ(array.power.records, 2u);  // and one that says so
  EXPECT_FALSE(array.again().has(2));
  EXPECT_EQ(array.again().freshest().events, 22u);
}

TEST(MdKeeper, OneTooManyLosesTheArrayAndLeavesItAlone) {
  Array array(Shape{Version::v1_2, 5, 4, false});
  ASSERT_EQ(array.write(kFirst), Answer::open);
  EXPECT_TRUE(array.keeper->member_failed(0));
  EXPECT_EQ(array.settle_failures(), Answer::open);
  const std::vector<Disk> before = array.disks;
  EXPECT_FALSE(array.keeper->member_failed(1));
  EXPECT_TRUE(array.keeper->lost());
  EXPECT_EQ(array.settle_failures(), Answer::lost);
  EXPECT_EQ(array.write(kFirst), Answer::lost);
  array.keeper->end_write(kFirst, Written::some);
  EXPECT_EQ(array.clean(), Answer::lost);
  for (std::size_t i = 0; i < before.size(); ++i)
    EXPECT_TRUE(same(array.disks[i].bytes, before[i].bytes));
}

TEST(MdKeeper, WithoutRedundancyNothingIsKept) {
  Array array(Shape{Version::v1_2, 0, 2, false});
  for (int i = 0; i < 10; ++i) array.whole_write({0, kMiB});
  EXPECT_EQ(array.clean(), Answer::open);
  EXPECT_EQ(array.power.records, 0u);
  EXPECT_FALSE(array.keeper->member_failed(0));
  EXPECT_EQ(array.write(kFirst), Answer::lost);
}

TEST(MdKeeper, ATornWriteIsResynced) {
  for (const bool bitmap : {false, true}) {
    Array array(Shape{Version::v1_2, 1, 2, bitmap});
    ASSERT_EQ(array.write({kMiB, 4096}), Answer::open);
    array.keeper->end_write({kMiB, 4096}, Written::some);
    ASSERT_EQ(array.keeper->to_resync().size(), 1u);
    EXPECT_EQ(array.keeper->to_resync()[0].offset, kMiB);
    EXPECT_EQ(array.clean(), Answer::open);
    EXPECT_EQ(array.again().assembly.resync_offset_bytes, kMiB);
    if (bitmap) {
      EXPECT_EQ(array.bits(), 1u);
    }
    // Torn again where the resync has passed: it is not done.
    ASSERT_EQ(array.write({kMiB, 4096}), Answer::open);
    array.keeper->set_resync(2 * kMiB);
    array.keeper->end_write({kMiB, 4096}, Written::some);
    EXPECT_FALSE(array.keeper->resync_done());
    EXPECT_TRUE(array.keeper->resync_done());
    EXPECT_TRUE(array.keeper->to_resync().empty());
    EXPECT_EQ(array.clean(), Answer::open);
    EXPECT_FALSE(array.again().assembly.dirty());
  }
}

// The power went off between the bits and the superblocks of a record.
TEST(MdKeeper, DirtyWithoutABitIsInSync) {
  std::vector<Disk> disks = make_disks({});
  for (Disk& each : disks) {
    Superblock superblock = read_superblock(each);
    superblock.resync_offset_bytes = 0;
    store(each, superblock.superblock_offset_bytes, serialise_superblock(superblock));
  }
  Array array(std::move(disks));
  EXPECT_TRUE(array.found.assembly.dirty());
  EXPECT_TRUE(array.keeper->to_resync().empty());
  EXPECT_EQ(array.clean(), Answer::open);
  EXPECT_FALSE(array.again().assembly.dirty());
}

TEST(MdKeeper, AResyncGoesOnWhereItWas) {
  Shape shape{Version::v1_2, 6, 4, false};
  std::vector<Disk> disks = make_disks(shape);
  for (std::uint32_t i = 0; i < 4; ++i) {
    Superblock sb = read_superblock(disks[i]);
    sb.resync_offset_bytes = 0;
    store(disks[i], sb.superblock_offset_bytes, serialise_superblock(sb));
  }
  Array array(disks);
  EXPECT_EQ(array.keeper->to_resync(), (std::vector<Extent>{{0, 8 * kMiB}}));
  array.keeper->set_resync(3 * kMiB);
  EXPECT_EQ(array.checkpoint(), Answer::open);
  EXPECT_EQ(array.again().assembly.resync_offset_bytes, 3 * kMiB);
  ASSERT_EQ(array.write(kFirst), Answer::open);
  EXPECT_EQ(array.again().assembly.resync_offset_bytes, 0u);  // what is written may differ again
  array.keeper->end_write(kFirst, Written::all);
  EXPECT_EQ(array.clean(), Answer::open);
  EXPECT_EQ(array.again().assembly.resync_offset_bytes, 3 * kMiB);
  EXPECT_TRUE(array.keeper->resync_done());
  EXPECT_EQ(array.checkpoint(), Answer::open);
  EXPECT_FALSE(array.again().assembly.dirty());
}

TEST(MdKeeper, ASpareTakesAPlace) {
  for (const Shape& shape :
       {Shape{Version::v1_2, 6, 5, true, 1}, Shape{Version::v0_90, 6, 4, true, 1},
        Shape{Version::v1_2, 1, 2, false, 1}}) {
    Array array(shape);
    array.whole_write(kFirst);
    EXPECT_TRUE(array.keeper->member_failed(1));
    EXPECT_EQ(array.settle_failures(), Answer::open);
    array.keeper->start_recovery(shape.disks, 1);
    EXPECT_EQ(array.checkpoint(), Answer::open);
    array.keeper->set_recovery(1, 2 * kMiB);
    EXPECT_EQ(array.checkpoint(), Answer::open);
    if (shape.version == Version::v0_90) {
      EXPECT_EQ(array.again().assembly.spares.size(), 1u);  // it cannot say how far it is
    } else {
      EXPECT_EQ(array.again().assembly.members[1]->recovery_offset_bytes, 2 * kMiB);
    }
    EXPECT_EQ(array.keeper->to_recover(1)->from, 2 * kMiB);
    array.keeper->member_recovered(1);
    EXPECT_EQ(array.keeper->degraded(), 1u);  // nobody says so yet
    EXPECT_EQ(array.checkpoint(), Answer::open);
    EXPECT_EQ(array.keeper->degraded(), 0u);
    EXPECT_EQ(array.clean(), Answer::open);
    const Found found = array.again();
    EXPECT_EQ(found.assembly.degraded, 0u);
    EXPECT_TRUE(found.has(shape.disks));
    EXPECT_FALSE(found.has(1));
    EXPECT_FALSE(found.assembly.dirty());
    if (shape.bitmap) {
      EXPECT_EQ(array.bits(shape.disks), 0u);
    }
  }
}

TEST(MdKeeper, ANewDeviceIsGivenANumberThatNobodyHas) {
  const Shape shape{Version::v1_2, 1, 2, true};
  Array array(shape);
  array.whole_write(kFirst);
  EXPECT_TRUE(array.keeper->member_failed(0));
  Disk fresh = blank_disk(shape);
  Superblock place = superblock_of(shape, 0, fresh.device_bytes);
  place.device_uuid->fill(std::byte{0x77});
  array.disks.push_back(fresh);
  // So that the rig knows where its superblock is.
  store(array.disks[2], place.superblock_offset_bytes, serialise_superblock(place));
  auto added = array.keeper->add_device({place, fresh.device_bytes, 512, {}});
  ASSERT_TRUE(added) << added.error().message;
  EXPECT_EQ(*added, 2u);
  array.keeper->start_recovery(*added, 0);
  EXPECT_EQ(array.checkpoint(), Answer::open);
  EXPECT_EQ(read_superblock(array.disks[2]).device_number, 2u);
  EXPECT_EQ(array.bits(2), array.bits(1));
  array.keeper->member_recovered(0);
  EXPECT_EQ(array.clean(), Answer::open);
  EXPECT_TRUE(array.again().has(2));
  EXPECT_FALSE(array.again().has(0));
  EXPECT_TRUE(array.again().assembly.runs());
}

TEST(MdKeeper, AReturningMemberLacksWhatTheBitsSay) {
  Array array(Shape{Version::v1_2, 1, 2, true, 1});
  array.whole_write(kFirst);
  const Superblock old = read_superblock(array.disks[1]);
  EXPECT_TRUE(array.keeper->member_failed(1));
  ASSERT_EQ(array.write({2 * kMiB, 4096}), Answer::open);
  array.keeper->end_write({2 * kMiB, 4096}, Written::live);
  EXPECT_TRUE(array.keeper->bitmap_suffices(old));
  array.keeper->start_recovery(2, 1, true);
  EXPECT_EQ(array.checkpoint(), Answer::open);
  EXPECT_TRUE(read_superblock(array.disks[2]).recovery_by_bitmap);
  const auto lacking = array.keeper->to_recover(1);
  EXPECT_TRUE(lacking->by_bitmap);
  EXPECT_EQ(lacking->ranges, (std::vector<Extent>{kFirst, {2 * kMiB, kChunkBytes}}));
  array.keeper->member_recovered(1);
  EXPECT_EQ(array.checkpoint(), Answer::open);
  array.clean();
  EXPECT_FALSE(array.keeper->bitmap_suffices(old));  // bits have been cleared since
}

// An update was interrupted: one member is an event behind. Another cut must not make it two.
TEST(MdKeeper, AMemberThatIsBehindIsLevelledFirst) {
  for (std::uint64_t i = 0; i < 4 * 16; ++i) {
    SCOPED_TRACE(i);
    std::vector<Disk> disks = make_disks({Version::v1_2, 5, 4, true});
    Disk& late = disks[i % 4];
    Superblock sb = read_superblock(late);
    sb.events = 19;
    store(late, sb.superblock_offset_bytes, serialise_superblock(sb));
    Array array(disks);
    array.power.sectors_left = i / 4;
    array.write(kFirst);
    EXPECT_TRUE(array.again().assembly.left_out.empty());
    EXPECT_TRUE(array.again().assembly.runs());
    array.keeper->end_write(kFirst, Written::all);
  }
}

TEST(MdKeeper, AMissingMemberIsRecordedWithTheFirstWrite) {
  for (const Version version : {Version::v1_2, Version::v0_90}) {
    std::vector<Disk> all = make_disks({version, 1, 2, true});
    Array array(std::vector<Disk>{all[0]});
    array.whole_write(kFirst);
    array.disks.push_back(all[1]);
    EXPECT_FALSE(array.again().has(1));  // though it is one event behind only
  }
}

TEST(MdKeeper, ABitmapThatIsOutOfDateIsWrittenAnewBeforeItIsTrusted) {
  for (std::uint64_t cut = 0; cut < 60; ++cut) {
    std::vector<Disk> disks = make_disks({Version::v1_2, 1, 2, true});
    for (Disk& each : disks) {
      Superblock sb = read_superblock(each);
      sb.events = 25;  // the bitmap has 20
      sb.resync_offset_bytes = 0;
      store(each, sb.superblock_offset_bytes, serialise_superblock(sb));
    }
    Array array(disks);
    EXPECT_EQ(array.keeper->to_resync(), (std::vector<Extent>{{0, 8 * kMiB}}));
    array.power.sectors_left = cut;
    array.write(kFirst);
    EXPECT_TRUE(array.again().resyncs(array.disks, {0, 8 * kMiB})) << cut;
    if (!array.power.off()) {
      EXPECT_EQ(array.bits(), 128u);
    }
    array.keeper->end_write(kFirst, Written::all);
  }
}

TEST(MdKeeper, BadBlocks) {
  Array made(Shape{});
  std::vector<KeeperDevice> devices;
  for (std::size_t i = 0; i < 2; ++i) {
    devices.push_back({made.found.candidates[i].superblock, made.disks[i].device_bytes, 512, {}});
  }
  devices[1].bad_blocks = {{kMiB + 8192, 4096}, {kMiB + 65536, 512}};
  auto keeper = Keeper::make(made.found.assembly, devices,
                             read_bitmap(made.disks[0], made.found.freshest()), [] { return 0; });
  ASSERT_TRUE(keeper);
  EXPECT_EQ((*keeper)->bad(0, {0, kMiB}), std::nullopt);
  EXPECT_EQ((*keeper)->bad(1, {0, 8192}), std::nullopt);
  EXPECT_EQ((*keeper)->bad(1, {0, 9000}), (Extent{8192, 808}));
  EXPECT_EQ((*keeper)->bad(1, {10000, kMiB}), (Extent{10000, 2288}));
  EXPECT_EQ((*keeper)->bad(1, {12288, kMiB}), (Extent{65536, 512}));
}

TEST(MdKeeper, WhatCannotBeKeptIsRefused) {
  Array made(Shape{});
  const auto make = [&](std::uint32_t block_bytes, bool bitmap) {
    std::vector<KeeperDevice> devices;
    for (std::size_t i = 0; i < 2; ++i) {
      devices.push_back(
          {made.found.candidates[i].superblock, made.disks[i].device_bytes, block_bytes, {}});
    }
    std::optional<BitmapCopy> copy;
    if (bitmap) copy = read_bitmap(made.disks[0], made.found.freshest());
    auto keeper = Keeper::make(made.found.assembly, devices, copy, [] { return 0; });
    return keeper ? Errc::ok : keeper.error().code;
  };
  EXPECT_EQ(make(4096, true), Errc::ok);
  EXPECT_EQ(make(8192, true), Errc::unsupported);  // superblock and bitmap in one block
  EXPECT_EQ(make(512, false), Errc::invalid);
}

TEST(MdKeeper, OneCarriesOutWhatManyWaitFor) {
  Array array(Shape{});
  Keeper& keeper = *array.keeper;
  int woken = 0;
  const auto count = [](Keeper::Waiter& waiter) noexcept { ++*static_cast<int*>(waiter.user); };
  std::array<Keeper::Waiter, 4> waiters;
  for (Keeper::Waiter& each : waiters) {
    each.wake = count;
    each.user = &woken;
  }
  const auto range = [](std::uint64_t i) { return Extent{i * kChunkBytes, 4096}; };
  EXPECT_EQ(keeper.begin_write(range(0), waiters[0]), Answer::record);
  for (std::uint64_t i = 1; i < 4; ++i) {
    EXPECT_EQ(keeper.begin_write(range(i), waiters[i]), Answer::wait);
  }
  EXPECT_TRUE(keeper.forget(waiters[3]));
  keeper.recorded(array.power.carry_out(keeper.record()));
  EXPECT_EQ(woken, 2);
  EXPECT_FALSE(keeper.forget(waiters[1]));
  EXPECT_EQ(keeper.begin_write(range(0), waiters[0]), Answer::open);
  // The bits of all that asked meanwhile go out together.
  EXPECT_EQ(keeper.begin_write(range(1), waiters[1]), Answer::record);
  keeper.recorded(array.power.carry_out(keeper.record()));
  EXPECT_EQ(keeper.begin_write(range(1), waiters[1]), Answer::open);
  EXPECT_EQ(keeper.begin_write(range(2), waiters[2]), Answer::open);
  EXPECT_EQ(array.power.records, 2u);
  for (std::uint64_t i = 0; i < 3; ++i) keeper.end_write(range(i), Written::all);
}
}  // namespace
}  // namespace ashlar::md
