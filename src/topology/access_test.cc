// Goal: GEOM's access rules hold over a whole path: nobody writes below an open device that claims
// what it stands on, read-only stays read-only, and a refused change has changed nothing.
// Method: two users on small stacks; after each refusal all counts are compared with before.
#include "topology/access.h"

#include <gmock/gmock.h>

#include "test/probe.h"

namespace ashlar {

void PrintTo(const Access& access, std::ostream* out) {
  *out << 'r' << access.read << 'w' << access.write << 'e' << access.exclusive;
}

namespace {

using test::ProbeClass;
using test::Rig;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr Access kNone{0, 0, 0};
constexpr Access kRead{1, 0, 0};
constexpr Access kWrite{1, 1, 0};
constexpr Access kReadAlone{1, 0, 1};
constexpr Access kWriteAlone{1, 1, 1};

class AccessTest : public testing::Test {
 protected:
  AccessTest() { shared_.facts.claims_consumers = false; }

  Topology& topology() { return rig_.topology(); }
  Consumer& user(Provider& provider, const std::string& name = "me") {
    return *topology().attach(provider, name);
  }

  std::vector<Access> counts() {
    std::vector<Access> all;
    for (const Provider* each : topology().providers()) {
      all.push_back(each->access);
      for (const Consumer* consumer : each->consumers) all.push_back(consumer->access);
    }
    return all;
  }

  void expect_refused(Consumer& consumer, Access wanted, Errc code, const std::string& part = "") {
    const auto before = counts();
    const auto answer = topology().set_access(consumer, wanted);
    ASSERT_FALSE(answer.ok());
    EXPECT_EQ(answer.error().code, code) << answer.error().message;
    EXPECT_THAT(answer.error().message, HasSubstr(part));
    EXPECT_EQ(counts(), before) << "a refusal changed something";
  }
  void expect_allowed(Consumer& consumer, Access wanted) {
    const auto answer = topology().set_access(consumer, wanted);
    EXPECT_TRUE(answer.ok()) << answer.error().message;
    EXPECT_EQ(consumer.access, wanted);
  }

  ProbeClass claiming_;
  ProbeClass shared_;  // does not claim its consumers
  Rig rig_;
};

TEST_F(AccessTest, counts_add_up_and_go_down_the_path) {
  Provider& disk = claiming_.make(rig_, "disk", {}, kMiB);
  Provider& part = claiming_.make(rig_, "part", {&disk});
  Consumer& one = user(part, "one");
  Consumer& two = user(part, "two");
  expect_allowed(one, kRead);
  EXPECT_EQ(part.access, kRead);
  EXPECT_EQ(disk.access, kReadAlone);
  expect_allowed(two, kWrite);
  EXPECT_EQ(part.access, (Access{2, 1, 0}));
  EXPECT_EQ(disk.access, (Access{2, 1, 1}));
  expect_allowed(one, kNone);
  expect_allowed(two, kNone);
  EXPECT_EQ(disk.access, kNone);
}

TEST_F(AccessTest, nobody_writes_to_what_another_holds_alone) {
  Provider& disk = claiming_.make(rig_, "disk", {}, kMiB);
  Consumer& holder = user(disk, "a backup");
  Consumer& other = user(disk, "an editor");
  expect_allowed(holder, kReadAlone);
  expect_allowed(other, kRead);
  expect_refused(other, kWrite, Errc::busy, "disk: a backup holds it exclusively");
  expect_allowed(holder, kRead);
  expect_allowed(other, kWrite);
  expect_refused(holder, kReadAlone, Errc::busy, "disk: an editor has it open for writing");
  expect_allowed(other, kWriteAlone);
  expect_allowed(holder, kRead);
}

TEST_F(AccessTest, nobody_writes_below_an_open_partition) {
  Provider& disk = claiming_.make(rig_, "disk", {}, kMiB);
  Provider& part = claiming_.make(rig_, "part", {&disk});
  Consumer& below = user(disk, "an editor");
  Consumer& above = user(part, "a mount");
  expect_allowed(above, kRead);
  expect_refused(below, kWrite, Errc::busy, "probe 'part' holds it exclusively");
  expect_allowed(below, kRead);
  expect_allowed(above, kNone);
  expect_allowed(below, kWrite);
  expect_refused(above, kRead, Errc::busy, "disk: an editor has it open for writing");
  expect_allowed(below, kNone);
  expect_allowed(above, kWrite);
}

TEST_F(AccessTest, a_disk_written_through_a_partition_cannot_be_had_alone) {
  Provider& disk = claiming_.make(rig_, "disk", {}, kMiB);
  Provider& part = shared_.make(rig_, "part", {&disk});
  Consumer& mount = user(part, "a mount");
  Consumer& tool = user(disk, "a partitioning tool");
  expect_allowed(mount, kWrite);
  expect_refused(tool, kReadAlone, Errc::busy, "probe 'part' has it open for writing");
  expect_allowed(tool, kWrite);
  expect_allowed(tool, kNone);
  expect_allowed(mount, kRead);
  expect_allowed(tool, kReadAlone);
  expect_refused(mount, kWrite, Errc::busy, "a partitioning tool holds it exclusively");
}

TEST_F(AccessTest, reading_is_raised_to_writing_or_stays_reading) {
  Provider& disk = claiming_.make(rig_, "disk", {}, kMiB);
  Provider& part = shared_.make(rig_, "part", {&disk});
  Consumer& mine = user(part, "me");
  Consumer& holder = user(disk, "a snapshot");
  expect_allowed(mine, kRead);
  expect_allowed(mine, kWrite);
  expect_allowed(mine, kRead);
  expect_allowed(holder, kReadAlone);
  expect_refused(mine, kWrite, Errc::busy, "a snapshot");
  EXPECT_EQ(mine.access, kRead);
}

TEST_F(AccessTest, read_only_goes_up_and_refuses_writers) {
  std::vector<ProviderPlan> plans(1);
  plans[0] = {.size_bytes = kMiB, .read_only = true};
  auto geom = claiming_.try_make(rig_, "disk", {}, std::move(plans));
  ASSERT_TRUE(geom.ok());
  Provider& disk = *(*geom)->providers().front();
  Provider& part = claiming_.make(rig_, "part", {&disk});
  EXPECT_TRUE(part.read_only);
  EXPECT_FALSE(part.limits.ops.has(Op::write));
  Consumer& mine = user(part);
  expect_refused(mine, kWrite, Errc::read_only, "is read-only");
  expect_allowed(mine, kRead);
}

TEST_F(AccessTest, a_body_that_refuses_undoes_the_whole_path) {
  std::vector<std::string> asked;
  const auto note = [&asked](const std::string& name) {
    return [&asked, name](bool reading, bool writing) {
      asked.push_back(name + (writing ? " write" : reading ? " read" : " close"));
      return Result<void>();
    };
  };
  const auto refuse_writing = [&](bool reading, bool writing) -> Result<void> {
    asked.push_back(std::string("disk") + (writing ? " write" : reading ? " read" : " close"));
    if (writing) return make_error(Errc::permission, "disk: the file may not be written");
    return {};
  };
  claiming_.body().access = refuse_writing;
  Provider& disk = claiming_.make(rig_, "disk", {}, kMiB);
  claiming_.body().access = note("part");
  Provider& part = claiming_.make(rig_, "part", {&disk});
  Consumer& mine = user(part);
  expect_allowed(mine, kRead);
  EXPECT_THAT(asked, ElementsAre("part read", "disk read"));
  asked.clear();
  expect_refused(mine, kWrite, Errc::permission, "may not be written");
  EXPECT_THAT(asked, ElementsAre("part write", "disk write", "part read"));
  asked.clear();
  expect_allowed(mine, kNone);
  EXPECT_THAT(asked, ElementsAre("part close", "disk close"));
}

TEST_F(AccessTest, a_device_reached_on_two_paths_is_planned_as_one) {
  // Two windows on one disk, joined: the path splits and meets again.
  Provider& disk = claiming_.make(rig_, "disk", {}, kMiB);
  Provider& left = shared_.make(rig_, "left", {&disk});
  Provider& right = shared_.make(rig_, "right", {&disk});
  Provider& joined = shared_.make(rig_, "joined", {&left, &right});
  Consumer& mine = user(joined);
  expect_allowed(mine, kWrite);
  EXPECT_EQ(disk.access, (Access{2, 2, 0}));
  expect_allowed(mine, kNone);
  EXPECT_EQ(disk.access, kNone);
}

TEST_F(AccessTest, detaching_drops_what_was_held) {
  Provider& disk = claiming_.make(rig_, "disk", {}, kMiB);
  Consumer* holder = topology().attach(disk, "a");
  expect_allowed(*holder, kWriteAlone);
  Consumer& other = user(disk, "b");
  expect_refused(other, kWrite, Errc::busy);
  topology().detach(holder);
  expect_allowed(other, kWriteAlone);
}

TEST_F(AccessTest, the_first_writer_and_the_last_are_announced) {
  struct Listener final : TopologyListener {
    void on_spoil(Provider& provider) override { heard.push_back("spoil " + provider.name); }
    void on_last_write_close(Provider& provider) override {
      heard.push_back("close " + provider.name);
    }
    std::vector<std::string> heard;
  } listener;
  topology().set_listener(&listener);
  Provider& disk = claiming_.make(rig_, "disk", {}, kMiB);
  Provider& part = shared_.make(rig_, "part", {&disk});
  Consumer& one = user(part, "one");
  Consumer& two = user(part, "two");
  expect_allowed(one, kRead);
  EXPECT_TRUE(listener.heard.empty());
  expect_allowed(one, kWrite);
  expect_allowed(two, kWrite);
  expect_allowed(one, kNone);
  EXPECT_THAT(listener.heard, ElementsAre("spoil part", "spoil disk"));
  expect_allowed(two, kRead);
  EXPECT_THAT(listener.heard, ElementsAre("spoil part", "spoil disk", "close part", "close disk"));
  topology().set_listener(nullptr);
}

TEST_F(AccessTest, giving_back_is_never_refused_on_a_device_that_is_gone) {
  Provider& disk = claiming_.make(rig_, "disk", {}, kMiB);
  Consumer& mine = user(disk);
  expect_allowed(mine, kWrite);
  topology().orphan(disk, Errc::gone);
  expect_refused(mine, kWriteAlone, Errc::gone);
  expect_allowed(mine, kRead);
  expect_allowed(mine, kNone);
}

}  // namespace
}  // namespace ashlar
