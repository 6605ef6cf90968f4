// The negotiation's state machine; see negotiation.h.
//
// Invariants: (1) input_ holds at most kMaxOptionBytes; (2) skip_bytes_ is not zero only while
// stage_ is option_data, and the reply to the option is written when the last byte was skipped;
// (3) chosen_ is set exactly when state_ is transmission.
#include "export/nbd/negotiation.h"

#include <algorithm>
#include <utility>

namespace ashlar::nbd {
namespace {

std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A name the protocol allows. Whether it is UTF-8 does not matter: it is only compared.
bool is_valid_name(std::string_view name) {
  return name.size() <= kMaxStringBytes && name.find('\0') == std::string_view::npos;
}

}  // namespace

// The data of INFO and GO.
struct Negotiation::InfoRequest {
  std::string_view name;
  bool wants_name = false;
  bool wants_description = false;
  bool wants_block_size = false;
};

Negotiation::Negotiation(ExportDirectory& directory) : directory_(directory) {
  const ByteSpan greeting(grow_output(kGreetingBytes), kGreetingBytes);
  store_be(greeting, 0, kServerMagic);
  store_be(greeting, 8, kOptionMagic);
  store_be(greeting, 16, static_cast<std::uint16_t>(kFixedNewstyle | kNoZeroes));
}

ByteView Negotiation::output() const noexcept { return ByteView(output_).subspan(output_sent_); }

void Negotiation::sent(std::size_t count) {
  ASHLAR_ASSERT(count <= output_.size() - output_sent_);
  output_sent_ += count;
  if (output_sent_ < output_.size()) return;
  output_.clear();
  output_sent_ = 0;
}

const ChosenExport& Negotiation::chosen() const {
  ASHLAR_ASSERT(state_ == NegotiationState::transmission);
  return *chosen_;
}

std::size_t Negotiation::feed(ByteView bytes) {
  std::size_t used = 0;
  while (state_ == NegotiationState::haggling && output().size() < kOutputHighWaterBytes) {
    if (skip_bytes_ > 0) used += skip(bytes.size() - used);
    if (skip_bytes_ > 0) break;
    const std::size_t missing = wanted_bytes() - input_.size();
    const std::size_t piece = std::min(missing, bytes.size() - used);
    input_.insert(input_.end(), bytes.begin() + static_cast<std::ptrdiff_t>(used),
                  bytes.begin() + static_cast<std::ptrdiff_t>(used + piece));
    used += piece;
    if (piece < missing) break;
    take_message();
  }
  return used;
}

std::size_t Negotiation::wanted_bytes() const noexcept {
  switch (stage_) {
    case Stage::client_flags:
      return kClientFlagsBytes;
    case Stage::option_header:
      return kOptionHeaderBytes;
    case Stage::option_data:
      return option_.length;
  }
  return 0;
}

// Drops bytes of a refused option, and answers it after the last one.
std::size_t Negotiation::skip(std::size_t available) {
  const std::size_t piece = std::min<std::size_t>(skip_bytes_, available);
  skip_bytes_ -= static_cast<std::uint32_t>(piece);
  if (skip_bytes_ == 0) {
    reply(OptionReply::error_too_big, "the option is too large");
    stage_ = Stage::option_header;
  }
  return piece;
}

void Negotiation::take_message() {
  switch (stage_) {
    case Stage::client_flags:
      take_client_flags();
      break;
    case Stage::option_header:
      take_option_header();
      break;
    case Stage::option_data:
      stage_ = Stage::option_header;
      take_option();
      break;
  }
  input_.clear();
}

void Negotiation::take_client_flags() {
  const auto flags = load_be<std::uint32_t>(input_, 0);
  if ((flags & ~std::uint32_t{kFixedNewstyle | kNoZeroes}) != 0) {
    close("the client set handshake flags that nobody offered");
    return;
  }
  no_zeroes_ = (flags & kNoZeroes) != 0;
  stage_ = Stage::option_header;
}

void Negotiation::take_option_header() {
  option_ = decode_option_header(input_);
  if (option_.magic != kOptionMagic) return close("an option does not begin with its magic number");
  if (++options_seen_ > kMaxOptions) return close("the client sends options without end");
  if (option_.length > kMaxSkippedBytes) return close("an option announces an absurd length");
  stage_ = Stage::option_data;
  if (option_.length <= kMaxOptionBytes) return;
  if (option_.option == static_cast<std::uint32_t>(Option::export_name)) {
    return close("the export name is too long");  // This option has no way to say so.
  }
  skip_bytes_ = option_.length;
}

void Negotiation::take_option() {
  switch (static_cast<Option>(option_.option)) {
    case Option::export_name:
      return answer_export_name();
    case Option::abort:
      reply(OptionReply::ack);
      return close("");
    case Option::list:
      return answer_list();
    case Option::info:
      return answer_info();
    case Option::go:
      return answer_go();
    case Option::structured_reply:
      return answer_structured_reply();
  }
  reply(OptionReply::error_unsupported, "this server does not know the option");
}

void Negotiation::answer_export_name() {
  const std::string_view name = as_text(input_);
  if (!is_valid_name(name)) return close("the export name is malformed");
  Result<ExportInfo> info = directory_.choose(name);
  if (!info) return close(info.error().message);
  const std::size_t count = 10 + (no_zeroes_ ? 0 : kExportNameZeroes);
  const ByteSpan into(grow_output(count), count);
  store_be(into, 0, info->size_bytes);
  store_be(into, 8, transmission_flags(*info, structured_replies_));
  enter_transmission(*std::move(info), false);
}

void Negotiation::answer_list() {
  if (!input_.empty()) return reply(OptionReply::error_invalid, "LIST takes no data");
  for (const std::string& name : directory_.names()) {
    reply_header(OptionReply::server, 4 + name.size());
    const ByteSpan into(grow_output(4 + name.size()), 4 + name.size());
    store_be(into, 0, static_cast<std::uint32_t>(name.size()));
    std::ranges::copy(as_bytes(name), into.begin() + 4);
  }
  reply(OptionReply::ack);
}

// Data: 32 bits length of the name, the name, 16 bits count, count times 16 bits.
std::optional<Negotiation::InfoRequest> Negotiation::parse_info(ByteView data) {
  if (data.size() < 6) return std::nullopt;
  const std::uint64_t name_bytes = load_be<std::uint32_t>(data, 0);
  if (name_bytes > data.size() - 6) return std::nullopt;
  InfoRequest request;
  request.name = as_text(data.subspan(4, name_bytes));
  const std::size_t count = load_be<std::uint16_t>(data, 4 + name_bytes);
  const ByteView items = data.subspan(6 + name_bytes);
  if (items.size() != 2 * count || !is_valid_name(request.name)) return std::nullopt;
  for (std::size_t i = 0; i < count; ++i) {
    const auto item = static_cast<Info>(load_be<std::uint16_t>(items, 2 * i));
    request.wants_name |= item == Info::name;
    request.wants_description |= item == Info::description;
    request.wants_block_size |= item == Info::block_size;
  }
  return request;
}

void Negotiation::answer_info() {
  const std::optional<InfoRequest> request = parse_info(input_);
  if (!request) return reply(OptionReply::error_invalid, "the option's data is malformed");
  const std::optional<ExportInfo> info = directory_.find(request->name);
  if (!info) return reply(OptionReply::error_unknown, "there is no export of this name");
  describe(*request, *info);
}

void Negotiation::answer_go() {
  const std::optional<InfoRequest> request = parse_info(input_);
  if (!request) return reply(OptionReply::error_invalid, "the option's data is malformed");
  Result<ExportInfo> info = directory_.choose(request->name);
  if (!info) {
    const bool unknown = info.error().code == Errc::not_found;
    return reply(unknown ? OptionReply::error_unknown : OptionReply::error_policy,
                 std::string_view(info.error().message).substr(0, kMaxStringBytes));
  }
  describe(*request, *info);
  enter_transmission(*std::move(info), request->wants_block_size);
}

void Negotiation::describe(const InfoRequest& request, const ExportInfo& info) {
  reply_info_export(info);
  if (request.wants_name) reply_info_text(Info::name, info.name);
  if (request.wants_description && !info.description.empty()) {
    reply_info_text(Info::description, info.description);
  }
  if (request.wants_block_size) reply_info_block_size(info);
  reply(OptionReply::ack);
}

void Negotiation::answer_structured_reply() {
  if (!input_.empty()) return reply(OptionReply::error_invalid, "STRUCTURED_REPLY takes no data");
  structured_replies_ = true;
  reply(OptionReply::ack);
}

void Negotiation::enter_transmission(ExportInfo info, bool block_size_requested) {
  chosen_ = ChosenExport{.info = std::move(info),
                         .structured_replies = structured_replies_,
                         .block_size_requested = block_size_requested};
  state_ = NegotiationState::transmission;
}

void Negotiation::close(std::string reason) noexcept {
  state_ = NegotiationState::closed;
  reason_ = std::move(reason);
}

// Appends `count` zero bytes to the output and returns where they begin.
std::byte* Negotiation::grow_output(std::size_t count) {
  output_.resize(output_.size() + count);
  return output_.data() + output_.size() - count;
}

void Negotiation::reply_header(OptionReply type, std::size_t data_bytes) {
  const ByteSpan into(grow_output(kOptionReplyHeaderBytes), kOptionReplyHeaderBytes);
  store_be(into, 0, kOptionReplyMagic);
  store_be(into, 8, option_.option);
  store_be(into, 12, static_cast<std::uint32_t>(type));
  store_be(into, 16, static_cast<std::uint32_t>(data_bytes));
}

void Negotiation::reply(OptionReply type, std::string_view text) {
  reply_header(type, text.size());
  std::ranges::copy(as_bytes(text), grow_output(text.size()));
}

void Negotiation::reply_info_export(const ExportInfo& info) {
  reply_header(OptionReply::info, 12);
  const ByteSpan into(grow_output(12), 12);
  store_be(into, 0, static_cast<std::uint16_t>(Info::export_size));
  store_be(into, 2, info.size_bytes);
  store_be(into, 10, transmission_flags(info, structured_replies_));
}

void Negotiation::reply_info_text(Info type, std::string_view text) {
  text = text.substr(0, kMaxStringBytes);
  reply_header(OptionReply::info, 2 + text.size());
  const ByteSpan into(grow_output(2 + text.size()), 2 + text.size());
  store_be(into, 0, static_cast<std::uint16_t>(type));
  std::ranges::copy(as_bytes(text), into.begin() + 2);
}

void Negotiation::reply_info_block_size(const ExportInfo& info) {
  reply_header(OptionReply::info, 14);
  const ByteSpan into(grow_output(14), 14);
  store_be(into, 0, static_cast<std::uint16_t>(Info::block_size));
  store_be(into, 2, info.minimum_block_bytes);
  store_be(into, 6, info.preferred_block_bytes);
  store_be(into, 10, info.maximum_payload_bytes);
}

}  // namespace ashlar::nbd
