// Checks of transmission requests; see request_rules.h.
#include "export/nbd/request_rules.h"

namespace ashlar::nbd {
namespace {

constexpr Refusal kFine{};

bool is_known(std::uint16_t command) {
  switch (static_cast<Command>(command)) {
    case Command::read:
    case Command::write:
    case Command::disconnect:
    case Command::flush:
    case Command::trim:
    case Command::write_zeroes:
      return true;
    case Command::cache:
    case Command::block_status:
      return false;
  }
  return false;
}

bool changes_data(Command command) {
  return command == Command::write || command == Command::trim || command == Command::write_zeroes;
}

// The flags that a command may carry; FUA is allowed everywhere once it was offered.
unsigned allowed_flags(Command command, const RequestRules& rules) {
  unsigned flags = 0;
  if ((rules.transmission_flags & kSendFua) != 0) flags |= kCommandFua;
  if (command == Command::write_zeroes) flags |= kCommandNoHole;
  if (command == Command::read && rules.structured_replies) flags |= kCommandDontFragment;
  return flags;
}

// The transmission flag without which a client must not send the command.
unsigned required_offer(Command command) {
  switch (command) {
    case Command::flush:
      return kSendFlush;
    case Command::trim:
      return kSendTrim;
    case Command::write_zeroes:
      return kSendWriteZeroes;
    default:
      return kHasFlags;
  }
}

Refusal check_command(const RequestHeader& header, const RequestRules& rules) {
  if (!is_known(header.command)) return {ReplyError::invalid, "unknown command"};
  const auto command = static_cast<Command>(header.command);
  if (changes_data(command) && (rules.transmission_flags & kReadOnly) != 0) {
    return {ReplyError::permission, "the export is read-only"};
  }
  if ((rules.transmission_flags & required_offer(command)) == 0) {
    return {ReplyError::invalid, "the export does not offer this command"};
  }
  if ((header.flags & ~allowed_flags(command, rules)) != 0) {
    return {ReplyError::invalid, "a flag does not fit the command"};
  }
  return kFine;
}

Refusal check_payload(const RequestHeader& header, const RequestRules& rules) {
  const bool carries = header.command <= static_cast<std::uint16_t>(Command::write);
  if (!carries || header.length <= kMaxPayloadBytes) return kFine;
  const bool may_overflow =
      rules.structured_replies && header.command == static_cast<std::uint16_t>(Command::read);
  return {may_overflow ? ReplyError::overflow : ReplyError::invalid,
          "the request is longer than 32 MiB"};
}

Refusal check_range(const RequestHeader& header, const RequestRules& rules) {
  const auto command = static_cast<Command>(header.command);
  if (command == Command::flush) {
    if (header.offset == 0 && header.length == 0) return kFine;
    return {ReplyError::invalid, "a flush has neither offset nor length"};
  }
  if (!within(header.offset, header.length, rules.size_bytes)) {
    const bool fills = command == Command::write || command == Command::write_zeroes;
    return {fills ? ReplyError::no_space : ReplyError::invalid, "past the end of the export"};
  }
  if (((header.offset | header.length) & (rules.minimum_block_bytes - 1)) != 0) {
    return {ReplyError::invalid, "not aligned to the minimum block size"};
  }
  return kFine;
}

}  // namespace

RequestRules rules_for(const ExportInfo& info, bool structured_replies) noexcept {
  ASHLAR_ASSERT(is_power_of_two(info.minimum_block_bytes));
  return RequestRules{.size_bytes = info.size_bytes,
                      .minimum_block_bytes = info.minimum_block_bytes,
                      .transmission_flags = transmission_flags(info, structured_replies),
                      .structured_replies = structured_replies};
}

Refusal check_request(const RequestHeader& header, const RequestRules& rules) noexcept {
  if (Refusal refusal = check_command(header, rules)) return refusal;
  if (Refusal refusal = check_payload(header, rules)) return refusal;
  return check_range(header, rules);
}

}  // namespace ashlar::nbd
