// Goal: memory that is described is mapped where and when it is asked for, and nowhere else.
// Method: memfds whose bytes are looked at from both sides.
#include "bio/unmapped.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <thread>
#include <vector>

namespace ashlar {
namespace {

class Unmapped : public testing::Test {
 protected:
  Unmapped() : fd_(memfd_create("unmapped test", MFD_CLOEXEC)) {
    EXPECT_EQ(ftruncate(fd_, static_cast<off_t>(kBytes)), 0);
  }
  ~Unmapped() override { close(fd_); }

  std::unique_ptr<UnmappedMemory> make(std::uint64_t offset = 0, std::uint64_t length = kBytes,
                                       bool writable = true) {
    return UnmappedMemory::create(fd_, offset, length, writable).value();
  }

  static Errc map(const Segment& segment, bool fills = true) {
    return map_payload(Payload{&segment, 1, 0}, segment.length, fills);
  }

  static constexpr std::uint64_t kBytes = 3 * kMapWindowBytes + 4096;
  int fd_;
};

TEST_F(Unmapped, maps_the_windows_of_a_payload_and_no_others) {
  const auto memory = make();
  EXPECT_EQ(memory->mapped_bytes(), 0u);
  const Segment segment = memory->segment(kMapWindowBytes - 512, 1024);
  EXPECT_EQ(map(segment), Errc::ok);
  EXPECT_EQ(memory->mapped_bytes(), 2 * kMapWindowBytes);
  segment.data[0] = std::byte{7};
  segment.data[1023] = std::byte{8};
  std::byte seen{};
  ASSERT_EQ(pread(fd_, &seen, 1, kMapWindowBytes - 512), 1);
  EXPECT_EQ(seen, std::byte{7});
  ASSERT_EQ(pread(fd_, &seen, 1, kMapWindowBytes + 511), 1);
  EXPECT_EQ(seen, std::byte{8});
}

TEST_F(Unmapped, the_last_window_ends_with_the_memory) {
  const auto memory = make();
  const Segment segment = memory->segment(kBytes - 4096, 4096);
  EXPECT_EQ(map(segment), Errc::ok);
  EXPECT_EQ(memory->mapped_bytes(), 4096u);
  segment.data[4095] = std::byte{1};
}

TEST_F(Unmapped, a_range_of_a_file_is_found_at_its_place) {
  const auto memory = make(8192, kMapWindowBytes);
  const auto place = locate_unmapped(memory->segment(100, 1).data);
  ASSERT_TRUE(place);
  EXPECT_EQ(place->offset, 8292u);
  ASSERT_EQ(pwrite(fd_, "x", 1, 8292), 1);
  EXPECT_EQ(map(memory->segment(0, 4096)), Errc::ok);
  EXPECT_EQ(*memory->segment(100, 1).data, std::byte{'x'});
}

TEST_F(Unmapped, ordinary_memory_is_nobodys) {
  const auto memory = make();
  std::array<std::byte, 64> mine{};
  EXPECT_EQ(map({mine.data(), mine.size()}), Errc::ok);
  EXPECT_FALSE(locate_unmapped(mine.data()));
  const std::array segments = {Segment{mine.data(), 64}, memory->segment(0, 64)};
  EXPECT_EQ(map_payload(Payload{segments.data(), 2, 0}, 128, true), Errc::ok);
  EXPECT_EQ(memory->mapped_bytes(), kMapWindowBytes);
}

TEST_F(Unmapped, what_may_not_be_written_is_not_filled) {
  const auto memory = make(0, kBytes, /*writable=*/false);
  EXPECT_EQ(map(memory->segment(0, 512), /*fills=*/false), Errc::ok);
  EXPECT_EQ(map(memory->segment(0, 512), /*fills=*/true), Errc::permission);
  EXPECT_EQ(*memory->segment(0, 512).data, std::byte{0});
}

TEST_F(Unmapped, its_addresses_are_free_afterwards) {
  const std::byte* address = nullptr;
  {
    const auto memory = make();
    address = memory->segment(0, 1).data;
    EXPECT_EQ(map(memory->segment(0, kBytes)), Errc::ok);
  }
  EXPECT_FALSE(locate_unmapped(address));
  EXPECT_EQ(map({const_cast<std::byte*>(address), 1}), Errc::ok);  // passed over
  unsigned char state = 0;
  EXPECT_NE(mincore(const_cast<std::byte*>(address), 4096, &state), 0);  // nothing is there
}

TEST_F(Unmapped, refuses_what_it_cannot_describe) {
  EXPECT_EQ(UnmappedMemory::create(fd_, 0, 0, true).error().code, Errc::invalid);
  EXPECT_EQ(UnmappedMemory::create(fd_, 512, 4096, true).error().code, Errc::invalid);
  EXPECT_FALSE(UnmappedMemory::create(-1, 0, 4096, true).ok());
  EXPECT_EQ(UnmappedMemory::create(fd_, 0, ~std::uint64_t{0} - 8191, true).error().code,
            Errc::no_memory);
  const int directory = open("/", O_RDONLY | O_CLOEXEC);
  const auto unmappable = UnmappedMemory::create(directory, 0, 4096, true);
  ASSERT_TRUE(unmappable.ok());
  EXPECT_EQ(map((*unmappable)->segment(0, 512)), Errc::io);  // seen when it is needed
  close(directory);
}

TEST_F(Unmapped, several_threads_map_at_once) {
  const auto memory = make();
  const auto other = make(4096, kMapWindowBytes);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (std::uint64_t at = 0; at + 4096 <= kBytes; at += 64 * 1024) {
        EXPECT_EQ(map(memory->segment(at, 4096)), Errc::ok);
        EXPECT_TRUE(locate_unmapped(other->segment(0, 1).data));
        volatile std::byte seen = *memory->segment(at, 1).data;
        static_cast<void>(seen);
      }
    });
  }
  for (std::thread& each : threads) each.join();
  EXPECT_EQ(memory->mapped_bytes(), kBytes);
}

}  // namespace
}  // namespace ashlar
