// The negotiation of one NBD connection, from the greeting to the chosen export: bytes in, bytes
// out, no sockets.
//
//   Negotiation negotiation(directory);
//   send(negotiation.output());  negotiation.sent(n);            // the greeting
//   used = negotiation.feed(received);                           // as often as bytes arrive
//   if (negotiation.state() == NegotiationState::transmission)   // received[used...] are requests
//     serve(negotiation.chosen());
//
// Fixed newstyle with the options EXPORT_NAME, ABORT, LIST, INFO, GO and STRUCTURED_REPLY. Any
// other option (TLS and metadata contexts among them) is answered with "unsupported", and the
// haggling goes on.
//
// SOURCE: NetworkBlockDevice/nbd, doc/proto.md, "Fixed newstyle negotiation" and "Option types".
// THREAD: one connection's, so one lane's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "export/nbd/export_directory.h"
#include "export/nbd/protocol.h"

namespace ashlar::nbd {

// The largest option that is looked at: a name of kMaxStringBytes and some hundred information
// requests. The data of a larger one is skipped without being kept, and refused as too big.
inline constexpr std::size_t kMaxOptionBytes = 8 * kKiB;
// An option that announces more than this is an attack, and the connection is closed.
inline constexpr std::uint32_t kMaxSkippedBytes = 1 * kMiB;
// Options on one connection: a client that asks about each of some thousand exports is fine, one
// that never comes to an end is not.
inline constexpr std::uint32_t kMaxOptions = 16384;
// feed() takes no further option while this much output waits to be sent.
inline constexpr std::size_t kOutputHighWaterBytes = 64 * kKiB;

enum class NegotiationState : std::uint8_t {
  haggling,      // Options are expected.
  transmission,  // An export was chosen: once the output is sent, requests follow.
  closed,        // Send what is left of the output and close; `reason` says why.
};

struct ChosenExport {
  ExportInfo info;
  bool structured_replies = false;
  bool block_size_requested = false;  // the client promised to keep to the block sizes
};

class Negotiation {
 public:
  // Puts the greeting into the output. `directory` must outlive the negotiation.
  explicit Negotiation(ExportDirectory& directory);

  // Takes bytes from the client and returns how many were used: fewer than given when the state
  // left `haggling`, or when the output must be sent first (then feed the rest again).
  std::size_t feed(ByteView bytes);

  // What is to be sent, valid until the next call; `sent` removes bytes from its front.
  ByteView output() const noexcept;
  // REQUIRES: count <= output().size().
  void sent(std::size_t count);

  NegotiationState state() const noexcept { return state_; }
  // Why it is closed, for the log.
  const std::string& reason() const noexcept { return reason_; }
  // REQUIRES: state() == transmission.
  const ChosenExport& chosen() const;

 private:
  struct InfoRequest;

  std::size_t wanted_bytes() const noexcept;
  std::size_t skip(std::size_t available);
  void take_message();
  void take_client_flags();
  void take_option_header();
  void take_option();
  void answer_export_name();
  void answer_list();
  void answer_info();
  void answer_go();
  void describe(const InfoRequest& request, const ExportInfo& info);
  void answer_structured_reply();
  static std::optional<InfoRequest> parse_info(ByteView data);

  void enter_transmission(ExportInfo info, bool block_size_requested);
  void close(std::string reason) noexcept;

  std::byte* grow_output(std::size_t count);
  void reply_header(OptionReply type, std::size_t data_bytes);
  void reply(OptionReply type, std::string_view text = {});
  void reply_info_export(const ExportInfo& info);
  void reply_info_text(Info type, std::string_view text);
  void reply_info_block_size(const ExportInfo& info);

  enum class Stage : std::uint8_t { client_flags, option_header, option_data };

  ExportDirectory& directory_;
  NegotiationState state_ = NegotiationState::haggling;
  Stage stage_ = Stage::client_flags;
  bool no_zeroes_ = false;
  bool structured_replies_ = false;
  std::uint32_t options_seen_ = 0;
  OptionHeader option_;
  std::uint32_t skip_bytes_ = 0;  // data of a refused option that is still to come
  std::vector<std::byte> input_;  // the message that is being received
  std::vector<std::byte> output_;
  std::size_t output_sent_ = 0;
  std::string reason_;
  std::optional<ChosenExport> chosen_;
};

}  // namespace ashlar::nbd
