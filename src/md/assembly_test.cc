// Goal: arrays are put together from superblocks as the kernel and mdadm do, whatever the order of
// devices; what is left to chance there is refused here.
// Method: superblocks of small arrays, changed as failures, crashes and people change them; every
// case is asked again with its devices in other orders.
#include "md/assembly.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace ashlar::md {
namespace {

using Set = std::vector<Candidate>;

Superblock member(std::int32_t level, std::uint32_t disks, std::uint16_t number) {
  Superblock sb;
  sb.set_uuid.fill(std::byte{0x5a});
  sb.device_uuid.emplace().fill(std::byte(number));
  sb.level = level;
  sb.layout = level == 10 ? 0x102 : level >= 5 ? 2 : 0;
  sb.chunk_bytes = 64 * kKiB;
  sb.raid_disks = disks;
  sb.component_bytes = 8 * kMiB;
  sb.data_bytes = 9 * kMiB;
  sb.device_number = number;
  sb.events = 20;
  for (std::uint16_t i = 0; i < disks; ++i) sb.roles.push_back(i);
  return sb;
}

// disk0, disk1, ...
Set array(std::int32_t level, std::uint32_t disks) {
  Set set;
  for (std::uint16_t i = 0; i < disks; ++i) {
    set.push_back({fmt::format("disk{}", i), member(level, disks, i)});
  }
  return set;
}

void set_role_everywhere(Set& set, std::size_t number, std::uint16_t role) {
  for (Candidate& each : set) {
    if (each.superblock.roles.size() <= number)
      each.superblock.roles.resize(number + 1, kRoleFaulty);
    each.superblock.roles[number] = role;
  }
}

// What was decided, in names: independent of the order of candidates.
std::string text_of(const Assembly& assembly, const Set& set) {
  std::string text;
  const auto names = [&](const char* what, const auto& places) {
    text += what;
    for (const auto& each : places) {
      text +=
          each ? fmt::format(" {}{}", set[each->candidate].name, each->in_sync() ? "" : "*") : " -";
    }
  };
  names("members", assembly.members);
  names("; replacements", assembly.replacements);
  std::vector<std::string> rest;
  for (const std::size_t each : assembly.spares) rest.push_back(set[each].name + " is a spare");
  for (const LeftOut& each : assembly.left_out) {
    rest.push_back(set[each.candidate].name + " " + each.reason);
  }
  std::sort(rest.begin(), rest.end());
  for (const std::string& each : rest) text += "; " + each;
  return text;
}

// The one array of a set, after asking in several orders.
Assembly only(const Set& set) {
  const std::vector<Assembly> arrays = assemble(set);
  EXPECT_EQ(arrays.size(), 1u);
  const Assembly& first = arrays.at(0);
  std::mt19937 random(1);
  for (int i = 0; i < 20; ++i) {
    Set other = set;
    std::shuffle(other.begin(), other.end(), random);
    const Assembly again = assemble(other).at(0);
    EXPECT_EQ(text_of(again, other), text_of(first, set));
    EXPECT_EQ(again.refusal, first.refusal);
    EXPECT_EQ(again.needs_insistence, first.needs_insistence);
  }
  return first;
}

std::string members(const Set& set) {
  const std::string text = text_of(only(set), set);
  return text.substr(0, text.find("; replacements"));
}

std::string reason(const Set& set, const std::string& name) {
  for (const LeftOut& each : only(set).left_out) {
    if (set[each.candidate].name == name) return each.reason;
  }
  return "";
}

Set without(Set set, std::initializer_list<std::size_t> numbers) {
  std::vector<std::size_t> sorted(numbers);
  std::sort(sorted.rbegin(), sorted.rend());
  for (const std::size_t i : sorted) set.erase(set.begin() + static_cast<std::ptrdiff_t>(i));
  return set;
}

TEST(MdAssembly, PlacesComeFromSuperblocks) {
  for (const int level : {1, 4, 5, 6, 10}) {
    const Set set = array(level, 4);
    const Assembly assembly = only(set);
    EXPECT_EQ(text_of(assembly, set), "members disk0 disk1 disk2 disk3; replacements - - - -");
    EXPECT_TRUE(assembly.runs()) << assembly.refusal;
    EXPECT_EQ(assembly.degraded, 0u);
    EXPECT_FALSE(assembly.dirty());
    EXPECT_TRUE(assembly.doubts.empty());
    EXPECT_EQ(assembly.layout->array_bytes(), 8 * kMiB *
                                                  (level == 1                  ? 1u
                                                   : level == 6 || level == 10 ? 2u
                                                                               : 3u));
  }
}

TEST(MdAssembly, NumbersAreNotPlaces) {
  Set set = array(5, 3);
  set[2].superblock.device_number = 3;
  for (Candidate& each : set) each.superblock.roles = {1, 0, kRoleFaulty, 2};
  EXPECT_EQ(members(set), "members disk1 disk0 disk2");
}

TEST(MdAssembly, MissingMembersUpToTheLimit) {
  const auto runs = [](Set set) { return only(set).runs(); };
  EXPECT_TRUE(runs(without(array(5, 4), {2})));
  EXPECT_FALSE(runs(without(array(5, 4), {2, 3})));
  EXPECT_TRUE(runs(without(array(6, 4), {0, 2})));
  EXPECT_FALSE(runs(without(array(6, 4), {0, 2, 3})));
  EXPECT_TRUE(runs(without(array(1, 4), {0, 1, 2})));
  EXPECT_TRUE(runs(without(array(10, 4), {0, 2})));
  EXPECT_FALSE(runs(without(array(10, 4), {0, 1})));
  EXPECT_NE(only(without(array(10, 4), {2, 3})).refusal.find("places 2, 3"), std::string::npos);
  const Assembly degraded = only(without(array(6, 5), {1, 4}));
  EXPECT_EQ(degraded.degraded, 2u);
  EXPECT_FALSE(degraded.members[1]);
}

TEST(MdAssembly, LevelsWithoutRedundancyNeedAll) {
  for (const int level : {-1, 0}) {
    Set set = array(level, 3);
    EXPECT_TRUE(only(set).runs()) << only(set).refusal;
    EXPECT_EQ(only(set).layout->array_bytes(), 27 * kMiB);
    EXPECT_NE(only(without(set, {1})).refusal.find("1 of 3 members are missing"),
              std::string::npos);
  }
}

TEST(MdAssembly, OneUpdateBehindIsTaken) {
  Set set = array(5, 3);
  set[1].superblock.events = 19;
  const Assembly assembly = only(set);
  EXPECT_TRUE(assembly.runs());
  EXPECT_TRUE(assembly.members[1]->behind);
  EXPECT_EQ(assembly.doubts.size(), 1u);
}

TEST(MdAssembly, TwoBehindIsStale) {
  Set set = array(5, 3);
  set[1].superblock.events = 18;
  EXPECT_EQ(reason(set, "disk1"), "is stale: it has 18 events, the array 20");
  for (const std::size_t i : {0u, 2u}) set[i].superblock.roles[1] = kRoleFaulty;
  EXPECT_EQ(reason(set, "disk1"),
            "is stale: it has 18 events, the array 20, and records it as failed");
  EXPECT_EQ(only(set).degraded, 1u);
}

// The others wrote down that it failed, and then the power was cut: its own superblock is one
// update behind and says that all is well.
TEST(MdAssembly, OneBehindAndFailedIsLeftOut) {
  Set set = array(1, 2);
  set[1].superblock.events = 19;
  set[0].superblock.roles[1] = kRoleFaulty;
  EXPECT_EQ(reason(set, "disk1"), "has failed, as other members record");
  set[1].superblock.device_number = 7;
  set[1].superblock.roles.resize(8, 1);
  EXPECT_EQ(reason(set, "disk1"), "has failed, as other members record");
}

TEST(MdAssembly, OneThatRecordsItselfAsFailed) {
  Set set = array(1, 3);
  set_role_everywhere(set, 2, kRoleFaulty);
  EXPECT_EQ(reason(set, "disk2"), "has failed, as it records itself");
}

TEST(MdAssembly, AnOldOneThatThinksTheFreshestFailed) {
  Set set = array(1, 3);
  set[2].superblock.events = 19;
  set[2].superblock.roles = {kRoleFaulty, kRoleFaulty, 2};
  EXPECT_EQ(reason(set, "disk2"), "says that disk0 has failed");
}

// Each half was used without the other: by the same number of updates.
TEST(MdAssembly, ASplitMirrorIsRefused) {
  Set set = array(1, 2);
  set[0].superblock.roles[1] = kRoleFaulty;
  set[1].superblock.roles[0] = kRoleFaulty;
  EXPECT_NE(only(set).refusal.find("each say that the other has failed"), std::string::npos);
  set[0].superblock.events = 40;  // one went on alone
  EXPECT_TRUE(only(set).runs());
  EXPECT_EQ(members(set), "members disk0 -");
}

TEST(MdAssembly, SparesNeedNoEvents) {
  Set set = array(5, 3);
  Superblock spare = member(5, 3, 3);
  spare.events = 5;
  set.push_back({"spare", spare});
  set_role_everywhere(set, 3, kRoleSpare);
  const Assembly assembly = only(set);
  EXPECT_EQ(assembly.spares, std::vector<std::size_t>{3});
  EXPECT_TRUE(assembly.runs());
  set[3].superblock.events = 500;
  EXPECT_EQ(only(set).spares.size(), 1u);
  EXPECT_EQ(only({set[3]}).refusal, "no member is there, only devices without a place");
}

TEST(MdAssembly, ARecoveringMemberIsInPlaceAndNotInSync) {
  Set set = array(5, 3);
  set[1].superblock.recovery_offset_bytes = kMiB;
  const Assembly assembly = only(set);
  EXPECT_EQ(members(set), "members disk0 disk1* disk2");
  EXPECT_EQ(assembly.degraded, 1u);
  EXPECT_EQ(assembly.members[1]->recovery_offset_bytes, kMiB);
  EXPECT_TRUE(assembly.runs());
  EXPECT_FALSE(only(without(set, {0})).runs());
}

TEST(MdAssembly, Replacements) {
  Set set = array(5, 3);
  Superblock taking_over = member(5, 3, 3);
  taking_over.replacement = true;
  taking_over.recovery_offset_bytes = 2 * kMiB;
  set.push_back({"new", taking_over});
  set_role_everywhere(set, 3, 1);
  EXPECT_EQ(text_of(only(set), set), "members disk0 disk1 disk2; replacements - new* -");
  // It is all there is: used for what it has.
  const Set alone = without(set, {1});
  EXPECT_EQ(text_of(only(alone), alone), "members disk0 new* disk2; replacements - - -");
  EXPECT_EQ(only(alone).degraded, 1u);
}

TEST(MdAssembly, DirtyIsToBeResynced) {
  for (const int level : {1, 5, 6, 10}) {
    Set set = array(level, 4);
    for (Candidate& each : set) each.superblock.resync_offset_bytes = kMiB;
    const Assembly assembly = only(set);
    EXPECT_TRUE(assembly.runs());
    EXPECT_EQ(assembly.resync_offset_bytes, kMiB);
    for (Candidate& each : set) each.superblock.resync_offset_bytes = 64 * kMiB;
    EXPECT_FALSE(only(set).dirty());  // past the end: done
  }
}

TEST(MdAssembly, DirtyAndDegradedNeedsInsistence) {
  const auto insistence = [](int level, std::uint32_t layout, std::size_t missing) {
    Set set = array(level, 4);
    for (Candidate& each : set) {
      each.superblock.resync_offset_bytes = 0;
      each.superblock.layout = layout;
    }
    const Assembly assembly = only(without(set, {missing}));
    EXPECT_TRUE(assembly.refusal.empty());
    return !assembly.needs_insistence.empty();
  };
  EXPECT_TRUE(insistence(5, 2, 1));
  EXPECT_TRUE(insistence(6, 2, 1));
  EXPECT_TRUE(insistence(4, 0, 1));
  EXPECT_FALSE(insistence(4, 0, 3));  // parity alone is missing: nothing is computed from it
  EXPECT_FALSE(insistence(5, 4, 0));
  EXPECT_FALSE(insistence(1, 0, 1));
  EXPECT_FALSE(insistence(10, 0x102, 1));
}

TEST(MdAssembly, ADuplicateIsRefused) {
  Set set = array(5, 3);
  set.push_back({"copy", set[1].superblock});
  EXPECT_NE(only(set).refusal.find("one is a copy of the other"), std::string::npos);
  set[3].superblock.events = 19;
  EXPECT_TRUE(only(set).runs());
  EXPECT_EQ(reason(set, "copy"), "is an older copy of disk1, which has place 1");
  set[3].superblock.events = 12;
  EXPECT_TRUE(only(set).runs());
}

TEST(MdAssembly, ACloneOfAWholeArrayIsRefused) {
  Set set = array(6, 4);
  for (Candidate each : array(6, 4)) {
    each.name = "clone of " + each.name;
    set.push_back(each);
  }
  EXPECT_FALSE(only(set).refusal.empty());
  // It was used alone since, and is another array by now; the older is left out as a whole.
  for (std::size_t i = 4; i < 8; ++i) set[i].superblock.events = 30;
  EXPECT_TRUE(only(set).runs());
  EXPECT_EQ(only(set).left_out.size(), 4u);
}

TEST(MdAssembly, ContradictionsAreLeftOut) {
  const auto left_out = [](auto change) {
    Set set = array(5, 4);
    change(set[3].superblock);
    return reason(set, "disk3");
  };
  EXPECT_EQ(left_out([](Superblock& sb) { sb.layout = 0; }), "contradicts disk0: layout 0, not 2");
  EXPECT_NE(left_out([](Superblock& sb) { sb.level = 6; }), "");
  EXPECT_NE(left_out([](Superblock& sb) { sb.chunk_bytes *= 2; }), "");
  EXPECT_NE(left_out([](Superblock& sb) { sb.raid_disks = 5; }), "");
  EXPECT_NE(left_out([](Superblock& sb) { sb.component_bytes -= 512; }), "");
  EXPECT_NE(left_out([](Superblock& sb) { sb.data_bytes = kMiB; }).find("too small"),
            std::string::npos);
}

TEST(MdAssembly, ArraysAreToldApart) {
  Set set = array(1, 2);
  for (Candidate each : array(5, 3)) {
    each.superblock.set_uuid.fill(std::byte{1});
    set.push_back(each);
  }
  for (Candidate each : array(1, 2)) {
    each.superblock.version = Version::v1_0;
    set.push_back(each);
  }
  const std::vector<Assembly> arrays = assemble(set);
  ASSERT_EQ(arrays.size(), 3u);
  EXPECT_EQ(arrays[0].members.size(), 3u);
  EXPECT_TRUE(arrays[0].doubts.empty());
  EXPECT_EQ(arrays[1].doubts.size(), 1u);
  EXPECT_EQ(arrays[2].doubts.size(), 1u);
  EXPECT_TRUE(assemble({}).empty());
}

TEST(MdAssembly, WhatIsNotSupportedStopsTheArray) {
  Set set = array(5, 3);
  set[2].superblock.unsupported = "the array is being reshaped";
  EXPECT_EQ(only(set).refusal, "disk2 says: the array is being reshaped");
  set[2].superblock.events = 3;  // long ago
  EXPECT_TRUE(only(set).runs());
}

TEST(MdAssembly, ALayoutThatIsNoneIsRefused) {
  Set set = array(5, 3);
  for (Candidate& each : set) each.superblock.layout = 99;
  EXPECT_NE(only(set).refusal.find("layout 99"), std::string::npos);
  EXPECT_FALSE(only(set).layout);
}

TEST(MdAssembly, SetsOfRaid10ThatTheKernelMisjudges) {
  Set set = array(10, 4);
  for (Candidate& each : set) each.superblock.layout = 0x40201;
  const Assembly assembly = only(without(set, {1, 2}));
  EXPECT_TRUE(assembly.runs());
  EXPECT_EQ(assembly.doubts.size(), 1u);
}

}  // namespace
}  // namespace ashlar::md
