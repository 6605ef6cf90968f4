// Goal: requests come out of the stream whole and in order, whatever the pieces it arrives in, with
// payloads that were never copied and stay as they were while they are pinned.
// Method: streams of known requests, fed through receive_vector in pieces (fixed and random, with
// the seed printed); payload views are compared with what was sent, also after later receives.
#include "export/nbd/request_decoder.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

namespace ashlar::nbd {
namespace {

using Bytes = std::vector<std::byte>;

RequestRules rules(std::uint64_t size_bytes = 1 * kGiB) {
  return RequestRules{.size_bytes = size_bytes,
                      .minimum_block_bytes = 1,
                      .transmission_flags = kHasFlags | kSendFlush | kSendFua | kSendTrim};
}

void append_request(Bytes& to, Command command, std::uint64_t cookie, std::uint64_t offset,
                    std::uint32_t length) {
  to.resize(to.size() + kRequestHeaderBytes);
  encode_request_header(RequestHeader{.magic = kRequestMagic,
                                      .flags = 0,
                                      .command = static_cast<std::uint16_t>(command),
                                      .cookie = cookie,
                                      .offset = offset,
                                      .length = length},
                        ByteSpan(to).last(kRequestHeaderBytes));
}

// The byte at `at` of the payload of the write with this cookie.
std::byte payload_byte(std::uint64_t cookie, std::size_t at) {
  return static_cast<std::byte>((cookie * 31 + at * 7 + (at >> 8)) & 0xff);
}

void append_write(Bytes& to, std::uint64_t cookie, std::uint64_t offset, std::uint32_t length) {
  append_request(to, Command::write, cookie, offset, length);
  const std::size_t start = to.size();
  to.resize(start + length);
  for (std::uint32_t i = 0; i < length; ++i) to[start + i] = payload_byte(cookie, i);
}

std::size_t payload_bytes(const Request& request) {
  std::size_t sum = 0;
  for (std::uint32_t i = 0; i < request.payload.count; ++i) sum += request.payload.parts[i].size();
  return sum;
}

bool payload_is_right(const Request& request) {
  std::size_t at = 0;
  for (std::uint32_t i = 0; i < request.payload.count; ++i) {
    for (const std::byte one : request.payload.parts[i]) {
      if (one != payload_byte(request.header.cookie, at++)) return false;
    }
  }
  return at == request.header.length;
}

// Plays the socket: hands at most `piece` bytes of the stream to each receive.
class Feeder {
 public:
  Feeder(RequestDecoder& decoder, ByteView stream) : decoder_(decoder), stream_(stream) {}

  bool at_end() const { return at_ == stream_.size(); }

  void receive(std::size_t piece) {
    std::array<iovec, 2> vector;
    const unsigned count = decoder_.receive_vector(vector);
    ASSERT_GT(count, 0u);
    std::size_t moved = 0;
    for (unsigned i = 0; i < count; ++i) {
      ASSERT_GT(vector[i].iov_len, 0u);
      const std::size_t step = std::min({vector[i].iov_len, piece - moved, stream_.size() - at_});
      std::memcpy(vector[i].iov_base, stream_.data() + at_, step);
      at_ += step;
      moved += step;
      if (step < vector[i].iov_len) break;
    }
    decoder_.received(moved);
  }

 private:
  RequestDecoder& decoder_;
  ByteView stream_;
  std::size_t at_ = 0;
};

// Decodes the whole stream, keeping every request (and so every pin) to the end.
std::vector<Request> decode_all(RequestDecoder& decoder, const Bytes& stream, std::size_t piece) {
  std::vector<Request> requests;
  Feeder feeder(decoder, stream);
  Request request;
  while (!feeder.at_end()) {
    feeder.receive(piece);
    while (decoder.next(request) == DecodeResult::request) requests.push_back(request);
  }
  return requests;
}

TEST(RequestDecoder, decodes_the_header) {
  BufferPool pool;
  RequestDecoder decoder(pool, rules());
  Bytes stream;
  append_request(stream, Command::read, 0x0102030405060708, 0x1234, 4096);
  const std::vector<Request> requests = decode_all(decoder, stream, 4096);
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].command(), Command::read);
  EXPECT_EQ(requests[0].header.cookie, 0x0102030405060708u);
  EXPECT_EQ(requests[0].header.offset, 0x1234u);
  EXPECT_EQ(requests[0].header.length, 4096u);
  EXPECT_FALSE(requests[0].refusal);
  EXPECT_EQ(requests[0].payload.count, 0u);
}

TEST(RequestDecoder, small_writes_are_views_of_one_block) {
  BufferPool pool;
  RequestDecoder decoder(pool, rules());
  Bytes stream;
  for (std::uint64_t i = 0; i < 32; ++i) append_write(stream, i, i * 4096, 4096);
  {
    const std::vector<Request> requests = decode_all(decoder, stream, stream.size());
    ASSERT_EQ(requests.size(), 32u);
    for (const Request& request : requests) {
      EXPECT_EQ(request.payload.count, 1u);
      EXPECT_TRUE(payload_is_right(request));
    }
    EXPECT_EQ(pool.buffers_in_use(), 1u);
  }
  std::array<iovec, 2> vector;
  ASSERT_EQ(decoder.receive_vector(vector), 1u);
  EXPECT_EQ(vector[0].iov_len, RequestDecoder::kBlockBytes) << "the block is used from its front";
  decoder.release_idle_block();
  EXPECT_EQ(pool.buffers_in_use(), 0u);
}

TEST(RequestDecoder, a_long_payload_has_two_views) {
  BufferPool pool;
  RequestDecoder decoder(pool, rules());
  Bytes stream;
  append_write(stream, 1, 0, 1 * kMiB);
  append_write(stream, 2, 0, 100);
  const std::vector<Request> requests = decode_all(decoder, stream, 100'000);
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].payload.count, 2u);
  EXPECT_EQ(requests[0].payload.parts[0].size(), 100'000 - kRequestHeaderBytes);
  EXPECT_TRUE(payload_is_right(requests[0]));
  EXPECT_TRUE(payload_is_right(requests[1]));
}

TEST(RequestDecoder, a_long_payload_without_a_part_in_the_block_is_aligned) {
  BufferPool pool;
  RequestDecoder decoder(pool, rules());
  Bytes stream;
  append_write(stream, 1, 0, 1 * kMiB);
  Feeder feeder(decoder, stream);
  feeder.receive(kRequestHeaderBytes);
  Request request;
  EXPECT_EQ(decoder.next(request), DecodeResult::need_more);
  while (!feeder.at_end()) feeder.receive(1 * kMiB);
  ASSERT_EQ(decoder.next(request), DecodeResult::request);
  EXPECT_EQ(request.payload.count, 1u);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(request.payload.parts[0].data()) % 4096, 0u);
  EXPECT_TRUE(payload_is_right(request));
}

// Random reads and writes; returns the stream. Cookies count from 0.
Bytes random_stream(std::mt19937_64& random, std::uint64_t requests) {
  Bytes stream;
  for (std::uint64_t cookie = 0; cookie < requests; ++cookie) {
    const std::uint64_t shift = random() % 18;
    const auto length = static_cast<std::uint32_t>(random() % (std::uint64_t{1} << shift));
    if (random() % 3 == 0) {
      append_request(stream, Command::read, cookie, 0, length);
    } else {
      append_write(stream, cookie, 0, length + (random() % 40 == 0 ? 300'000 : 0));
    }
  }
  return stream;
}

// Keeps requests for a random time, as a device would, and checks each payload when it lets go.
class Holder {
 public:
  explicit Holder(std::mt19937_64& random) : random_(random) {}

  void take(Request request) {
    EXPECT_FALSE(request.refusal);
    EXPECT_EQ(request.header.cookie, count_++);
    held_.push_back(std::move(request));
    if (random_() % 2 == 0) let_go(random_() % held_.size());
  }

  std::uint64_t finish() {
    while (!held_.empty()) let_go(held_.size() - 1);
    return count_;
  }

 private:
  void let_go(std::size_t index) {
    const bool is_write = held_[index].command() == Command::write;
    EXPECT_TRUE(!is_write || payload_is_right(held_[index]));
    held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(index));
  }

  std::mt19937_64& random_;
  std::uint64_t count_ = 0;
  std::vector<Request> held_;
};

void run_random_traffic(std::mt19937_64& random) {
  BufferPool pool;
  RequestDecoder decoder(pool, rules());
  const Bytes stream = random_stream(random, 200);
  Feeder feeder(decoder, stream);
  Holder holder(random);
  Request request;
  while (!feeder.at_end()) {
    feeder.receive(1 + random() % (std::size_t{1} << (random() % 19)));
    while (decoder.next(request) == DecodeResult::request) holder.take(std::move(request));
    if (random() % 4 == 0) decoder.release_idle_block();
  }
  EXPECT_EQ(holder.finish(), 200u);
  decoder.release_idle_block();
  EXPECT_EQ(pool.buffers_in_use(), 0u);
}

TEST(RequestDecoder, pinned_payloads_survive_random_traffic) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 8; ++round) run_random_traffic(random);
}

TEST(RequestDecoder, bytes_may_arrive_one_by_one) {
  BufferPool pool;
  RequestDecoder decoder(pool, rules());
  Bytes stream;
  append_write(stream, 1, 0, 50);
  append_request(stream, Command::flush, 2, 0, 0);
  append_write(stream, 3, 0, 0);
  const std::vector<Request> requests = decode_all(decoder, stream, 1);
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_TRUE(payload_is_right(requests[0]));
  EXPECT_EQ(requests[1].command(), Command::flush);
  EXPECT_EQ(requests[2].payload.count, 0u);
}

TEST(RequestDecoder, refused_writes_are_skipped_and_the_next_request_is_found) {
  BufferPool pool;
  RequestDecoder decoder(pool, rules(1 * kMiB));
  Bytes stream;
  append_write(stream, 1, 1 * kMiB, 700'000);
  append_write(stream, 2, 0, 33 * kMiB);
  append_request(stream, Command::read, 3, 0, 16);
  const std::vector<Request> requests = decode_all(decoder, stream, 65'536);
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(requests[0].refusal.error, ReplyError::no_space);
  EXPECT_EQ(payload_bytes(requests[0]), 0u);
  EXPECT_EQ(requests[1].refusal.error, ReplyError::invalid);
  EXPECT_FALSE(requests[2].refusal);
  EXPECT_EQ(pool.buffers_in_use(), 1u);
}

TEST(RequestDecoder, garbage_is_broken_for_good) {
  BufferPool pool;
  RequestDecoder decoder(pool, rules());
  Bytes stream(1000, std::byte{0x47});
  Feeder feeder(decoder, stream);
  feeder.receive(stream.size());
  Request request;
  EXPECT_EQ(decoder.next(request), DecodeResult::broken);
  EXPECT_EQ(decoder.next(request), DecodeResult::broken);
}

TEST(RequestDecoder, disconnect_is_reported) {
  BufferPool pool;
  RequestDecoder decoder(pool, rules());
  Bytes stream;
  append_request(stream, Command::read, 1, 0, 16);
  append_request(stream, Command::disconnect, 2, 0, 0);
  Feeder feeder(decoder, stream);
  feeder.receive(stream.size());
  Request request;
  EXPECT_EQ(decoder.next(request), DecodeResult::request);
  EXPECT_EQ(decoder.next(request), DecodeResult::disconnect);
}

TEST(RequestDecoder, takes_what_came_behind_the_negotiation) {
  BufferPool pool;
  RequestDecoder decoder(pool, rules());
  Bytes stream;
  append_write(stream, 9, 0, 1000);
  ASSERT_TRUE(decoder.preload(ByteView(stream).first(500)));
  Request request;
  EXPECT_EQ(decoder.next(request), DecodeResult::need_more);
  Feeder feeder(decoder, ByteView(stream).subspan(500));
  feeder.receive(stream.size());
  ASSERT_EQ(decoder.next(request), DecodeResult::request);
  EXPECT_TRUE(payload_is_right(request));
}

TEST(RequestDecoder, a_resize_counts_from_the_next_request) {
  BufferPool pool;
  RequestDecoder decoder(pool, rules(4096));
  decoder.set_size(8192);
  Bytes stream;
  append_request(stream, Command::read, 1, 4096, 4096);
  EXPECT_FALSE(decode_all(decoder, stream, 100)[0].refusal);
}

TEST(BufferPool, rounds_up_reuses_and_bounds_its_idle_memory) {
  BufferPool pool(1 * kMiB);
  BufferRef buffer = pool.take(4097);
  EXPECT_EQ(buffer.size(), 8192u);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % 4096, 0u);
  const std::byte* address = buffer.data();
  BufferRef second = buffer;
  EXPECT_FALSE(buffer.is_only_pin());
  buffer.reset();
  EXPECT_EQ(pool.buffers_in_use(), 1u);
  second.reset();
  EXPECT_EQ(pool.idle_bytes(), 8192u);
  EXPECT_EQ(pool.take(8000).data(), address);
  pool.take(BufferPool::kLargestBytes).reset();
  EXPECT_EQ(pool.idle_bytes(), 8192u) << "a large buffer goes back to the system";
}

}  // namespace
}  // namespace ashlar::nbd
