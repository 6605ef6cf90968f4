// Goal: superblocks of all versions are found where md puts them, read right, written back without
// loss, and refused with a sentence where they lie.
// Method: superblocks written word by word at the offsets of linux/raid/md_p.h, with checksums
// summed here; then one number changed at a time.
#include "md/superblock.h"

#include <gtest/gtest.h>

#include <functional>

namespace ashlar::md {
namespace {

constexpr std::uint64_t kDevice = 64 * kMiB;
using Block = std::vector<std::byte>;

template <typename T>
void put(Block& block, std::size_t at, T value) {
  store_le<T>(ByteSpan(block), at, value);
}
void put32(Block& block, std::size_t at, std::uint32_t value) { put(block, at, value); }
void put64(Block& block, std::size_t at, std::uint64_t value) { put(block, at, value); }
void put16(Block& block, std::size_t at, std::uint16_t value) { put(block, at, value); }

std::uint32_t sum_words(const Block& block, std::size_t bytes, std::size_t skip) {
  std::uint64_t sum = 0;
  for (std::size_t at = 0; at < bytes; at += 4) {
    if (at == skip) continue;
    sum += at + 4 <= bytes ? load_le<std::uint32_t>(ByteView(block), at)
                           : load_le<std::uint16_t>(ByteView(block), at);
  }
  return static_cast<std::uint32_t>((sum & 0xffffffff) + (sum >> 32));
}

void seal_1(Block& block) {
  const std::uint32_t roles = std::min(load_le<std::uint32_t>(ByteView(block), 220), 1920u);
  put32(block, 216, sum_words(block, 256 + 2 * roles, 216));
}
void seal_0(Block& block) { put32(block, 4 * 38, sum_words(block, 4096, 4 * 38)); }

// raid5 of four over chunks of 64 KiB, device number 3 in place 2; three roles make an odd length.
Block raid5(Version version) {
  Block block(kSuperblockBytes);
  put32(block, 0, 0xa92b4efc);
  put32(block, 4, 1);
  put32(block, 8, 1 | 2 | 8 | 16 | 128);
  for (std::uint8_t i = 0; i < 16; ++i) block[16 + i] = std::byte(0xa0 + i);
  const ByteView name = as_bytes("host:3");
  std::copy(name.begin(), name.end(), block.begin() + 32);
  put64(block, 64, (std::uint64_t{123} << 40) | 1700000000);
  put32(block, 72, 5);
  put32(block, 76, 2);
  put64(block, 80, 40960);  // component
  put32(block, 88, 128);    // chunk
  put32(block, 92, 4);
  put32(block, 96, version == Version::v1_0 ? static_cast<std::uint32_t>(-16) : 8);  // bitmap
  put64(block, 128, version == Version::v1_0 ? 0 : 2048);
  put64(block, 136, 50000);
  put64(block, 144, *superblock_offset(version, kDevice) / 512);
  put64(block, 152, 777);
  put32(block, 160, 3);
  put32(block, 164, 9);
  for (std::uint8_t i = 0; i < 16; ++i) block[168 + i] = std::byte(0xd0 + i);
  block[184] = std::byte{3};
  block[185] = std::byte{1};
  put16(block, 186, 8);
  put32(block, 188, version == Version::v1_0 ? static_cast<std::uint32_t>(-32) : 72);
  put64(block, 192, 1700000100);
  put64(block, 200, 42);
  put64(block, 208, 4096);
  put32(block, 220, 5);
  for (std::uint16_t i = 0; i < 5; ++i) put16(block, 256 + 2u * i, i);
  put16(block, 256 + 2 * 3, 2);
  put16(block, 256 + 2 * 2, kRoleFaulty);
  put16(block, 256 + 2 * 4, kRoleSpare);
  block[4000] = std::byte{0x77};  // behind all that is understood
  seal_1(block);
  return block;
}

// raid1 of two and a spare, seen by number 1.
Block raid1_90() {
  Block block(kSuperblockBytes);
  const auto word = [&](std::size_t at, std::uint32_t value) { put32(block, 4 * at, value); };
  word(0, 0xa92b4efc);
  word(2, 90);
  word(3, 3);
  word(5, 0x01234567);
  word(6, 1600000000);
  word(7, 1);
  word(8, 65000);
  word(9, 3);
  word(10, 2);
  word(11, 127);
  word(13, 0x89abcdef);
  word(14, 0x11111111);
  word(15, 0x22222222);
  word(32, 1600000001);
  word(33, 1 | 1 << 8);
  word(34, 2);
  word(35, 3);
  word(37, 1);
  word(39, 99);
  word(41, 99);
  word(65, 65536);
  for (std::uint32_t i = 0; i < 3; ++i) {
    const std::size_t at = 128 + 32 * i;
    word(at, i);
    word(at + 1, 8);
    word(at + 2, 16 * i);
    word(at + 3, i);
    word(at + 4, i == 2 ? 0 : i == 1 ? 6 | 1 << 9 : 6);
  }
  for (std::size_t i = 0; i < 5; ++i) {
    word(992 + i, load_le<std::uint32_t>(ByteView(block), 4 * (128 + 32 + i)));
  }
  word(900, 0x55);  // a descriptor that nobody uses
  seal_0(block);
  return block;
}

Superblock good(const Block& block, Version version) {
  Result<Superblock> parsed = parse_superblock(block, version, kDevice);
  EXPECT_TRUE(parsed) << parsed.error().message;
  return parsed ? *parsed : Superblock{};
}

TEST(MdSuperblock, LiesWhereMdPutsIt) {
  EXPECT_EQ(superblock_offset(Version::v1_1, kDevice), 0u);
  EXPECT_EQ(superblock_offset(Version::v1_2, kDevice), 4096u);
  EXPECT_EQ(superblock_offset(Version::v1_0, kDevice), kDevice - 8192);
  EXPECT_EQ(superblock_offset(Version::v1_0, kDevice + 4095), kDevice - 8192);
  EXPECT_EQ(superblock_offset(Version::v1_0, kDevice + 4096), kDevice - 4096);
  EXPECT_EQ(superblock_offset(Version::v0_90, kDevice), kDevice - 65536);
  EXPECT_EQ(superblock_offset(Version::v0_90, kDevice + 65535), kDevice - 65536);
  EXPECT_EQ(superblock_offset(Version::v0_90, 131072), 65536u);
}

TEST(MdSuperblock, NeedsADeviceThatHoldsIt) {
  EXPECT_EQ(superblock_offset(Version::v0_90, 131071), std::nullopt);
  EXPECT_EQ(superblock_offset(Version::v1_2, 24 * 512 - 1), std::nullopt);
  EXPECT_EQ(superblock_offset(Version::v1_0, 0), std::nullopt);
  EXPECT_EQ(superblock_offset(Version::v1_0, ~std::uint64_t{0}), std::nullopt);
}

TEST(MdSuperblock, EveryFieldOfVersion1) {
  for (const Version version : {Version::v1_0, Version::v1_1, Version::v1_2}) {
    const Superblock sb = good(raid5(version), version);
    EXPECT_EQ(uuid_text(sb), "a0a1a2a3:a4a5a6a7:a8a9aaab:acadaeaf");
    EXPECT_EQ(sb.name, "host:3");
    EXPECT_EQ(sb.level, 5);
    EXPECT_EQ(sb.layout, 2u);
    EXPECT_EQ(sb.chunk_bytes, 65536u);
    EXPECT_EQ(sb.raid_disks, 4u);
    EXPECT_EQ(sb.component_bytes, 40960u * 512);
    EXPECT_EQ(sb.created_seconds, 1700000000u);
    EXPECT_EQ(sb.updated_seconds, 1700000100u);
    EXPECT_EQ(std::to_integer<int>((*sb.device_uuid)[15]), 0xdf);
    EXPECT_EQ(sb.data_offset_bytes, version == Version::v1_0 ? 0 : kMiB);
    EXPECT_EQ(sb.data_bytes, 50000u * 512);
    EXPECT_EQ(sb.device_number, 3u);
    EXPECT_EQ(sb.role(), 2u);
    EXPECT_EQ(sb.roles, (std::vector<std::uint16_t>{0, 1, kRoleFaulty, 2, kRoleSpare}));
    EXPECT_TRUE(sb.write_mostly && sb.failfast && sb.replacement && sb.recovery_by_bitmap);
    EXPECT_EQ(sb.recovery_offset_bytes, 777u * 512);
    EXPECT_EQ(sb.corrected_reads, 9u);
    EXPECT_EQ(sb.events, 42u);
    EXPECT_EQ(sb.resync_offset_bytes, 4096u * 512);
    EXPECT_FALSE(sb.clean());
    EXPECT_TRUE(sb.has_bitmap);
    const std::uint64_t at = *superblock_offset(version, kDevice);
    EXPECT_EQ(sb.bitmap_start_bytes(), version == Version::v1_0 ? at - 8192 : at + 4096);
    EXPECT_EQ(sb.bad_blocks_start_bytes(), version == Version::v1_0 ? at - 16384 : at + 36864);
    EXPECT_EQ(sb.bad_blocks.bytes, 4096u);
    EXPECT_EQ(sb.bad_blocks.shift, 1);
    EXPECT_TRUE(sb.bad_blocks.in_use);
    EXPECT_EQ(bitmap_room_bytes(sb, kDevice), version == Version::v1_0 ? 8192u : 32768u);
    EXPECT_TRUE(sb.unsupported.empty()) << sb.unsupported;
  }
}

TEST(MdSuperblock, EveryFieldOf090) {
  const Superblock sb = good(raid1_90(), Version::v0_90);
  EXPECT_EQ(uuid_text(sb), "01234567:89abcdef:11111111:22222222");
  EXPECT_EQ(sb.level, 1);
  EXPECT_EQ(sb.raid_disks, 2u);
  EXPECT_EQ(sb.component_bytes, 65000u * 1024);
  EXPECT_EQ(sb.chunk_bytes, 65536u);
  EXPECT_EQ(sb.data_offset_bytes, 0u);
  EXPECT_EQ(sb.data_bytes, kDevice - 65536);
  EXPECT_EQ(sb.device_number, 1u);
  EXPECT_EQ(sb.role(), 1u);
  EXPECT_TRUE(sb.write_mostly);
  ASSERT_EQ(sb.roles.size(), 27u);
  EXPECT_EQ(sb.roles[0], 0u);
  EXPECT_EQ(sb.roles[2], kRoleSpare);
  EXPECT_EQ(sb.roles[3], kRoleFaulty);
  EXPECT_EQ(sb.events, 99u);
  EXPECT_TRUE(sb.clean());
  EXPECT_TRUE(sb.has_bitmap);
  EXPECT_EQ(sb.bitmap_start_bytes(), kDevice - 65536 + 4096);
  EXPECT_EQ(bitmap_room_bytes(sb, kDevice), 61440u);
  EXPECT_FALSE(sb.device_uuid);
}

TEST(MdSuperblock, DirtIn090) {
  Block block = raid1_90();
  put32(block, 4 * 33, 0);
  put32(block, 4 * 43, 5000);
  seal_0(block);
  EXPECT_EQ(good(block, Version::v0_90).resync_offset_bytes, 5000u * 512);
  put32(block, 4 * 41, 98);  // the checkpoint is of an earlier update
  seal_0(block);
  EXPECT_EQ(good(block, Version::v0_90).resync_offset_bytes, 0u);
}

TEST(MdSuperblock, UnchangedItIsTheSameBytes) {
  for (const Version version : {Version::v1_0, Version::v1_1, Version::v1_2}) {
    EXPECT_EQ(serialise_superblock(good(raid5(version), version)), raid5(version));
  }
  EXPECT_EQ(serialise_superblock(good(raid1_90(), Version::v0_90)), raid1_90());
}

// A machine that adds carries at once and not at the end leaves another sum, of equal 16 bits.
TEST(MdSuperblock, TheOtherChecksumOf090StaysWhileNothingChanges) {
  Block block = raid1_90();
  const std::uint32_t sum = load_le<std::uint32_t>(ByteView(block), 4 * 38);
  put32(block, 4 * 38, (sum & 0xffff) + (sum >> 16));
  Superblock sb = good(block, Version::v0_90);
  EXPECT_EQ(serialise_superblock(sb), block);
  ++sb.events;
  const Block changed = serialise_superblock(sb);
  EXPECT_EQ(load_le<std::uint32_t>(ByteView(changed), 4 * 38), sum_words(changed, 4096, 4 * 38));
}

void expect_same(const Superblock& a, const Superblock& b) {
  EXPECT_EQ(a.set_uuid, b.set_uuid);
  EXPECT_EQ(a.device_uuid, b.device_uuid);
  EXPECT_EQ(a.name, b.name);
  EXPECT_EQ(std::tie(a.level, a.layout, a.raid0_layout_known, a.chunk_bytes, a.raid_disks),
            std::tie(b.level, b.layout, b.raid0_layout_known, b.chunk_bytes, b.raid_disks));
  EXPECT_EQ(std::tie(a.component_bytes, a.created_seconds, a.data_offset_bytes, a.data_bytes),
            std::tie(b.component_bytes, b.created_seconds, b.data_offset_bytes, b.data_bytes));
  EXPECT_EQ(std::tie(a.device_number, a.write_mostly, a.failfast, a.replacement),
            std::tie(b.device_number, b.write_mostly, b.failfast, b.replacement));
  EXPECT_EQ(std::tie(a.recovery_offset_bytes, a.recovery_by_bitmap, a.corrected_reads),
            std::tie(b.recovery_offset_bytes, b.recovery_by_bitmap, b.corrected_reads));
  EXPECT_EQ(a.bad_blocks, b.bad_blocks);
  EXPECT_EQ(std::tie(a.events, a.updated_seconds, a.resync_offset_bytes, a.roles),
            std::tie(b.events, b.updated_seconds, b.resync_offset_bytes, b.roles));
  EXPECT_EQ(std::tie(a.has_bitmap, a.bitmap_offset_bytes),
            std::tie(b.has_bitmap, b.bitmap_offset_bytes));
}

TEST(MdSuperblock, WhatIsChangedIsReadAgain) {
  Superblock sb = good(raid5(Version::v1_2), Version::v1_2);
  sb.name = "a name of more than sixteen";
  sb.events = 43;
  sb.updated_seconds = 1800000000;
  sb.resync_offset_bytes = kAll;
  sb.recovery_offset_bytes = kAll;
  sb.recovery_by_bitmap = sb.replacement = sb.failfast = false;
  sb.has_bitmap = false;
  sb.bitmap_offset_bytes = 0;
  sb.bad_blocks.in_use = false;
  sb.roles = {0, 1, 3, 2, kRoleSpare, kRoleSpare, kRoleFaulty};
  sb.device_number = 2;
  const Block written = serialise_superblock(sb);
  EXPECT_EQ(written[4000], std::byte{0x77});
  expect_same(good(written, Version::v1_2), sb);
}

TEST(MdSuperblock, WhatIsChangedIn090IsReadAgain) {
  Superblock sb = good(raid1_90(), Version::v0_90);
  sb.events = 100;
  sb.resync_offset_bytes = 8192;
  sb.write_mostly = false;
  sb.has_bitmap = false;
  sb.bitmap_offset_bytes = 0;
  sb.roles[0] = kRoleFaulty;
  sb.roles[2] = kRoleFaulty;
  const Block written = serialise_superblock(sb);
  expect_same(good(written, Version::v0_90), sb);
  const auto word = [&](std::size_t at) {
    return load_le<std::uint32_t>(ByteView(written), 4 * at);
  };
  EXPECT_EQ(word(34), 1u);                // active
  EXPECT_EQ(word(36), 1u);                // failed
  EXPECT_EQ(word(37), 0u);                // spare
  EXPECT_EQ(word(9), 1u);                 // devices
  EXPECT_EQ(word(128 + 4), 1u | 1 << 3);  // faulty, removed
  EXPECT_EQ(word(992 + 4), 6u);
  sb.resync_offset_bytes = 0;
  expect_same(good(serialise_superblock(sb), Version::v0_90), sb);
}

TEST(MdSuperblock, NewOnesAreReadAsTheyWereMeant) {
  for (const Version version : kVersions) {
    Superblock sb;
    sb.version = version;
    sb.set_uuid.fill(std::byte{7});
    if (version != Version::v0_90) sb.device_uuid.emplace().fill(std::byte{8});
    sb.level = 10;
    sb.layout = 0x102;
    sb.chunk_bytes = 512 * kKiB;
    sb.raid_disks = 3;
    sb.component_bytes = 32 * kMiB;
    sb.created_seconds = sb.updated_seconds = 1700000000;
    sb.superblock_offset_bytes = *superblock_offset(version, kDevice);
    const bool in_front = version == Version::v1_1 || version == Version::v1_2;
    sb.data_offset_bytes = in_front ? kMiB : 0;
    sb.data_bytes = in_front ? kDevice - kMiB : sb.superblock_offset_bytes;
    sb.device_number = 1;
    sb.events = 1;
    sb.resync_offset_bytes = 0;
    sb.roles = {0, 1, 2};
    if (version == Version::v0_90) sb.roles.resize(27, kRoleFaulty);
    expect_same(good(serialise_superblock(sb), version), sb);
  }
}

TEST(MdSuperblock, AbsentIsNotFound) {
  Block block(kSuperblockBytes);
  for (const Version version : kVersions) {
    EXPECT_EQ(parse_superblock(block, version, kDevice).error().code, Errc::not_found);
    EXPECT_EQ(parse_superblock(block, version, 4096).error().code, Errc::not_found);
    EXPECT_EQ(parse_superblock({}, version, kDevice).error().code, Errc::not_found);
  }
  // One that belongs elsewhere: of a partition at the start of this device, say.
  EXPECT_EQ(parse_superblock(raid5(Version::v1_2), Version::v1_1, kDevice).error().code,
            Errc::not_found);
  EXPECT_EQ(parse_superblock(raid1_90(), Version::v1_0, kDevice).error().code, Errc::not_found);
}

TEST(MdSuperblock, ABigEndianOneIsRecognised) {
  Block block = raid1_90();
  for (std::size_t at = 0; at < block.size(); at += 4) {
    store_be(ByteSpan(block), at, load_le<std::uint32_t>(ByteView(block), at));
  }
  const auto parsed = parse_superblock(block, Version::v0_90, kDevice);
  EXPECT_EQ(parsed.error().code, Errc::unsupported);
  EXPECT_NE(parsed.error().message.find("big-endian"), std::string::npos);
}

TEST(MdSuperblock, AnyChangedBitBreaksTheChecksum) {
  for (const std::size_t at : {9u, 40u, 100u, 200u, 260u}) {
    Block block = raid5(Version::v1_2);
    block[at] ^= std::byte{0x10};
    EXPECT_EQ(parse_superblock(block, Version::v1_2, kDevice).error().code, Errc::corrupt) << at;
    block = raid1_90();
    block[at + 20] ^= std::byte{0x10};
    EXPECT_EQ(parse_superblock(block, Version::v0_90, kDevice).error().code, Errc::corrupt) << at;
  }
}

struct Lie {
  const char* says;  // part of the sentence
  std::function<void(Block&)> tell;
};

void expect_refused(const Lie& lie, Block block, Version version, void (*seal)(Block&)) {
  lie.tell(block);
  seal(block);
  const auto parsed = parse_superblock(block, version, kDevice);
  ASSERT_FALSE(parsed) << lie.says;
  EXPECT_EQ(parsed.error().code, Errc::corrupt);
  EXPECT_NE(parsed.error().message.find(lie.says), std::string::npos) << parsed.error().message;
}

TEST(MdSuperblock, LiesOfVersion1) {
  const Lie lies[] = {
      {"names 0 devices", [](Block& b) { put32(b, 92, 0); }},
      {"names 1921 devices", [](Block& b) { put32(b, 92, 1921); }},
      {"chunk of 0 bytes", [](Block& b) { put32(b, 88, 0); }},
      {"chunk of 2048 bytes", [](Block& b) { put32(b, 88, 4); }},
      {"chunk of 98304 bytes", [](Block& b) { put32(b, 88, 192); }},
      {"0 bytes of each device", [](Block& b) { put64(b, 80, 0); }},
      {"bytes of each device are used", [](Block& b) { put64(b, 80, 50001); }},
      {"sectors at its byte 80", [](Block& b) { put64(b, 80, std::uint64_t{1} << 55); }},
      {"sectors at its byte 128", [](Block& b) { put64(b, 128, ~std::uint64_t{0}); }},
      {"room up to", [](Block& b) { put64(b, 136, kDevice / 512 - 2047); }},
      {"bytes of data", [](Block& b) { put64(b, 136, 9); }},
      {"data begin in it", [](Block& b) { put64(b, 128, 8); }},
      {"middle of a resync", [](Block& b) { put64(b, 208, std::uint64_t{1} << 60); }},
      {"middle of a resync", [](Block& b) { put64(b, 152, std::uint64_t{1} << 60); }},
      {"roles; 1920 are possible", [](Block& b) { put32(b, 220, 1921); }},
      {"place 4 of 4", [](Block& b) { put16(b, 256 + 6, 4); }},
      {"its bitmap is", [](Block& b) { put32(b, 96, 0); }},
      {"its bitmap is", [](Block& b) { put32(b, 96, 2048); }},
      {"its bitmap is", [](Block& b) { put32(b, 96, static_cast<std::uint32_t>(-9)); }},
      {"its bitmap is", [](Block& b) { put32(b, 96, 0x7fffffff); }},
      {"log of bad blocks", [](Block& b) { put32(b, 188, 2040); }},
      {"log of 0 bytes", [](Block& b) { put16(b, 186, 0); }},
      {"log of 4608 bytes", [](Block& b) { put16(b, 186, 9); }},
      {"a layout of raid0", [](Block& b) { put32(b, 8, 4096); }},
  };
  for (const Lie& lie : lies) expect_refused(lie, raid5(Version::v1_2), Version::v1_2, seal_1);
}

TEST(MdSuperblock, LiesOf090) {
  const Lie lies[] = {
      {"names 0 devices", [](Block& b) { put32(b, 40, 0); }},
      {"names 28 devices", [](Block& b) { put32(b, 40, 28); }},
      {"has number 27", [](Block& b) { put32(b, 4 * 992, 27); }},
      {"bytes of each device are used", [](Block& b) { put32(b, 32, 65473); }},
      {"place 2 of 2", [](Block& b) { put32(b, 4 * (128 + 32 + 3), 2); }},
      {"place 65280 of 2", [](Block& b) { put32(b, 4 * (128 + 32 + 3), 0x10001); }},
  };
  for (const Lie& lie : lies) expect_refused(lie, raid1_90(), Version::v0_90, seal_0);
}

void expect_unsupported(const Lie& lie, Block block, Version version, void (*seal)(Block&)) {
  lie.tell(block);
  seal(block);
  const Superblock sb = good(block, version);
  EXPECT_NE(sb.unsupported.find(lie.says), std::string::npos) << sb.unsupported;
  EXPECT_EQ(serialise_superblock(sb), block);
}

TEST(MdSuperblock, WhatIsNotSupportedSaysSo) {
  const Lie of_1[] = {
      {"being reshaped", [](Block& b) { put32(b, 8, 4); }},
      {"write journal", [](Block& b) { put32(b, 8, 512); }},
      {"is a write journal", [](Block& b) { put16(b, 256 + 6, kRoleJournal); }},
      {"PPL", [](Block& b) { put32(b, 8, 1024); }},
      {"PPL", [](Block& b) { put32(b, 8, 2048); }},
      {"cluster", [](Block& b) { put32(b, 8, 256); }},
      {"not known (bits 0x2000)", [](Block& b) { put32(b, 8, 8192); }},
      {"a feature that is not known", [](Block& b) { put32(b, 12, 1); }},
      {"a feature that is not known", [](Block& b) { b[255] = std::byte{1}; }},
      {"of multipath", [](Block& b) { put32(b, 72, static_cast<std::uint32_t>(-4)); }},
      {"of faulty", [](Block& b) { put32(b, 72, static_cast<std::uint32_t>(-5)); }},
      {"of container", [](Block& b) { put32(b, 72, static_cast<std::uint32_t>(-100)); }},
      {"of level 7", [](Block& b) { put32(b, 72, 7); }},
  };
  for (const Lie& each : of_1)
    expect_unsupported(each, raid5(Version::v1_1), Version::v1_1, seal_1);
  const Lie of_0[] = {
      {"being reshaped", [](Block& b) { put32(b, 8, 91); }},
      {"version 0.92", [](Block& b) { put32(b, 8, 92); }},
      {"cluster", [](Block& b) { put32(b, 4 * 33, 1 << 5); }},
      {"of multipath", [](Block& b) { put32(b, 28, static_cast<std::uint32_t>(-4)); }},
  };
  for (const Lie& each : of_0) expect_unsupported(each, raid1_90(), Version::v0_90, seal_0);
}

TEST(MdSuperblock, TheNewestOfSeveralCounts) {
  std::vector<Superblock> found(3);
  found[0].created_seconds = 5;
  found[1].created_seconds = 9;
  found[2].created_seconds = 7;
  EXPECT_EQ(newest_superblock(found), 1u);
}

}  // namespace
}  // namespace ashlar::md
