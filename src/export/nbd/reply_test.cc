// Goal: replies are laid out as doc/proto.md says. Method: encode, compare field by field.
#include "export/nbd/reply.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace ashlar::nbd {
namespace {

constexpr std::uint64_t kCookie = 0x1122334455667788;

RequestHeader request(Command command, std::uint32_t length) {
  return RequestHeader{.magic = kRequestMagic,
                       .flags = 0,
                       .command = static_cast<std::uint16_t>(command),
                       .cookie = kCookie,
                       .offset = 0x10000,
                       .length = length};
}

using Buffer = std::array<std::byte, kMaxErrorBytes>;

void expect_simple(const Buffer& bytes, std::uint32_t error) {
  EXPECT_EQ(load_be<std::uint32_t>(bytes, 0), 0x67446698u);
  EXPECT_EQ(load_be<std::uint32_t>(bytes, 4), error);
  EXPECT_EQ(load_be<std::uint64_t>(bytes, 8), kCookie);
}

void expect_chunk(const Buffer& bytes, std::uint16_t type, std::uint32_t length) {
  EXPECT_EQ(load_be<std::uint32_t>(bytes, 0), 0x668e33efu);
  EXPECT_EQ(load_be<std::uint16_t>(bytes, 4), 1u);
  EXPECT_EQ(load_be<std::uint16_t>(bytes, 6), type);
  EXPECT_EQ(load_be<std::uint64_t>(bytes, 8), kCookie);
  EXPECT_EQ(load_be<std::uint32_t>(bytes, 16), length);
}

TEST(Reply, simple_success) {
  Buffer bytes{};
  EXPECT_EQ(encode_success(request(Command::read, 4096), false, bytes), 16u);
  expect_simple(bytes, 0);
  EXPECT_EQ(encode_success(request(Command::write, 4096), true, bytes), 16u);
  expect_simple(bytes, 0);
}

TEST(Reply, simple_error) {
  Buffer bytes{};
  const Refusal refusal{ReplyError::no_space, "text that a simple reply has no room for"};
  EXPECT_EQ(encode_error(request(Command::write, 1), false, refusal, bytes), 16u);
  expect_simple(bytes, 28);
}

TEST(Reply, structured_read_is_one_last_data_chunk) {
  Buffer bytes{};
  EXPECT_EQ(encode_success(request(Command::read, 4096), true, bytes), 28u);
  expect_chunk(bytes, 1, 4104);
  EXPECT_EQ(load_be<std::uint64_t>(bytes, 20), 0x10000u);
}

TEST(Reply, structured_empty_read_has_no_data_chunk) {
  Buffer bytes{};
  EXPECT_EQ(encode_success(request(Command::read, 0), true, bytes), 20u);
  expect_chunk(bytes, 0, 0);
}

TEST(Reply, structured_error_carries_its_text) {
  Buffer bytes{};
  const Refusal refusal{ReplyError::invalid, "unknown command"};
  EXPECT_EQ(encode_error(request(Command::read, 1), true, refusal, bytes), 20u + 6 + 15);
  expect_chunk(bytes, 0x8001, 6 + 15);
  EXPECT_EQ(load_be<std::uint32_t>(bytes, 20), 22u);
  EXPECT_EQ(load_be<std::uint16_t>(bytes, 24), 15u);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes.data()) + 26, 15), "unknown command");
}

TEST(Reply, long_texts_are_cut) {
  Buffer bytes{};
  const std::string text(5000, 'x');
  const Refusal refusal{ReplyError::io, text};
  EXPECT_EQ(encode_error(request(Command::read, 1), true, refusal, bytes), kMaxErrorBytes);
  expect_chunk(bytes, 0x8001, 6 + kMaxErrorTextBytes);
}

}  // namespace
}  // namespace ashlar::nbd
