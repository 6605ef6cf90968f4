// The transmission phase of one connection: requests become bios, ended bios become replies.
//
//   receive(fd) -> decoder -> bio -> channel ... end_io -> reply queue -> send(fd)
//
// Requests run concurrently and are answered in the order in which they end. The payload of a write
// goes from the receive block to the device and that of a read from its buffer to the socket,
// without a copy in between; a long read of a plain file that is in the page cache goes to the
// socket by itself (file_reply.h), and its reply is ready at once. What is under way for one client
// is bounded: beyond kMaxRequests or kMaxBytes nothing more is taken from its socket, so a client
// that reads its replies slowly waits for itself and holds up nobody else.
//
// THREAD: one lane's.
#pragma once

#include <cstdint>
#include <memory>

#include "export/nbd/exchange.h"
#include "export/nbd/negotiation.h"
#include "export/nbd/reply_queue.h"
#include "node/device.h"

namespace ashlar::nbd {

// What a session wants of its owner.
class SessionOwner {
 public:
  virtual ~SessionOwner() = default;
  // Call send() soon: a reply is ready, or the last request has ended.
  virtual void on_session_ready() noexcept = 0;
};

// Memory that the sessions of a lane share. It outlives them.
struct SessionMemory {
  BufferPool buffers;
  ExchangePool exchanges;
};

enum class SessionState : std::uint8_t {
  open,
  draining,  // No more requests are taken; those under way are answered.
  broken,    // The connection is of no use any more; requests under way are cancelled.
};

class Session final : private DeviceWatcher {
 public:
  // Deep enough for any client's queue; also bounds the receive blocks that requests pin.
  static constexpr std::uint32_t kMaxRequests = 256;
  // Payload of requests that were not answered yet: two of the longest.
  static constexpr std::uint64_t kMaxBytes = 2 * std::uint64_t{kMaxPayloadBytes};

  // Opens a channel of `device` on `lane`. Reads of `least_file_reply` bytes and more are answered
  // from files where they can be. Errors: no_memory.
  static Result<std::unique_ptr<Session>> open(SessionOwner& owner, SessionMemory& memory,
                                               Lane& lane, std::unique_ptr<Device> device,
                                               const ChosenExport& chosen,
                                               std::uint32_t least_file_reply);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  // REQUIRES: idle().
  ~Session() override;

  // Takes requests that came behind the negotiation. False where there is no memory.
  bool preload(ByteView bytes) noexcept;

  // Takes what the socket has, once, and starts the requests in it.
  void receive(int fd) noexcept;

  // Sends replies that are ready, in as few calls as the socket allows, and takes up requests that
  // had to wait for that.
  void send(int fd) noexcept;

  // Takes no further request.
  void drain() noexcept;

  // The connection is lost, for `reason` (static storage): cancels what is under way, drops what
  // is ready.
  void abandon(const char* reason) noexcept;

  // Requests taken from the socket so far.
  std::uint64_t requests() const noexcept { return requests_; }
  // Every request that was taken has ended, so that the socket is all there is to wait for.
  bool caught_up() const noexcept {
    return state_ == SessionState::open && in_flight_.empty() && !backlog_;
  }
  SessionState state() const noexcept { return state_; }
  const char* reason() const noexcept { return reason_; }
  // No request is under way and no reply waits to be sent.
  bool idle() const noexcept { return in_flight_.empty() && replies_.empty(); }
  // True where receive() shall be called when the socket has bytes.
  bool wants_input() const noexcept { return state_ == SessionState::open && !full(); }
  // True where the socket took less than it was given: send() shall be called when it has room.
  bool wants_output() const noexcept { return output_blocked_; }

 private:
  Session(SessionOwner& owner, SessionMemory& memory, std::unique_ptr<Device> device,
          const RequestRules& rules, std::uint32_t least_file_reply) noexcept;

  // The protocol has no word for a new size: a client that learns of it otherwise may use it.
  void on_program(const Program& program) noexcept override;

  bool full() const noexcept {
    return in_flight_count_ + replies_.count() >= kMaxRequests ||
           in_flight_bytes_ + replies_.data_bytes() >= kMaxBytes;
  }
  void decode() noexcept;
  bool decode_one() noexcept;
  void start(Exchange& exchange) noexcept;
  bool reply_from_file(Exchange& exchange) noexcept;
  bool prepare_bio(Exchange& exchange) noexcept;
  void submit(Exchange& exchange) noexcept;
  void cancel_all() noexcept;
  static void end_io(Bio& bio) noexcept;
  void finish(Exchange& exchange) noexcept;
  void fetched(Exchange& exchange, bool ok) noexcept;
  void fail(Exchange& exchange, Bio& bio) noexcept;
  void reply_success(Exchange& exchange) noexcept;
  void reply_error(Exchange& exchange, const Refusal& refusal) noexcept;
  void send_memory(int fd) noexcept;
  void send_from_file(int fd, const FileRange& range) noexcept;
  void fetch_first() noexcept;
  void let_go_of_file(Exchange& exchange) noexcept;
  void put_all(ExchangeList& done) noexcept;

  SessionOwner& owner_;
  SessionMemory& memory_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Channel> channel_;
  RequestDecoder decoder_;
  SessionState state_ = SessionState::open;
  bool output_blocked_ = false;
  bool stale_ = false;  // replies wait since before: pages of their files may have left the cache
  const char* reason_ = "";
  bool backlog_ = false;  // decoding stopped because the session was full
  std::uint32_t in_flight_count_ = 0;
  std::uint64_t in_flight_bytes_ = 0;  // payload of these
  std::uint64_t requests_ = 0;
  std::uint32_t least_file_reply_;
  ExchangeList in_flight_;
  ReplyQueue replies_;
};

}  // namespace ashlar::nbd
