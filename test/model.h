// What a device must hold, as plain bytes, and random requests against both.
//
//   Model model(device_size, 512);
//   model.exercise(opened, /*seed=*/1, /*rounds=*/500);   // every read is compared
//   EXPECT_EQ(model.bytes(), test::contents(opened, device_size));
//
// A discard counts as zeros: so it is over the class memory.
#pragma once

#include <algorithm>
#include <random>

#include "test/rig.h"

namespace ashlar::test {

// All bytes of a device.
inline std::vector<std::byte> contents(Opened& device, std::uint64_t size) {
  std::vector<std::byte> bytes(size);
  EXPECT_EQ(device.read(0, bytes), Errc::ok);
  return bytes;
}

class Model {
 public:
  Model(std::uint64_t size, std::uint64_t block) : bytes_(size), block_(block) {}

  const std::vector<std::byte>& bytes() const { return bytes_; }
  // REQUIRES: of its size.
  void start_with(const std::vector<std::byte>& bytes) { bytes_ = bytes; }

  // Reads, writes, discards and zeroes at random places, short and long; compares what is read.
  void exercise(Opened& device, std::uint64_t seed, int rounds) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    for (int i = 0; i < rounds && !testing::Test::HasFailure(); ++i) one_request(device, random);
  }

 private:
  void one_request(Opened& device, std::mt19937_64& random) {
    const std::uint64_t blocks = bytes_.size() / block_;
    const std::uint64_t first = random() % blocks;
    const std::uint64_t most = std::min(blocks - first, random() % 4 == 0 ? blocks : 16);
    const std::uint64_t offset = first * block_;
    const std::uint64_t length = (1 + random() % most) * block_;
    const ByteSpan here = ByteSpan(bytes_).subspan(offset, length);
    SCOPED_TRACE(std::to_string(length) + " bytes at " + std::to_string(offset));
    switch (random() % 8) {
      case 0:
        EXPECT_EQ(device.discard(offset, length), Errc::ok);
        std::fill(here.begin(), here.end(), std::byte{0});
        break;
      case 1:
        EXPECT_EQ(device.write_zeroes(offset, length), Errc::ok);
        std::fill(here.begin(), here.end(), std::byte{0});
        break;
      case 2:
      case 3:
      case 4: {
        const auto fresh = pattern(length, random());
        EXPECT_EQ(device.write(offset, fresh), Errc::ok);
        std::copy(fresh.begin(), fresh.end(), here.begin());
        break;
      }
      default: {
        std::vector<std::byte> back(length);
        EXPECT_EQ(device.read(offset, back), Errc::ok);
        EXPECT_TRUE(std::equal(here.begin(), here.end(), back.begin())) << "read";
      }
    }
  }

  std::vector<std::byte> bytes_;
  const std::uint64_t block_;
};

}  // namespace ashlar::test
