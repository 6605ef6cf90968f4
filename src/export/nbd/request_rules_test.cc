// Goal: requests are refused exactly when, and with the error that, doc/proto.md says.
// Method: a table of headers against an export of 1 MiB.
#include "export/nbd/request_rules.h"

#include <gtest/gtest.h>

namespace ashlar::nbd {
namespace {

constexpr std::uint32_t kBlock = 512;

RequestRules writable(bool structured = false) {
  return rules_for(ExportInfo{.name = "d",
                              .description = {},
                              .size_bytes = 1 * kMiB,
                              .minimum_block_bytes = kBlock,
                              .read_only = false,
                              .can_flush = true,
                              .can_fua = true,
                              .can_trim = true,
                              .can_write_zeroes = true},
                   structured);
}

RequestHeader header(Command command, std::uint64_t offset, std::uint32_t length,
                     unsigned flags = 0) {
  return RequestHeader{.magic = kRequestMagic,
                       .flags = static_cast<std::uint16_t>(flags),
                       .command = static_cast<std::uint16_t>(command),
                       .cookie = 7,
                       .offset = offset,
                       .length = length};
}

ReplyError judge(const RequestHeader& request, const RequestRules& rules = writable()) {
  const Refusal refusal = check_request(request, rules);
  EXPECT_EQ(refusal.reason.empty(), refusal.error == ReplyError::none);
  return refusal.error;
}

TEST(RequestRules, take_what_is_in_order) {
  for (const Command command :
       {Command::read, Command::write, Command::trim, Command::write_zeroes}) {
    EXPECT_EQ(judge(header(command, 0, 1 * kMiB)), ReplyError::none);
    EXPECT_EQ(judge(header(command, 1 * kMiB - kBlock, kBlock)), ReplyError::none);
    EXPECT_EQ(judge(header(command, 1 * kMiB, 0)), ReplyError::none);
    EXPECT_EQ(judge(header(command, 0, kBlock, kCommandFua)), ReplyError::none);
  }
  EXPECT_EQ(judge(header(Command::flush, 0, 0)), ReplyError::none);
  EXPECT_EQ(judge(header(Command::write_zeroes, 0, kBlock, kCommandNoHole)), ReplyError::none);
}

TEST(RequestRules, past_the_end_depends_on_the_command) {
  for (const std::uint64_t offset : {1 * kMiB, 2 * kMiB, ~std::uint64_t{511}}) {
    EXPECT_EQ(judge(header(Command::read, offset, kBlock)), ReplyError::invalid);
    EXPECT_EQ(judge(header(Command::trim, offset, kBlock)), ReplyError::invalid);
    EXPECT_EQ(judge(header(Command::write, offset, kBlock)), ReplyError::no_space);
    EXPECT_EQ(judge(header(Command::write_zeroes, offset, kBlock)), ReplyError::no_space);
  }
}

TEST(RequestRules, alignment_is_that_of_the_export) {
  EXPECT_EQ(judge(header(Command::read, 1, kBlock)), ReplyError::invalid);
  EXPECT_EQ(judge(header(Command::write, kBlock, 1)), ReplyError::invalid);
  RequestRules rules = writable();
  rules.minimum_block_bytes = 1;
  EXPECT_EQ(judge(header(Command::read, 1, 3), rules), ReplyError::none);
}

TEST(RequestRules, read_only_refuses_changes_with_permission) {
  const RequestRules rules = rules_for(
      ExportInfo{.name = "d", .description = {}, .size_bytes = 1 * kMiB, .can_flush = true}, false);
  for (const Command command : {Command::write, Command::trim, Command::write_zeroes}) {
    EXPECT_EQ(judge(header(command, 0, kBlock), rules), ReplyError::permission);
  }
  EXPECT_EQ(judge(header(Command::read, 0, kBlock), rules), ReplyError::none);
  EXPECT_EQ(judge(header(Command::flush, 0, 0), rules), ReplyError::none);
}

TEST(RequestRules, what_was_not_offered_is_invalid) {
  const RequestRules bare = rules_for(
      ExportInfo{.name = "d", .description = {}, .size_bytes = 1 * kMiB, .read_only = false},
      false);
  EXPECT_EQ(judge(header(Command::flush, 0, 0), bare), ReplyError::invalid);
  EXPECT_EQ(judge(header(Command::trim, 0, kBlock), bare), ReplyError::invalid);
  EXPECT_EQ(judge(header(Command::write_zeroes, 0, kBlock), bare), ReplyError::invalid);
  EXPECT_EQ(judge(header(Command::write, 0, kBlock, kCommandFua), bare), ReplyError::invalid);
  EXPECT_EQ(judge(header(Command::cache, 0, kBlock)), ReplyError::invalid);
  EXPECT_EQ(judge(header(Command::block_status, 0, kBlock)), ReplyError::invalid);
  EXPECT_EQ(judge(header(Command{0xffff}, 0, kBlock)), ReplyError::invalid);
}

TEST(RequestRules, flags_belong_to_their_commands) {
  EXPECT_EQ(judge(header(Command::read, 0, kBlock, kCommandDontFragment)), ReplyError::invalid);
  EXPECT_EQ(judge(header(Command::read, 0, kBlock, kCommandDontFragment), writable(true)),
            ReplyError::none);
  EXPECT_EQ(judge(header(Command::write, 0, kBlock, kCommandNoHole)), ReplyError::invalid);
  EXPECT_EQ(judge(header(Command::write_zeroes, 0, kBlock, 1u << 4)), ReplyError::invalid);
  EXPECT_EQ(judge(header(Command::flush, 0, kBlock)), ReplyError::invalid);
}

TEST(RequestRules, payloads_are_bounded_and_ranges_without_payload_are_not) {
  RequestRules rules = writable();
  rules.size_bytes = 8 * kGiB;
  EXPECT_EQ(judge(header(Command::read, 0, kMaxPayloadBytes), rules), ReplyError::none);
  EXPECT_EQ(judge(header(Command::read, 0, kMaxPayloadBytes + kBlock), rules), ReplyError::invalid);
  EXPECT_EQ(judge(header(Command::write, 0, 0xfffffe00), rules), ReplyError::invalid);
  EXPECT_EQ(judge(header(Command::trim, 0, 0xfffffe00), rules), ReplyError::none);
  rules.structured_replies = true;
  EXPECT_EQ(judge(header(Command::read, 0, kMaxPayloadBytes + kBlock), rules),
            ReplyError::overflow);
}

TEST(ReplyErrors, are_those_that_the_protocol_allows) {
  EXPECT_EQ(reply_error_from(Errc::ok), ReplyError::none);
  EXPECT_EQ(reply_error_from(Errc::no_space), ReplyError::no_space);
  EXPECT_EQ(reply_error_from(Errc::read_only), ReplyError::permission);
  EXPECT_EQ(reply_error_from(Errc::unsupported), ReplyError::invalid);
  EXPECT_EQ(reply_error_from(Errc::gone), ReplyError::io);
  for (unsigned code = 1; code <= static_cast<unsigned>(Errc::ambiguous); ++code) {
    EXPECT_NE(reply_error_from(static_cast<Errc>(code)), ReplyError::none);
  }
}

}  // namespace
}  // namespace ashlar::nbd
