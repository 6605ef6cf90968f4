// Goal: the negotiation answers every option as doc/proto.md of the NBD project says, whatever the
// pieces that the bytes arrive in, and survives clients that break the rules.
// Method: a small client encodes options by hand; replies are decoded and compared field by field.
#include "export/nbd/negotiation.h"

#include <gtest/gtest.h>

#include "export/nbd/static_directory.h"

namespace ashlar::nbd {
namespace {

using Bytes = std::vector<std::byte>;

template <typename T>
void append_be(Bytes& to, T value) {
  to.resize(to.size() + sizeof(T));
  store_be(ByteSpan(to), to.size() - sizeof(T), value);
}

void append(Bytes& to, std::string_view text) {
  const ByteView bytes = as_bytes(text);
  to.insert(to.end(), bytes.begin(), bytes.end());
}

Bytes option(std::uint32_t number, const Bytes& data = {}) {
  Bytes message;
  append_be(message, kOptionMagic);
  append_be(message, number);
  append_be(message, static_cast<std::uint32_t>(data.size()));
  message.insert(message.end(), data.begin(), data.end());
  return message;
}

Bytes option(Option which, const Bytes& data = {}) {
  return option(static_cast<std::uint32_t>(which), data);
}

Bytes text_bytes(std::string_view text) {
  Bytes data;
  append(data, text);
  return data;
}

Bytes info_data(std::string_view name, std::vector<std::uint16_t> items) {
  Bytes data;
  append_be(data, static_cast<std::uint32_t>(name.size()));
  append(data, name);
  append_be(data, static_cast<std::uint16_t>(items.size()));
  for (const std::uint16_t item : items) append_be(data, item);
  return data;
}

struct Reply {
  std::uint32_t option = 0;
  OptionReply type{};
  Bytes data;

  std::string text(std::size_t from) const {
    return {reinterpret_cast<const char*>(data.data()) + from, data.size() - from};
  }
};

ExportInfo disk() {
  return ExportInfo{.name = "disk0",
                    .description = "a disk",
                    .size_bytes = 1 * kMiB,
                    .minimum_block_bytes = 512,
                    .preferred_block_bytes = 4096,
                    .read_only = false,
                    .can_flush = true,
                    .can_fua = true,
                    .can_trim = true,
                    .can_write_zeroes = true,
                    .can_multi_conn = true};
}

// A negotiation past its greeting, with the client's flags sent.
class NegotiationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(negotiation_.output().size(), kGreetingBytes);
    negotiation_.sent(kGreetingBytes);
  }

  void greet(std::uint32_t flags = kFixedNewstyle | kNoZeroes) {
    Bytes bytes;
    append_be(bytes, flags);
    feed(bytes);
  }

  void feed(const Bytes& bytes) { EXPECT_EQ(negotiation_.feed(bytes), bytes.size()); }

  std::vector<Reply> replies() {
    std::vector<Reply> result;
    ByteView out = negotiation_.output();
    std::size_t at = 0;
    while (at < out.size()) {
      EXPECT_EQ(load_be<std::uint64_t>(out, at), kOptionReplyMagic);
      Reply reply{.option = load_be<std::uint32_t>(out, at + 8),
                  .type = OptionReply{load_be<std::uint32_t>(out, at + 12)},
                  .data = {}};
      const std::size_t length = load_be<std::uint32_t>(out, at + 16);
      const ByteView data = out.subspan(at + kOptionReplyHeaderBytes, length);
      reply.data.assign(data.begin(), data.end());
      result.push_back(std::move(reply));
      at += kOptionReplyHeaderBytes + length;
    }
    negotiation_.sent(out.size());
    return result;
  }

  Reply only_reply() {
    std::vector<Reply> all = replies();
    EXPECT_EQ(all.size(), 1u);
    return all.empty() ? Reply{} : all.front();
  }

  StaticDirectory directory_{
      {disk(), ExportInfo{.name = "disk0/p1", .description = {}, .size_bytes = 512}}};
  Negotiation negotiation_{directory_};
};

TEST(Negotiation, greets_with_fixed_newstyle) {
  StaticDirectory directory({});
  Negotiation negotiation(directory);
  const ByteView greeting = negotiation.output();
  ASSERT_EQ(greeting.size(), 18u);
  EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(greeting.data()), 16),
            "NBDMAGICIHAVEOPT");
  EXPECT_EQ(load_be<std::uint16_t>(greeting, 16), 3u);
}

TEST_F(NegotiationTest, lists_all_exports) {
  greet();
  feed(option(Option::list));
  const std::vector<Reply> all = replies();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].type, OptionReply::server);
  EXPECT_EQ(load_be<std::uint32_t>(all[0].data, 0), 5u);
  EXPECT_EQ(all[0].text(4), "disk0");
  EXPECT_EQ(all[1].text(4), "disk0/p1");
  EXPECT_EQ(all[2].type, OptionReply::ack);
  EXPECT_EQ(all[2].option, 3u);
}

TEST_F(NegotiationTest, go_tells_what_was_asked_for_and_enters_transmission) {
  greet();
  feed(option(Option::structured_reply));
  EXPECT_EQ(only_reply().type, OptionReply::ack);
  feed(option(Option::go, info_data("disk0", {1, 2, 3, 77})));
  const std::vector<Reply> all = replies();
  ASSERT_EQ(all.size(), 5u);
  EXPECT_EQ(load_be<std::uint16_t>(all[0].data, 0), 0u);
  EXPECT_EQ(load_be<std::uint64_t>(all[0].data, 2), 1 * kMiB);
  EXPECT_EQ(load_be<std::uint16_t>(all[0].data, 10), kHasFlags | kSendFlush | kSendFua | kSendTrim |
                                                         kSendWriteZeroes | kCanMultiConn |
                                                         kSendDontFragment);
  EXPECT_EQ(all[1].text(2), "disk0");
  EXPECT_EQ(all[2].text(2), "a disk");
  EXPECT_EQ(load_be<std::uint32_t>(all[3].data, 2), 512u);
  EXPECT_EQ(load_be<std::uint32_t>(all[3].data, 6), 4096u);
  EXPECT_EQ(load_be<std::uint32_t>(all[3].data, 10), 32 * kMiB);
  EXPECT_EQ(all[4].type, OptionReply::ack);
  ASSERT_EQ(negotiation_.state(), NegotiationState::transmission);
  EXPECT_TRUE(negotiation_.chosen().structured_replies);
  EXPECT_TRUE(negotiation_.chosen().block_size_requested);
  EXPECT_EQ(negotiation_.chosen().info.name, "disk0");
}

TEST_F(NegotiationTest, go_leaves_the_bytes_behind_it_alone) {
  greet();
  Bytes bytes = option(Option::go, info_data("", {}));
  const std::size_t option_bytes = bytes.size();
  append(bytes, "requests");
  EXPECT_EQ(negotiation_.feed(bytes), option_bytes);
  EXPECT_EQ(negotiation_.chosen().info.name, "disk0");
  EXPECT_FALSE(negotiation_.chosen().structured_replies);
}

TEST_F(NegotiationTest, info_does_not_enter_transmission) {
  greet();
  feed(option(Option::info, info_data("disk0/p1", {})));
  const std::vector<Reply> all = replies();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(load_be<std::uint16_t>(all[0].data, 10), kHasFlags | kReadOnly);
  EXPECT_EQ(negotiation_.state(), NegotiationState::haggling);
}

TEST_F(NegotiationTest, unknown_export_is_an_error_and_haggling_goes_on) {
  greet();
  feed(option(Option::go, info_data("nothing", {})));
  EXPECT_EQ(only_reply().type, OptionReply::error_unknown);
  feed(option(Option::go, info_data("disk0", {})));
  EXPECT_EQ(negotiation_.state(), NegotiationState::transmission);
}

// A device that somebody else uses.
class BusyDirectory final : public ExportDirectory {
 public:
  std::vector<std::string> names() const override { return {"disk0"}; }
  std::optional<ExportInfo> find(std::string_view) const override { return disk(); }
  Result<ExportInfo> choose(std::string_view) override {
    return make_error(Errc::busy, "disk0 is open for writing by somebody else");
  }
};

TEST(Negotiation, a_refused_choice_is_an_error_with_a_sentence) {
  BusyDirectory directory;
  Negotiation negotiation(directory);
  negotiation.sent(kGreetingBytes);
  Bytes bytes;
  append_be(bytes, std::uint32_t{3});
  negotiation.feed(bytes);
  negotiation.feed(option(Option::go, info_data("disk0", {})));
  EXPECT_EQ(load_be<std::uint32_t>(negotiation.output(), 12), 0x80000002u);
  EXPECT_GT(load_be<std::uint32_t>(negotiation.output(), 16), 20u);
  EXPECT_EQ(negotiation.state(), NegotiationState::haggling);
}

TEST_F(NegotiationTest, export_name_is_answered_with_or_without_zeroes) {
  for (const bool zeroes : {false, true}) {
    Negotiation negotiation(directory_);
    negotiation.sent(kGreetingBytes);
    Bytes bytes;
    append_be(bytes, static_cast<std::uint32_t>(zeroes ? 1 : 3));
    append(bytes, "");
    const Bytes choice = option(Option::export_name, text_bytes("disk0"));
    bytes.insert(bytes.end(), choice.begin(), choice.end());
    EXPECT_EQ(negotiation.feed(bytes), bytes.size());
    ASSERT_EQ(negotiation.state(), NegotiationState::transmission);
    EXPECT_EQ(negotiation.output().size(), zeroes ? 134u : 10u);
    EXPECT_EQ(load_be<std::uint64_t>(negotiation.output(), 0), 1 * kMiB);
  }
}

TEST_F(NegotiationTest, export_name_that_does_not_exist_closes_without_reply) {
  greet();
  feed(option(Option::export_name, text_bytes("nothing")));
  EXPECT_EQ(negotiation_.state(), NegotiationState::closed);
  EXPECT_TRUE(negotiation_.output().empty());
  EXPECT_FALSE(negotiation_.reason().empty());
}

TEST_F(NegotiationTest, abort_is_acknowledged) {
  greet();
  feed(option(Option::abort, text_bytes("ignored")));
  EXPECT_EQ(only_reply().type, OptionReply::ack);
  EXPECT_EQ(negotiation_.state(), NegotiationState::closed);
}

TEST_F(NegotiationTest, other_options_are_unsupported) {
  greet();
  for (const std::uint32_t number : {0u, 4u, 5u, 9u, 10u, 0xffffffffu}) {
    feed(option(number, text_bytes("data")));
    const Reply reply = only_reply();
    EXPECT_EQ(reply.type, OptionReply::error_unsupported);
    EXPECT_EQ(reply.option, number);
  }
  EXPECT_EQ(negotiation_.state(), NegotiationState::haggling);
}

TEST_F(NegotiationTest, malformed_data_is_invalid) {
  greet();
  std::vector<Bytes> bad = {option(Option::list, text_bytes("x")),
                            option(Option::structured_reply, text_bytes("x")), option(Option::go),
                            option(Option::go, text_bytes("12345")),
                            option(Option::info, text_bytes("\x7f\xff\xff\xff????"))};
  Bytes lying_count = info_data("disk0", {1, 2});
  lying_count.pop_back();
  bad.push_back(option(Option::go, lying_count));
  bad.push_back(option(Option::go, info_data(std::string(kMaxStringBytes + 1, 'a'), {})));
  bad.push_back(option(Option::go, info_data(std::string_view("disk0\0", 6), {})));
  for (const Bytes& bytes : bad) {
    feed(bytes);
    EXPECT_EQ(only_reply().type, OptionReply::error_invalid);
  }
  EXPECT_EQ(negotiation_.state(), NegotiationState::haggling);
}

TEST_F(NegotiationTest, too_large_an_option_is_skipped_and_refused) {
  greet();
  feed(option(Option::go, Bytes(kMaxOptionBytes + 1)));
  EXPECT_EQ(only_reply().type, OptionReply::error_too_big);
  feed(option(Option::list));
  EXPECT_EQ(replies().size(), 3u);
}

TEST_F(NegotiationTest, absurd_length_and_garbage_close) {
  greet();
  Bytes absurd = option(Option::go);
  store_be(ByteSpan(absurd), 12, std::uint32_t{0xffffffff});
  feed(absurd);
  EXPECT_EQ(negotiation_.state(), NegotiationState::closed);

  Negotiation other(directory_);
  Bytes garbage;
  append_be(garbage, std::uint32_t{3});
  append(garbage, "GET / HTTP/1.1\r\n");
  other.feed(garbage);
  EXPECT_EQ(other.state(), NegotiationState::closed);
}

TEST_F(NegotiationTest, unknown_client_flags_close) {
  greet(4);
  EXPECT_EQ(negotiation_.state(), NegotiationState::closed);
}

TEST_F(NegotiationTest, endless_haggling_is_ended) {
  greet();
  const Bytes list = option(Option::structured_reply);
  for (std::uint32_t i = 0; i < kMaxOptions; ++i) {
    feed(list);
    replies();
  }
  EXPECT_EQ(negotiation_.state(), NegotiationState::haggling);
  negotiation_.feed(list);
  EXPECT_EQ(negotiation_.state(), NegotiationState::closed);
}

TEST_F(NegotiationTest, a_client_that_does_not_read_is_not_fed) {
  greet();
  Bytes many;
  for (int i = 0; i < 4000; ++i) {
    const Bytes one = option(Option::list);
    many.insert(many.end(), one.begin(), one.end());
  }
  const std::size_t used = negotiation_.feed(many);
  EXPECT_LT(used, many.size());
  EXPECT_LT(negotiation_.output().size(), kOutputHighWaterBytes + 200);
  negotiation_.sent(negotiation_.output().size());
  EXPECT_GT(negotiation_.feed(ByteView(many).subspan(used)), 0u);
}

TEST_F(NegotiationTest, bytes_may_arrive_one_by_one) {
  Bytes whole;
  append_be(whole, std::uint32_t{3});
  for (const Bytes& part :
       {option(Option::list), option(Option::go, Bytes(kMaxOptionBytes + 9)),
        option(Option::structured_reply), option(Option::go, info_data("disk0", {3}))}) {
    whole.insert(whole.end(), part.begin(), part.end());
  }
  for (const std::byte& one : whole) EXPECT_EQ(negotiation_.feed(ByteView(&one, 1)), 1u);
  EXPECT_EQ(replies().size(), 3u + 1u + 1u + 3u);
  EXPECT_EQ(negotiation_.state(), NegotiationState::transmission);
}

}  // namespace
}  // namespace ashlar::nbd
