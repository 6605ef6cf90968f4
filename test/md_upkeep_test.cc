// Goal: what is due on arrays is done, and users' requests go on meanwhile: an unclean array is
// resynced and clean afterwards, an empty place is filled, what is damaged is counted and mended;
// work that is stopped goes on where it was, and a member that dies on the way spoils nothing.
// Method: arrays over disks in memory, through a Node; superblocks are parsed again, and the
// contents are read with each member left out in turn, by another node over copies of the disks.
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "class/md/md_test_util.h"
#include "io/sync_device.h"
#include "md/layout.h"
#include "node/node.h"
#include "test/rig.h"

namespace ashlar::test {
namespace {

using State = UpkeepStatus::State;
using Work = UpkeepOptions::Work;

constexpr std::uint64_t kComponentBytes = kMiB;
constexpr std::uint64_t kDiskBytes = kComponentBytes + 64 * kKiB;
constexpr std::uint32_t kNobody = 99;
constexpr unsigned kLongMs = 600'000;

TestArray shape(std::int32_t level, std::uint32_t members, std::uint32_t layout = 2) {
  TestArray array;
  array.level = level;
  array.members = members;
  array.layout = layout;
  array.component_bytes = kComponentBytes;
  return array;
}

// A node with disks in memory.
class Disks {
 public:
  explicit Disks(bool look_after = false) {
    node = Node::create({.writable = true, .look_after = look_after}).value();
  }

  void add(const std::string& name, std::uint64_t bytes = kDiskBytes) {
    auto geom = node->add_geom("memory", {name, {}, {{"size", std::to_string(bytes)}}});
    ASSERT_TRUE(geom.ok()) << geom.error().message;
  }
  template <typename Act>
  void with(const std::string& name, bool write, Act&& act) {
    auto device = node->open(name, {.write = write});
    ASSERT_TRUE(device.ok()) << device.error().message;
    auto lane = Lane::create({}).value();
    auto channel = (*device)->channel(*lane).value();
    SyncDevice io(*channel);
    act(io, (*device)->size_bytes());
  }
  void write(const std::string& name, std::uint64_t offset, ByteView bytes) {
    with(name, true,
         [&](SyncDevice& io, std::uint64_t) { EXPECT_EQ(io.write(offset, bytes), Errc::ok); });
  }
  std::vector<std::byte> read(const std::string& name) {
    std::vector<std::byte> bytes;
    with(name, false, [&](SyncDevice& io, std::uint64_t size) {
      bytes.resize(size);
      EXPECT_EQ(io.read(0, bytes), Errc::ok);
    });
    return bytes;
  }
  md::Superblock superblock(const std::string& disk) {
    const std::vector<std::byte> bytes = read(disk);
    auto parsed = md::parse_superblock(ByteView(bytes).subspan(4096, md::kSuperblockBytes),
                                       md::Version::v1_2, bytes.size());
    EXPECT_TRUE(parsed.ok()) << parsed.error().message;
    return *parsed;
  }
  UpkeepStatus wait(const std::string& name = "test") {
    auto status = node->wait_upkeep(name, kLongMs);
    EXPECT_TRUE(status.ok()) << status.error().message;
    return *status;
  }
  UpkeepStatus run(Work work) {
    const auto started = node->start_upkeep("test", {.work = work});
    EXPECT_TRUE(started.ok()) << started.error().message;
    return wait();
  }
  void await_settled() {
    while (!node->settled()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  std::unique_ptr<Node> node;
};

// Members of `array` with random data, all but `missing`; clean, or with parity to be made right.
void make_members(Disks& disks, const TestArray& array, bool clean,
                  std::uint32_t missing = kNobody) {
  const std::uint64_t disk_bytes = array.data_offset_bytes + array.component_bytes;
  for (std::uint32_t i = 0; i < array.members; ++i) {
    if (i == missing) continue;
    std::vector<std::byte> bytes =
        clean ? std::vector<std::byte>(disk_bytes) : pattern(disk_bytes, 40 + i);
    md::Superblock superblock = superblock_of(array, i, disk_bytes);
    superblock.resync_offset_bytes = clean ? md::kAll : 0;
    put_superblock(superblock, bytes);
    disks.add(fmt::format("disk{}", i), disk_bytes);
    disks.write(fmt::format("disk{}", i), 0, bytes);
  }
  disks.node->settle_members();
}

// What the array has without one of the disks, asked of a node over copies.
std::vector<std::byte> content_without(Disks& disks, const std::vector<std::string>& names,
                                       std::size_t left_out) {
  Disks copies;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i == left_out) continue;
    copies.add(fmt::format("copy{}", i));
    copies.write(fmt::format("copy{}", i), 0, disks.read(names[i]));
  }
  copies.node->settle_members();
  return copies.read("test");
}

void expect_whole(Disks& disks, const std::vector<std::string>& names,
                  const std::vector<std::byte>& content) {
  for (std::size_t i = 0; i <= names.size(); ++i) {
    EXPECT_TRUE(content_without(disks, names, i) == content) << "without " << i;
  }
  for (const std::string& each : names) {
    const md::Superblock superblock = disks.superblock(each);
    EXPECT_TRUE(superblock.clean()) << each;
    EXPECT_EQ(superblock.recovery_offset_bytes, md::kAll) << each;
    EXPECT_LT(superblock.role(), md::kRoleMax) << each;
  }
}

// So that work lasts long enough to be stopped.
void slow_down(Disks& disks, const std::string& disk, const char* bytes_per_second) {
  const auto put_in = disks.node->insert(disk, "throttle", "calm_" + disk,
                                         {{"bytes", bytes_per_second}, {"burst", "10ms"}});
  ASSERT_TRUE(put_in.ok()) << put_in.error().message;
}

void full_speed(Disks& disks, const std::string& disk) {
  const auto set = disks.node->set("calm_" + disk, {{"bytes", "0"}});
  ASSERT_TRUE(set.ok()) << set.error().message;
}

UpkeepStatus await_progress(Disks& disks) {
  for (;;) {
    const UpkeepStatus status = disks.node->upkeep("test").value();
    if (status.done_bytes > 0 || status.state != State::running) return status;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

struct Level {
  const char* name;
  std::int32_t level;
  std::uint32_t members;
  std::uint32_t layout;
};

std::ostream& operator<<(std::ostream& out, const Level& level) { return out << level.name; }

class MdUpkeep : public testing::TestWithParam<Level> {
 protected:
  TestArray array_ = shape(GetParam().level, GetParam().members, GetParam().layout);
  bool copies() const { return array_.level == 1 || array_.level == 10; }
  // To more than is under way at once.
  void grow() { array_.component_bytes *= copies() ? 12 : 4; }
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (std::uint32_t i = 0; i < array_.members; ++i) all.push_back(fmt::format("disk{}", i));
    return all;
  }
};

TEST_P(MdUpkeep, an_unclean_array_is_resynced_and_clean_afterwards) {
  Disks disks;
  make_members(disks, array_, false);
  const std::vector<std::byte> content = disks.read("test");
  const UpkeepStatus wrong = disks.run(Work::check);
  EXPECT_EQ(wrong.state, State::done);
  EXPECT_GT(wrong.mismatches, 0u);
  EXPECT_FALSE(disks.superblock("disk0").clean()) << "a check has changed it";
  const UpkeepStatus status = disks.run(Work::due);
  EXPECT_EQ(status.state, State::done) << status.problem;
  EXPECT_EQ(status.works, 1u);
  EXPECT_EQ(status.done_bytes, status.total_bytes);
  EXPECT_EQ(disks.run(Work::check).mismatches, 0u);
  EXPECT_EQ(disks.run(Work::due).state, State::idle) << "something is still due";
  expect_whole(disks, names(), content);
}

TEST_P(MdUpkeep, a_new_member_is_filled_while_others_write) {
  Disks disks;
  make_members(disks, array_, true, 1);
  std::vector<std::byte> content = pattern(disks.read("test").size(), 7);
  disks.write("test", 0, content);
  disks.add("fresh");
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    disks.with("test", true, [&](SyncDevice& io, std::uint64_t size) {
      std::mt19937 random(5);
      for (int i = 0; i < 50 || !stop; ++i) {
        const std::uint64_t offset = random() % (size / 4096) * 4096;
        const std::uint64_t length = std::min<std::uint64_t>(size - offset, 4096 * (1 + i % 9));
        const std::vector<std::byte> bytes = pattern(length, random());
        ASSERT_EQ(io.write(offset, bytes), Errc::ok);
        std::copy(bytes.begin(), bytes.end(),
                  content.begin() + static_cast<std::ptrdiff_t>(offset));
      }
    });
  });
  const auto place = disks.node->add_leg("test", "fresh");
  EXPECT_TRUE(place.ok()) << place.error().message;
  disks.await_settled();
  const UpkeepStatus status = disks.wait();
  stop = true;
  writer.join();
  EXPECT_EQ(status.state, State::done) << status.problem;
  EXPECT_EQ(status.work, "recovery of place 1");
  EXPECT_EQ(disks.run(Work::check).mismatches, 0u);
  EXPECT_TRUE(disks.read("test") == content);
  std::vector<std::string> all = names();
  all[1] = "fresh";
  expect_whole(disks, all, content);
  EXPECT_EQ(disks.superblock("fresh").role(), 1u);
}

TEST_P(MdUpkeep, what_is_damaged_is_counted_and_mended) {
  Disks disks;
  make_members(disks, array_, true);
  const std::vector<std::byte> content = pattern(disks.read("test").size(), 3);
  disks.write("test", 0, content);
  EXPECT_EQ(disks.run(Work::check).mismatches, 0u);
  // Behind the array's back: a block of the parity of the first stripe, or of a second copy.
  const auto layout = md::Layout::make({.level = array_.level,
                                        .layout = array_.layout,
                                        .chunk_bytes = array_.chunk_bytes,
                                        .raid_disks = array_.members,
                                        .component_bytes = kComponentBytes,
                                        .data_bytes = {}})
                          .value();
  const md::Place wrong = layout.parity() != nullptr ? md::Place{layout.parity()->stripe(0).p, 0, 0}
                                                     : layout.place(0, 1);
  const std::string disk = fmt::format("disk{}", wrong.role);
  disks.write(disk, array_.data_offset_bytes + wrong.offset_bytes, pattern(512, 9));
  disks.node->settle_members();
  EXPECT_EQ(disks.run(Work::check).mismatches, 8u);
  EXPECT_EQ(disks.run(Work::repair).mismatches, 8u);
  EXPECT_EQ(disks.run(Work::check).mismatches, 0u);
  expect_whole(disks, names(), content);
}

TEST_P(MdUpkeep, what_is_stopped_goes_on_from_where_it_was) {
  grow();
  Disks disks;
  make_members(disks, array_, false);
  const std::vector<std::byte> content = disks.read("test");
  slow_down(disks, "disk0", "4MiB");
  ASSERT_TRUE(disks.node->start_upkeep("test", {}).ok());
  EXPECT_EQ(await_progress(disks).state, State::running);
  ASSERT_TRUE(disks.node->stop_upkeep("test").ok());
  full_speed(disks, "disk0");
  const UpkeepStatus stopped = disks.wait();
  EXPECT_EQ(stopped.state, State::stopped);
  EXPECT_LT(stopped.done_bytes, stopped.total_bytes);
  const std::uint64_t offset = disks.superblock("disk1").resync_offset_bytes;
  EXPECT_GT(offset, 0u);
  EXPECT_LT(offset, copies() ? content.size() : array_.component_bytes);
  const UpkeepStatus status = disks.run(Work::due);
  EXPECT_EQ(status.state, State::done) << status.problem;
  EXPECT_LT(status.total_bytes, stopped.total_bytes) << "it began anew";
  EXPECT_EQ(disks.run(Work::check).mismatches, 0u);
  EXPECT_TRUE(disks.read("test") == content);
}

TEST_P(MdUpkeep, a_new_member_that_dies_ends_its_recovery) {
  grow();
  Disks disks;
  make_members(disks, array_, true, 0);
  const std::vector<std::byte> content = pattern(disks.read("test").size(), 11);
  disks.write("test", 0, content);
  disks.add("fresh", array_.data_offset_bytes + array_.component_bytes);
  slow_down(disks, "disk1", "4MiB");
  ASSERT_TRUE(disks.node->add_leg("test", "fresh").ok());
  disks.await_settled();
  EXPECT_EQ(await_progress(disks).state, State::running);
  ASSERT_TRUE(disks.node->orphan("fresh").ok());
  full_speed(disks, "disk1");
  const UpkeepStatus status = disks.wait();
  EXPECT_EQ(status.state, State::failed);
  EXPECT_NE(status.problem.find("dropped"), std::string::npos) << status.problem;
  EXPECT_TRUE(disks.read("test") == content);
}

INSTANTIATE_TEST_SUITE_P(Levels, MdUpkeep,
                         testing::Values(Level{"raid1", 1, 2, 0}, Level{"raid1 of three", 1, 3, 0},
                                         Level{"raid10 near", 10, 3, 0x102},
                                         Level{"raid10 far", 10, 3, 0x201},
                                         Level{"raid10 offset", 10, 4, 0x10201},
                                         Level{"raid4", 4, 3, 2}, Level{"raid5", 5, 4, 2},
                                         Level{"raid6", 6, 5, 2}));

TEST(MdUpkeepAlone, what_is_due_starts_when_it_is_opened_for_writing) {
  Disks disks(true);
  make_members(disks, shape(5, 3), false);
  static_cast<void>(disks.read("test"));
  EXPECT_EQ(disks.node->upkeep("test").value().state, State::idle) << "for a reader";
  disks.write("test", 0, pattern(4096, 1));
  EXPECT_EQ(disks.wait().state, State::done);
  EXPECT_TRUE(disks.superblock("disk2").clean());
}

// Parity that never was right must not be believed by a small change: its member may die next.
TEST(MdUpkeepAlone, what_is_written_before_a_resync_outlives_its_member) {
  constexpr std::uint32_t kMembers = 6;
  Disks disks;
  const TestArray array = shape(5, kMembers);
  make_members(disks, array, false);
  // A block of each chunk of the first stripes: adjusting would read less than computing.
  const std::uint64_t end = kMembers * (kMembers - 1) * array.chunk_bytes;
  for (std::uint64_t at = 0; at < end; at += array.chunk_bytes) {
    disks.write("test", at, pattern(4096, static_cast<unsigned>(at)));
  }
  ASSERT_TRUE(disks.node->orphan("disk2").ok());
  const std::vector<std::byte> content = disks.read("test");
  for (std::uint64_t at = 0; at < end; at += array.chunk_bytes) {
    const std::vector<std::byte> bytes = pattern(4096, static_cast<unsigned>(at));
    EXPECT_TRUE(
        std::equal(bytes.begin(), bytes.end(), content.begin() + static_cast<std::ptrdiff_t>(at)))
        << at;
  }
}

TEST(MdUpkeepAlone, what_must_not_join_is_refused) {
  Disks disks;
  make_members(disks, shape(5, 3), true, 2);
  disks.add("small", kMiB);
  disks.add("foreign");
  md::Superblock other = superblock_of(shape(5, 3), 0, kDiskBytes);
  other.set_uuid.fill(std::byte{0x11});
  std::vector<std::byte> bytes(64 * kKiB);
  put_superblock(other, bytes);
  disks.write("foreign", 0, bytes);
  const auto small = disks.node->add_leg("test", "small");
  ASSERT_FALSE(small.ok());
  EXPECT_NE(small.error().message.find("has 983040 for data"), std::string::npos)
      << small.error().message;
  const auto foreign = disks.node->add_leg("test", "foreign");
  ASSERT_FALSE(foreign.ok());
  EXPECT_NE(foreign.error().message.find("would be lost"), std::string::npos)
      << foreign.error().message;
  const auto forced = disks.node->add_leg("test", "foreign", true);
  ASSERT_TRUE(forced.ok()) << forced.error().message;
  disks.await_settled();
  EXPECT_EQ(disks.wait().state, State::done);
}

}  // namespace
}  // namespace ashlar::test
