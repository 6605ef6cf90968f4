// Goal: memory is used in place where it suits the device, and copied where not; the bytes are
// right either way, and what was copied is told. Method: vectors made of aligned and misaligned
// pieces of one arena, at random too, are pinned; the description is checked piece by piece, and
// bytes are moved through it as a device would.
#include "io/pinned_memory.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/random.h"
#include "io/sync_device.h"
#include "test/rig.h"

namespace ashlar {
namespace {

using test::Opened;
using test::pattern;
using test::Rig;

constexpr MemoryNeeds kDirect{
    .address_alignment = 512, .length_alignment = 512, .block_bytes = 512};

struct Arena {
  explicit Arena(std::size_t length)
      : bytes(static_cast<std::byte*>(std::aligned_alloc(4096, align_up(length, 4096)))) {}
  ~Arena() { std::free(bytes); }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  iovec part(std::size_t at, std::size_t length) const { return {bytes + at, length}; }
  std::byte* const bytes;
};

PinnedMemory pinned(std::span<const iovec> memory, const MemoryNeeds& needs) {
  auto pin = PinnedMemory::pin(memory, needs, {});
  EXPECT_TRUE(pin.ok()) << pin.error().message;
  return *std::move(pin);
}

void expect_suits(const PinnedMemory& pin, const MemoryNeeds& needs) {
  const Payload payload = pin.payload();
  std::uint64_t length = 0;
  for (std::uint32_t i = 0; i < payload.count; ++i) {
    const Segment& each = payload.segments[i];
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(each.data) % needs.address_alignment, 0u);
    EXPECT_EQ(each.length % needs.length_alignment, 0u);
    length += each.length;
  }
  EXPECT_EQ(length, pin.length());
}

TEST(PinnedMemory, uses_aligned_memory_in_place) {
  const Arena arena(8192);
  const std::vector<iovec> memory = {arena.part(512, 1024), arena.part(4096, 512)};
  const PinnedMemory pin = pinned(memory, kDirect);
  EXPECT_FALSE(pin.bounced());
  EXPECT_EQ(pin.length(), 1536u);
  EXPECT_EQ(pin.payload().segments[0].data, arena.bytes + 512);
  EXPECT_EQ(pin.payload().segments[1].data, arena.bytes + 4096);
}

TEST(PinnedMemory, bounces_only_the_run_that_does_not_suit) {
  const Arena arena(16384);
  const std::vector<iovec> memory = {
      arena.part(0, 512),        // suits
      arena.part(1000, 100),     // a run: 100 + 0 + 412 bytes
      arena.part(2000, 0),       //
      arena.part(3000, 412),     //
      arena.part(4096, 4096),    // suits
      arena.part(12289, 1024)};  // aligned length, misaligned address
  const PinnedMemory pin = pinned(memory, kDirect);
  expect_suits(pin, kDirect);
  ASSERT_EQ(pin.payload().count, 4u);
  EXPECT_EQ(pin.bounced_bytes(), 512u + 1024u);
  EXPECT_EQ(pin.payload().segments[2].data, arena.bytes + 4096);
}

TEST(PinnedMemory, never_bounces_for_a_device_that_does_not_mind) {
  const Arena arena(4096);
  const std::vector<iovec> memory = {arena.part(1, 100), arena.part(301, 412)};
  Limits limits;
  EXPECT_FALSE(pinned(memory, needs_of(limits)).bounced());
  limits.memory_alignment = 512;
  EXPECT_TRUE(pinned(memory, needs_of(limits)).bounced());
}

TEST(PinnedMemory, copies_back_what_was_read_and_no_more) {
  const Arena arena(4096);
  std::fill_n(arena.bytes, 4096, std::byte{0});
  const std::vector<iovec> memory = {arena.part(1, 300), arena.part(1001, 212)};
  PinnedMemory pin = pinned(memory, kDirect);
  const auto bytes = pattern(512);
  pin.payload().copy_from(bytes.data(), 512);
  pin.after_read(310);
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.begin() + 300, arena.bytes + 1));
  EXPECT_TRUE(std::equal(bytes.begin() + 300, bytes.begin() + 310, arena.bytes + 1001));
  EXPECT_EQ(arena.bytes[1011], std::byte{0});
}

TEST(PinnedMemory, random_vectors_carry_the_right_bytes) {
  constexpr std::uint64_t kSeed = 20260321;
  Random random(kSeed);
  const Arena arena(1 << 20);
  for (int round = 0; round < 300; ++round) {
    std::vector<iovec> memory;
    std::size_t at = 0, length = 0;
    for (std::uint64_t i = random.below(12) + 1; i > 0; --i) {
      at += random.below(2) != 0 ? align_up(at, 512) - at : random.below(700);
      const std::size_t piece = random.below(2) != 0 ? 512 * random.below(5) : random.below(1500);
      memory.push_back(arena.part(at, piece));
      at += piece, length += piece;
    }
    memory.push_back(arena.part(at, align_up(length + 1, 512) - length));
    length = align_up(length + 1, 512);
    PinnedMemory pin = pinned(memory, kDirect);
    expect_suits(pin, kDirect);
    const auto bytes = pattern(length, static_cast<std::uint64_t>(round));
    std::size_t taken = 0;
    for (const iovec& each : memory) {
      std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(taken), each.iov_len,
                  static_cast<std::byte*>(each.iov_base));
      taken += each.iov_len;
    }
    pin.before_write();
    std::vector<std::byte> seen(length);
    pin.payload().copy_to(seen.data(), length);
    ASSERT_EQ(seen, bytes) << "round " << round;
    const auto other = pattern(length, static_cast<std::uint64_t>(round) + 1000);
    pin.payload().copy_from(other.data(), length);
    pin.after_read(length);
    taken = 0;
    for (const iovec& each : memory) {
      const auto begin = other.begin() + static_cast<std::ptrdiff_t>(taken);
      ASSERT_TRUE(std::equal(begin, begin + static_cast<std::ptrdiff_t>(each.iov_len),
                             static_cast<std::byte*>(each.iov_base)))
          << "round " << round;
      taken += each.iov_len;
    }
  }
}

TEST(PinnedMemory, refuses_what_no_request_can_be) {
  const Arena arena(4096);
  const auto code = [&](std::vector<iovec> memory) {
    auto pin = PinnedMemory::pin(memory, kDirect, {});
    return pin ? Errc::ok : pin.error().code;
  };
  EXPECT_EQ(code({}), Errc::invalid);
  EXPECT_EQ(code({arena.part(0, 0)}), Errc::invalid);
  EXPECT_EQ(code({arena.part(0, 511)}), Errc::invalid);
  EXPECT_EQ(code({{arena.bytes, SIZE_MAX}, arena.part(0, 512)}), Errc::invalid);
  EXPECT_EQ(code({{arena.bytes, kMaxRequestBytes + 512}}), Errc::invalid);
  EXPECT_EQ(code(std::vector<iovec>(PinnedMemory::kMaxSegments + 1, arena.part(0, 512))),
            Errc::invalid);
}

TEST(PinnedMemory, locks_pages_where_asked_for) {
  const Arena arena(4096);
  const std::vector<iovec> memory = {arena.part(3, 512)};
  auto pin = PinnedMemory::pin(memory, kDirect, {.lock = true});
  if (!pin) GTEST_SKIP() << pin.error().message;
  PinnedMemory moved = std::move(*pin);
  EXPECT_TRUE(moved.locked());
  EXPECT_TRUE(moved.bounced());
}

// A moved pin's payload still leads to the same memory.
TEST(PinnedMemory, serves_a_device) {
  Rig rig;
  Opened disk = rig.open(rig.make("memory", "disk", {}, {{"size", "1MiB"}}));
  SyncDevice device(disk.channel());
  const Arena arena(8192);
  const auto bytes = pattern(4096);
  std::copy(bytes.begin(), bytes.end(), arena.bytes + 1);
  const std::vector<iovec> memory = {arena.part(1, 4096)};
  PinnedMemory pin = pinned(memory, kDirect);
  PinnedMemory moved = std::move(pin);
  EXPECT_EQ(device.write(8192, moved), Errc::ok);
  std::fill_n(arena.bytes, 8192, std::byte{0});
  EXPECT_EQ(device.read(8192, moved), Errc::ok);
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), arena.bytes + 1));
  EXPECT_EQ(device.done_bytes(), 4096u);
}

}  // namespace
}  // namespace ashlar
