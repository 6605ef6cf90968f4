// Fuzzes what an NBD client can send: the negotiation, then the requests.
//
// The input is one connection: its first byte says into which pieces the rest is cut as it arrives,
// the rest is what the client sends. Behind the protocol stands a disk in memory, so that payloads
// are really written and read; every reply is encoded. Checked: bounds on what is kept, that
// accepted requests lie within the disk, that a payload has the length of its request, and (by the
// sanitizers) every access.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "export/nbd/negotiation.h"
#include "export/nbd/reply.h"
#include "export/nbd/request_decoder.h"
#include "export/nbd/static_directory.h"

namespace {

using namespace ashlar;
using namespace ashlar::nbd;

constexpr std::size_t kDiskBytes = 64 * kKiB;

std::vector<ExportInfo> exports() {
  ExportInfo disk{.name = "disk0",
                  .description = "a disk of 64 KiB",
                  .size_bytes = kDiskBytes,
                  .minimum_block_bytes = 1,
                  .read_only = false,
                  .can_flush = true,
                  .can_fua = true,
                  .can_trim = true,
                  .can_write_zeroes = true,
                  .can_multi_conn = true};
  ExportInfo part{.name = "disk0/p1",
                  .description = {},
                  .size_bytes = kDiskBytes / 2,
                  .minimum_block_bytes = 512,
                  .can_flush = true};
  return {disk, part};
}

// The client's bytes, in pieces of a size that changes from one to the next.
class Wire {
 public:
  Wire(ByteView bytes, std::uint8_t seed) : bytes_(bytes), seed_(seed) {}

  bool at_end() const { return bytes_.empty(); }

  ByteView next_piece(std::size_t at_most) {
    seed_ = static_cast<std::uint8_t>(seed_ * 5 + 1);
    const std::size_t wish = (seed_ & 1) != 0 ? std::size_t{seed_} * 64 + 1 : seed_ % 40u + 1;
    const std::size_t count = std::min({wish, at_most, bytes_.size()});
    const ByteView piece = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return piece;
  }

 private:
  ByteView bytes_;
  std::uint8_t seed_;
};

class Disk {
 public:
  explicit Disk(bool structured) : structured_(structured) {}

  void answer(const Request& request) {
    if (request.refusal) {
      const std::size_t count = encode_error(request.header, structured_, request.refusal, reply_);
      ASHLAR_ASSERT(count <= kMaxErrorBytes);
      return;
    }
    carry_out(request);
    ASHLAR_ASSERT(encode_success(request.header, structured_, reply_) <= kMaxSuccessBytes);
  }

 private:
  void carry_out(const Request& request) {
    const RequestHeader& header = request.header;
    ASHLAR_ASSERT(within(header.offset, header.length, kDiskBytes));
    switch (request.command()) {
      case Command::write:
        return write(header, request.payload);
      case Command::trim:
      case Command::write_zeroes:
        std::memset(bytes_.data() + header.offset, 0, header.length);
        return;
      default:
        return;
    }
  }

  void write(const RequestHeader& header, const WritePayload& payload) {
    std::size_t at = header.offset;
    for (std::uint32_t i = 0; i < payload.count; ++i) {
      std::ranges::copy(payload.parts[i], bytes_.begin() + static_cast<std::ptrdiff_t>(at));
      at += payload.parts[i].size();
    }
    ASHLAR_ASSERT(at == header.offset + header.length);
  }

  bool structured_;
  std::array<std::byte, kMaxErrorBytes> reply_{};
  std::vector<std::byte> bytes_ = std::vector<std::byte>(kDiskBytes);
};

// Returns what is left of the last piece: it belongs to the transmission.
ByteView negotiate(Negotiation& negotiation, Wire& wire) {
  ByteView piece;
  while (negotiation.state() == NegotiationState::haggling) {
    negotiation.sent(negotiation.output().size());
    if (piece.empty()) {
      if (wire.at_end()) return {};
      piece = wire.next_piece(SIZE_MAX);
    }
    piece = piece.subspan(negotiation.feed(piece));
  }
  return piece;
}

void receive(RequestDecoder& decoder, Wire& wire) {
  std::array<iovec, 2> vector;
  const unsigned count = decoder.receive_vector(vector);
  ASHLAR_ASSERT(count > 0);
  std::size_t total = 0;
  for (unsigned i = 0; i < count; ++i) {
    const ByteView piece = wire.next_piece(vector[i].iov_len);
    if (!piece.empty()) std::memcpy(vector[i].iov_base, piece.data(), piece.size());
    total += piece.size();
    if (piece.size() < vector[i].iov_len) break;
  }
  decoder.received(total);
}

void transmit(const ChosenExport& chosen, ByteView early, Wire& wire) {
  BufferPool pool;
  RequestDecoder decoder(pool, rules_for(chosen.info, chosen.structured_replies));
  ASHLAR_ASSERT(decoder.preload(early));
  Disk disk(chosen.structured_replies);
  // The payload that was handed out last stays pinned while the next bytes arrive.
  Request request;
  DecodeResult result;
  do {
    while ((result = decoder.next(request)) == DecodeResult::request) disk.answer(request);
    if (result != DecodeResult::need_more || wire.at_end()) return;
    receive(decoder, wire);
  } while (true);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  Wire wire(std::as_bytes(std::span(data + 1, size - 1)), data[0]);
  StaticDirectory directory(exports());
  Negotiation negotiation(directory);
  const ByteView early = negotiate(negotiation, wire);
  if (negotiation.state() != NegotiationState::transmission) return 0;
  transmit(negotiation.chosen(), early, wire);
  return 0;
}
