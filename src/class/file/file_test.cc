// Goal: a file is a device: every operation, whatever the memory looks like, whatever happens to
// the file meanwhile.
// Method: temporary files, looked at through the device and from beside it; each test with both
// engines, in both dispatch modes, past the page cache and through it.
#include <signal.h>
#include <sys/resource.h>

#include "base/random.h"
#include "class/file/file_test_util.h"

namespace ashlar {
namespace {

using test::AlignedBuffer;
using test::equal;
using test::FileWays;
using test::Opened;
using test::pattern;
using test::Rig;
using test::TempFile;

INSTANTIATE_TEST_SUITE_P(Ways, FileWays, testing::ValuesIn(test::all_ways()),
                         [](const auto& each) { return test::name_of(each.param); });

// Runs a request and says where it failed.
struct Failure {
  Errc error;
  std::uint64_t offset;
};
Failure run_and_locate(Opened& device, Op op, std::uint64_t offset, ByteSpan bytes) {
  const Segment segment{bytes.data(), bytes.size()};
  Bio& bio = *device.channel().allocate();
  bool ended = false;
  bio.op = op;
  bio.flags = 0;
  bio.offset = offset;
  bio.length = bytes.size();
  bio.payload = Payload{&segment, 1, 0};
  bio.user = &ended;
  bio.end_io = [](Bio& done) noexcept { *static_cast<bool*>(done.user) = true; };
  device.channel().submit(bio);
  while (!ended) device.channel().lane().wait(1000);
  const Failure failure{bio.error, fault_of(bio).offset};
  device.channel().release(bio);
  return failure;
}

TEST_P(FileWays, what_is_written_is_in_the_file) {
  TempFile file(kMiB);
  Rig rig(lane_options());
  Provider& disk = make_disk(rig, file);
  EXPECT_EQ(disk.size_bytes, kMiB);
  Opened device = rig.open(disk, dispatch());
  for (const std::uint64_t length : {512, 1536, 4096, 65536 + 512, 700 * 1024}) {
    const auto bytes = pattern(length, length);
    AlignedBuffer from(length), into(length);
    std::copy(bytes.begin(), bytes.end(), from.bytes().begin());
    EXPECT_EQ(device.write(512, from.bytes()), Errc::ok);
    EXPECT_EQ(device.read(512, into.bytes()), Errc::ok);
    EXPECT_TRUE(equal(into.bytes(), bytes));
    EXPECT_TRUE(equal(file.get(512, length), bytes));
    EXPECT_EQ(device.write(1024, from.bytes(), kFua), Errc::ok);
    EXPECT_EQ(device.flush(), Errc::ok);
    EXPECT_TRUE(equal(file.get(1024, length), bytes));
  }
  EXPECT_EQ(file.size(), kMiB);
}

TEST_P(FileWays, what_is_in_the_file_is_read) {
  TempFile file(0);
  const auto bytes = pattern(300 * 512);
  file.put(0, bytes);
  Rig rig(lane_options());
  Opened device = rig.open(make_disk(rig, file), dispatch());
  AlignedBuffer into(300 * 512);
  EXPECT_EQ(device.read(0, into.bytes()), Errc::ok);
  EXPECT_TRUE(equal(into.bytes(), bytes));
  EXPECT_EQ(device.read(299 * 512, into.bytes().first(512)), Errc::ok);
  EXPECT_TRUE(equal(into.bytes().first(512), ByteView(bytes).last(512)));
  EXPECT_EQ(device.read(300 * 512, into.bytes().first(512)), Errc::out_of_range);
}

TEST_P(FileWays, zeroes_and_discards_reach_the_file) {
  for (const char* folder : {".", "/dev/shm"}) {
    if (access(folder, W_OK) != 0) continue;
    TempFile file(0, folder);
    const auto bytes = pattern(kMiB);
    file.put(0, bytes);
    Rig rig(lane_options());
    Opened device = rig.open(make_disk(rig, file), dispatch());
    const std::vector<std::byte> zeros(300 * 1024);
    std::uint64_t at = 512;
    for (const int flags : {0, int{kFua}, int{kNoUnmap}, int{kNoUnmap | kFua}}) {
      const auto what = static_cast<std::uint8_t>(flags);
      EXPECT_EQ(device.run(Op::write_zeroes, at, 200 * 1024, {}, what), Errc::ok) << folder;
      EXPECT_TRUE(equal(file.get(at, 200 * 1024), ByteView(zeros).first(200 * 1024)));
      at += 200 * 1024 + 512;
    }
    EXPECT_TRUE(equal(file.get(at, 512), ByteView(bytes).subspan(at, 512)));
    EXPECT_EQ(device.discard(at, 4096), Errc::ok);
    EXPECT_TRUE(equal(file.get(at + 4096, 512), ByteView(bytes).subspan(at + 4096, 512)));
    EXPECT_EQ(file.size(), kMiB);
  }
}

// tmpfs cannot make zeros without a hole, so they are written: more than a round of them.
TEST_P(FileWays, zeroes_are_written_where_the_file_system_makes_none) {
  if (access("/dev/shm", W_OK) != 0) GTEST_SKIP() << "there is no /dev/shm";
  TempFile file(24 * kMiB, "/dev/shm");
  file.put(0, pattern(24 * kMiB));
  Rig rig(lane_options());
  Provider& disk = make_disk(rig, file);
  Opened device = rig.open(disk, dispatch());
  constexpr std::uint64_t kLength = 20 * kMiB + 512;
  EXPECT_EQ(device.run(Op::write_zeroes, 512, kLength, {}, kNoUnmap | kFua), Errc::ok);
  EXPECT_TRUE(equal(file.get(512, kLength), std::vector<std::byte>(kLength)));
  EXPECT_TRUE(equal(file.get(0, 512), pattern(512)));
  EXPECT_NE(file.get(512 + kLength, 512), std::vector<std::byte>(512));
}

TEST_P(FileWays, memory_needs_no_alignment) {
  TempFile file(kMiB);
  Rig rig(lane_options());
  Provider& disk = make_disk(rig, file);
  Opened device = rig.open(disk, dispatch());
  const auto bytes = pattern(400 * 1024 + 1);
  const ByteView odd = ByteView(bytes).subspan(1);
  AlignedBuffer into(odd.size() + 3);
  EXPECT_EQ(device.write(1536, odd), Errc::ok);
  EXPECT_TRUE(equal(file.get(1536, odd.size()), odd));
  EXPECT_EQ(device.read(1536, into.bytes().subspan(3)), Errc::ok);
  EXPECT_TRUE(equal(into.bytes().subspan(3), odd));
  const bool direct = test::status_of(disk, "io").starts_with("direct");
  EXPECT_EQ(test::status_of(disk, "bounced"), direct ? "2" : "");
}

// `count` segments over `memory`, `length` bytes each.
std::vector<Segment> cut(ByteSpan memory, std::size_t length, std::size_t count) {
  std::vector<Segment> segments;
  for (std::size_t i = 0; i < count; ++i) segments.push_back({&memory[i * length], length});
  return segments;
}

TEST_P(FileWays, any_number_of_segments) {
  constexpr std::size_t kCount = 2600;  // IOV_MAX is 1024
  TempFile file(kCount * 512);
  const auto bytes = pattern(kCount * 512);
  file.put(0, bytes);
  Rig rig(lane_options());
  Opened device = rig.open(make_disk(rig, file), dispatch());
  AlignedBuffer into(kCount * 512);
  auto whole = cut(into.bytes(), 512, kCount);
  EXPECT_EQ(device.run(Op::read, 0, kCount * 512, whole), Errc::ok);
  EXPECT_TRUE(equal(into.bytes(), bytes));

  // Ends within a segment, after more segments than a vector of the pool has room for.
  AlignedBuffer other(kCount * 512);
  auto longer = cut(other.bytes(), 1024, kCount / 2);
  EXPECT_EQ(device.run(Op::read, 0, 1000 * 512 + 512, longer), Errc::ok);
  EXPECT_TRUE(equal(other.bytes().first(1001 * 512), ByteView(bytes).first(1001 * 512)));
  EXPECT_EQ(other.bytes()[1001 * 512], std::byte{0});
}

TEST_P(FileWays, segments_of_any_length) {
  TempFile file(kMiB);
  Rig rig(lane_options());
  Opened device = rig.open(make_disk(rig, file), dispatch());
  Random random(GetParam().direct[0]);
  const auto bytes = pattern(kMiB);
  for (int round = 0; round < 20; ++round) {
    const std::uint64_t length = 512 * (1 + random.below(1024));
    const std::uint64_t offset = 512 * random.below((kMiB - length) / 512 + 1);
    std::vector<Segment> segments;
    for (std::uint64_t at = 0; at < length;) {
      const std::uint64_t piece = std::min(length - at, 1 + random.below(5000));
      segments.push_back({const_cast<std::byte*>(&bytes[at]), piece});
      at += piece;
    }
    ASSERT_EQ(device.run(Op::write, offset, length, segments), Errc::ok);
    ASSERT_TRUE(equal(file.get(offset, length), ByteView(bytes).first(length)))
        << "round " << round;
  }
}

TEST_P(FileWays, a_file_that_shrinks_fails_at_its_new_end) {
  TempFile file(64 * 1024);
  file.put(0, pattern(64 * 1024));
  Rig rig(lane_options());
  Opened device = rig.open(make_disk(rig, file), dispatch());
  for (const off_t end : {off_t{8192 + 512}, off_t{8192 + 100}, off_t{4096}, off_t{0}}) {
    ASSERT_EQ(ftruncate(file.fd(), end), 0);
    AlignedBuffer into(16 * 1024, std::byte{0x5a});
    const Failure failure = run_and_locate(device, Op::read, 4096, into.bytes());
    EXPECT_EQ(failure.error, Errc::io);
    EXPECT_EQ(failure.offset, static_cast<std::uint64_t>(std::max<off_t>(end, 4096)));
    // Left alone, or cleared by the kernel; never what the file once held.
    const std::byte beyond = into.bytes().back();
    EXPECT_TRUE(beyond == std::byte{0x5a} || beyond == std::byte{0});
    const auto misaligned = into.bytes().subspan(1, 8192);
    EXPECT_EQ(run_and_locate(device, Op::read, 4096, misaligned).error, Errc::io);
  }
}

// A limit on the size of files stands in for a full disk: it needs no rights. The signal that
// comes with it is the host program's to ignore.
TEST_P(FileWays, a_full_disk_says_so) {
  TempFile file(kMiB);
  Rig rig(lane_options());
  Opened device = rig.open(make_disk(rig, file), dispatch());
  AlignedBuffer from(65536);
  const auto ignored = signal(SIGXFSZ, SIG_IGN);
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit tight = {512 * 1024, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
  const Failure failure = run_and_locate(device, Op::write, 512 * 1024, from.bytes());
  const Failure crossing = run_and_locate(device, Op::write, 512 * 1024 - 4096, from.bytes());
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, ignored);
  EXPECT_EQ(failure.error, Errc::no_space);
  EXPECT_EQ(failure.offset, 512u * 1024);
  EXPECT_EQ(crossing.error, Errc::no_space);
  EXPECT_EQ(crossing.offset, 512u * 1024);
  EXPECT_EQ(device.write(512 * 1024, from.bytes()), Errc::ok);
}

}  // namespace
}  // namespace ashlar
