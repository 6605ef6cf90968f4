// The transmission phase of one connection; see session.h.
//
// Invariants: (1) an exchange is in in_flight_ exactly while its bio is submitted; (2) the socket
// is read only when the decoder has handed out everything (backlog_ is false); (3) in `broken` no
// reply is queued and every bio that ends is dropped; (4) a queued reply has a bio exactly while
// its data lies in a file.
#include "export/nbd/session.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "export/nbd/file_reply.h"

namespace ashlar::nbd {
namespace {

constexpr std::size_t kVectorEntries = 2 * Session::kMaxRequests;
// Of a reply that waited: as much as a socket takes at once, so that no page is asked after twice.
constexpr std::uint64_t kCheckedAtOnce = 512 * kKiB;

Op op_of(Command command) {
  switch (command) {
    case Command::read:
      return Op::read;
    case Command::write:
      return Op::write;
    case Command::trim:
      return Op::discard;
    case Command::write_zeroes:
      return Op::write_zeroes;
    default:
      return Op::flush;
  }
}

// FUA counts where data is written; a client may set it on any command.
std::uint8_t flags_of(const RequestHeader& header) {
  const auto command = static_cast<Command>(header.command);
  unsigned flags = 0;
  const bool writes = command == Command::write || command == Command::write_zeroes;
  if (writes && (header.flags & kCommandFua) != 0) flags |= kFua;
  if (command == Command::write_zeroes && (header.flags & kCommandNoHole) != 0) flags |= kNoUnmap;
  return static_cast<std::uint8_t>(flags);
}

std::uint64_t payload_bytes(const RequestHeader& header) {
  return header.command <= static_cast<std::uint16_t>(Command::write) ? header.length : 0;
}

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

Result<std::unique_ptr<Session>> Session::open(SessionOwner& owner, SessionMemory& memory,
                                               Lane& lane, std::unique_ptr<Device> device,
                                               const ChosenExport& chosen,
                                               std::uint32_t least_file_reply) {
  std::unique_ptr<Session> session(new Session(owner, memory, std::move(device),
                                               rules_for(chosen.info, chosen.structured_replies),
                                               least_file_reply));
  auto channel = session->device_->channel(lane, nullptr, session.get());
  if (!channel) return channel.error();
  session->channel_ = *std::move(channel);
  session->on_program(session->channel_->program());  // it may have changed since it was chosen
  return session;
}

Session::Session(SessionOwner& owner, SessionMemory& memory, std::unique_ptr<Device> device,
                 const RequestRules& rules, std::uint32_t least_file_reply) noexcept
    : owner_(owner),
      memory_(memory),
      device_(std::move(device)),
      decoder_(memory.buffers, rules),
      least_file_reply_(least_file_reply) {}

Session::~Session() { ASHLAR_ASSERT(idle()); }

void Session::on_program(const Program& program) noexcept {
  decoder_.set_size(program.entry.size_bytes);
}

bool Session::preload(ByteView bytes) noexcept {
  if (!decoder_.preload(bytes)) return false;
  decode();
  return true;
}

void Session::receive(int fd) noexcept {
  ASHLAR_ASSERT(!backlog_);
  std::array<iovec, 2> vector;
  msghdr message{};
  message.msg_iov = vector.data();
  message.msg_iovlen = decoder_.receive_vector(vector);
  if (message.msg_iovlen == 0) return abandon("no memory to receive into");
  const ssize_t count = recvmsg(fd, &message, MSG_DONTWAIT);
  if (count == 0) return abandon("the client closed the connection");
  if (count < 0) {
    if (!would_block()) abandon("receiving failed");
    return;
  }
  decoder_.received(static_cast<std::size_t>(count));
  decode();
}

void Session::decode() noexcept {
  backlog_ = false;
  while (state_ == SessionState::open) {
    if (full()) {
      backlog_ = true;
      return;
    }
    if (!decode_one()) return;
  }
}

// Starts the next request; false where there is none.
bool Session::decode_one() noexcept {
  Exchange* exchange = memory_.exchanges.take();
  if (exchange == nullptr) {
    abandon("no memory for a request");
    return false;
  }
  const DecodeResult result = decoder_.next(exchange->request);
  if (result == DecodeResult::request) {
    start(*exchange);
    return true;
  }
  memory_.exchanges.put(*exchange);
  if (result == DecodeResult::need_more) decoder_.release_idle_block();
  if (result == DecodeResult::disconnect) drain();
  if (result == DecodeResult::broken) abandon("the client sent something that is no request");
  return false;
}

void Session::start(Exchange& exchange) noexcept {
  const Request& request = exchange.request;
  exchange.session = this;
  ++requests_;
  if (request.refusal) return reply_error(exchange, request.refusal);
  if (request.header.length == 0 && request.command() != Command::flush) {
    return reply_success(exchange);
  }
  if (reply_from_file(exchange)) return;
  if (!prepare_bio(exchange)) {
    return reply_error(exchange, {ReplyError::no_memory, "the server has no memory for this"});
  }
  submit(exchange);
}

void Session::submit(Exchange& exchange) noexcept {
  in_flight_.push_back(exchange);
  ++in_flight_count_;
  in_flight_bytes_ += payload_bytes(exchange.request.header);
  channel_->submit(*exchange.bio);
}

// A lane waits for no disk, so what is not in the page cache is read by a request.
bool Session::reply_from_file(Exchange& exchange) noexcept {
  const RequestHeader& header = exchange.request.header;
  if (exchange.request.command() != Command::read || header.length < least_file_reply_) {
    return false;
  }
  const auto range = channel_->plain_file(header.offset, header.length);
  if (!range || !in_page_cache(*range)) return false;
  exchange.bio = channel_->allocate();
  if (exchange.bio == nullptr) return false;
  channel_->begin_own_read(*exchange.bio);
  exchange.file = *range;
  reply_success(exchange);
  return true;
}

bool Session::prepare_bio(Exchange& exchange) noexcept {
  const RequestHeader& header = exchange.request.header;
  const WritePayload& payload = exchange.request.payload;
  std::uint32_t segments = payload.count;
  for (std::uint32_t i = 0; i < segments; ++i) {
    exchange.segments[i] = Segment{payload.parts[i].data(), payload.parts[i].size()};
  }
  if (exchange.request.command() == Command::read) {
    exchange.read_buffer = memory_.buffers.take(header.length);
    if (!exchange.read_buffer) return false;
    exchange.segments[segments++] = Segment{exchange.read_buffer.data(), header.length};
  }
  Bio* bio = channel_->allocate();
  if (bio == nullptr) return false;
  bio->op = op_of(exchange.request.command());
  bio->flags = flags_of(header);
  bio->offset = header.offset;
  bio->length = header.length;
  bio->payload = Payload{exchange.segments.data(), segments, 0};
  bio->end_io = &Session::end_io;
  bio->user = &exchange;
  exchange.bio = bio;
  return true;
}

void Session::end_io(Bio& bio) noexcept {
  Exchange& exchange = *static_cast<Exchange*>(bio.user);
  exchange.session->finish(exchange);
}

void Session::finish(Exchange& exchange) noexcept {
  exchange.link.unlink();
  --in_flight_count_;
  in_flight_bytes_ -= payload_bytes(exchange.request.header);
  Bio& bio = *std::exchange(exchange.bio, nullptr);
  if (state_ == SessionState::broken) {
    memory_.exchanges.put(exchange);
    owner_.on_session_ready();
  } else if (exchange.fetching) {
    fetched(exchange, bio.ok());
  } else if (bio.ok()) {
    reply_success(exchange);
  } else {
    fail(exchange, bio);
  }
  channel_->release(bio);
}

void Session::fetched(Exchange& exchange, bool ok) noexcept {
  exchange.fetching = false;
  if (!ok) {
    memory_.exchanges.put(exchange);
    return abandon("the rest of a reply could not be read");
  }
  replies_.put_back(exchange);
  stale_ = true;
  owner_.on_session_ready();
}

void Session::fail(Exchange& exchange, Bio& bio) noexcept {
  Refusal refusal{reply_error_from(bio.error), {}};
  // The device shrank since the request was checked.
  const bool fills = bio.op == Op::write || bio.op == Op::write_zeroes;
  if (bio.error == Errc::out_of_range && fills) refusal.error = ReplyError::no_space;
  std::string sentence;
  if (decoder_.rules().structured_replies) {
    sentence = device_->describe_failure(bio, exchange.request.header.offset);
    refusal.reason = sentence;
  }
  reply_error(exchange, refusal);
}

void Session::reply_success(Exchange& exchange) noexcept {
  const RequestHeader& header = exchange.request.header;
  exchange.head_bytes = static_cast<std::uint32_t>(
      encode_success(header, decoder_.rules().structured_replies, exchange.success));
  exchange.data_bytes = exchange.read_buffer || exchange.in_file() ? header.length : 0;
  exchange.request.payload = WritePayload{};  // Lets go of the receive block early.
  replies_.push(exchange);
  owner_.on_session_ready();
}

void Session::reply_error(Exchange& exchange, const Refusal& refusal) noexcept {
  exchange.failure = std::make_unique<std::array<std::byte, kMaxErrorBytes>>();
  exchange.head_bytes = static_cast<std::uint32_t>(encode_error(
      exchange.request.header, decoder_.rules().structured_replies, refusal, *exchange.failure));
  exchange.data_bytes = 0;
  exchange.request.payload = WritePayload{};
  exchange.read_buffer.reset();
  replies_.push(exchange);
  owner_.on_session_ready();
}

void Session::send(int fd) noexcept {
  output_blocked_ = false;
  while (replies_.ready() && !output_blocked_) {
    const FileRange file = replies_.next_file();
    if (file.length > 0) {
      send_from_file(fd, file);
    } else {
      send_memory(fd);
    }
  }
  if (replies_.empty()) stale_ = false;
  if (backlog_ && !full()) decode();
}

void Session::send_memory(int fd) noexcept {
  std::array<iovec, kVectorEntries> vector;
  const ReplyQueue::Gathered gathered = replies_.gather(vector);
  msghdr message{};
  message.msg_iov = vector.data();
  message.msg_iovlen = gathered.count;
  const int more = gathered.file_follows ? MSG_MORE : 0;
  const ssize_t count = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL | more);
  if (count < 0) {
    if (!would_block()) return abandon("the client closed the connection");
    output_blocked_ = stale_ = true;
    return;
  }
  ExchangeList done;
  replies_.sent(static_cast<std::size_t>(count), done);
  put_all(done);
}

void Session::send_from_file(int fd, const FileRange& range) noexcept {
  FileRange piece = range;
  if (stale_) {
    piece.length = std::min(piece.length, kCheckedAtOnce);
    if (!in_page_cache(piece)) return fetch_first();
  }
  const ssize_t count = send_file(fd, piece);
  if (count < 0) {
    if (errno == EPIPE || errno == ECONNRESET) return abandon("the client closed the connection");
    if (would_block()) {
      output_blocked_ = stale_ = true;
      return;
    }
    // The file system does not offer it, or the disk has an error, which a request will find too.
    if (errno == EINVAL) least_file_reply_ = kNoFileReplies;
    return fetch_first();
  }
  // The header has promised the bytes.
  if (count == 0) return abandon("the file became shorter while a reply was sent");
  ExchangeList done;
  replies_.sent(static_cast<std::size_t>(count), done);
  put_all(done);
}

// Reads the data of the first reply into a buffer after all. Replies behind it wait: the header,
// and perhaps some of the data, is sent. The whole of it is read, as blocks want; counted twice.
void Session::fetch_first() noexcept {
  Exchange& exchange = replies_.hold_first();
  let_go_of_file(exchange);
  if (!prepare_bio(exchange)) {
    memory_.exchanges.put(exchange);
    return abandon("no memory for the rest of a reply");
  }
  exchange.fetching = true;
  submit(exchange);
}

void Session::let_go_of_file(Exchange& exchange) noexcept {
  Bio& bio = *std::exchange(exchange.bio, nullptr);
  exchange.file = FileRange{};
  channel_->end_own_read(bio);
  channel_->release(bio);
}

void Session::put_all(ExchangeList& done) noexcept {
  while (Exchange* each = done.pop_front()) {
    if (each->in_file()) let_go_of_file(*each);
    memory_.exchanges.put(*each);
  }
}

void Session::drain() noexcept {
  if (state_ == SessionState::open) state_ = SessionState::draining;
  backlog_ = false;
}

void Session::abandon(const char* reason) noexcept {
  if (state_ == SessionState::broken) return;
  state_ = SessionState::broken;
  reason_ = reason;
  backlog_ = false;
  output_blocked_ = false;
  ExchangeList dropped;
  replies_.clear(dropped);
  put_all(dropped);
  cancel_all();
  owner_.on_session_ready();
}

// A bio may end, and so leave its list, while another one is being cancelled: each is linked in one
// of the two lists at any time.
void Session::cancel_all() noexcept {
  ExchangeList doomed;
  doomed.splice_back(in_flight_);
  while (Exchange* each = doomed.pop_front()) {
    in_flight_.push_back(*each);
    channel_->lane().cancel(*each->bio);
  }
}

}  // namespace ashlar::nbd
