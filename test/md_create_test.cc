// Goal: a new array has the superblocks and the bitmap that mdadm and the kernel gave theirs.
// Method: for each small array that the kernel made (test/md_images) and whose members are all
// there: one is planned from the sizes of its members and from what was said on mdadm's command
// line, and all is compared that does not depend on times and on what happened since.
#include <gtest/gtest.h>

#include "md/create.h"
#include "test/md_arrays.h"

namespace ashlar::md {
namespace {

using Members = std::vector<std::optional<test::MdMember>>;

// What mdadm was told.
CreateOptions options_of(const Superblock& superblock, const Members& members) {
  CreateOptions options;
  options.version = superblock.version;
  options.level = superblock.level;
  options.layout = superblock.layout;
  if (superblock.chunk_bytes != 0) options.chunk_bytes = superblock.chunk_bytes;
  options.assume_clean = true;
  options.name = superblock.name;
  options.set_uuid = superblock.set_uuid;
  options.created_seconds = superblock.created_seconds;
  options.bitmap = CreateOptions::Bitmap::none;
  if (superblock.has_bitmap) {
    options.bitmap = CreateOptions::Bitmap::internal;
    const ByteView bitmap = ByteView(members[0]->bytes).subspan(superblock.bitmap_start_bytes());
    options.bitmap_chunk_bytes = parse_bitmap(bitmap, 64 * kKiB)->chunk_bytes;
  }
  return options;
}

// What a superblock is to have in common with one that has been in use, as its bytes say it.
std::vector<std::byte> without_history(Superblock superblock, const Superblock& planned) {
  superblock.events = planned.events;
  superblock.updated_seconds = planned.updated_seconds;
  superblock.device_number = planned.device_number;
  superblock.device_uuid = planned.device_uuid;
  superblock.raw.clear();
  return serialise_superblock(superblock);
}

void expect_same_bitmap(const NewArray& array, const test::MdMember& member) {
  const Superblock& superblock = member.superblock;
  ASSERT_EQ(array.bitmap.has_value(), superblock.has_bitmap);
  if (!array.bitmap) return;
  const ByteView place = ByteView(member.bytes).subspan(superblock.bitmap_start_bytes());
  auto theirs = parse_bitmap(place, bitmap_room_bytes(superblock, member.bytes.size()));
  ASSERT_TRUE(theirs);
  theirs->events = theirs->events_cleared = array.bitmap->events;
  // Set with --delay.
  theirs->daemon_sleep_seconds = array.bitmap->daemon_sleep_seconds;
  EXPECT_EQ(serialise_bitmap(*theirs), serialise_bitmap(*array.bitmap));
}

class MdCreateGolden : public testing::TestWithParam<const char*> {};

TEST_P(MdCreateGolden, AsMdadmAndTheKernelMadeIt) {
  const Members members = test::md_array_by_role(GetParam());
  ASSERT_FALSE(members.empty());
  std::vector<std::optional<NewDevice>> devices;
  for (const auto& each : members) {
    ASSERT_TRUE(each);
    devices.push_back(NewDevice{each->bytes.size(), {}});
  }
  CreateOptions options = options_of(members[0]->superblock, members);
  if (std::string(GetParam()) == "v1.2-raid5-offset") options.data_offset_bytes = 96 * kKiB;
  auto array = plan_array(options, devices);
  ASSERT_TRUE(array) << array.error().message;
  for (std::size_t i = 0; i < members.size(); ++i) {
    const Superblock& planned = *array->superblocks[i];
    EXPECT_EQ(planned.role(), i);
    EXPECT_EQ(planned.data_bytes, members[i]->superblock.data_bytes);
    EXPECT_EQ(planned.component_bytes, members[i]->superblock.component_bytes);
    Superblock fresh = planned;
    fresh.raw.clear();
    EXPECT_EQ(without_history(members[i]->superblock, planned), serialise_superblock(fresh));
    expect_same_bitmap(*array, *members[i]);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Md, MdCreateGolden,
    testing::Values("linear", "linear-rounded", "raid0", "raid0-zones-original",
                    "raid0-zones-alternate", "raid1-three", "raid1-bitmap", "raid4",
                    "raid5-left-symmetric", "raid5-parity-first", "raid5-bitmap",
                    "raid6-left-symmetric", "raid6-ddf-N-continue", "raid6-left-asymmetric-6",
                    "raid6-bitmap", "raid10-n2-2", "raid10-n2-3", "raid10-f2-5", "raid10-o3-4",
                    "raid10-bitmap", "v0.90-raid1", "v0.90-raid5", "v0.90-raid6-bitmap",
                    "v0.90-linear", "v1.0-raid1", "v1.0-raid5-bitmap", "v1.1-raid1", "v1.1-raid5",
                    "v1.2-raid1", "v1.2-raid5-offset"));

}  // namespace
}  // namespace ashlar::md
