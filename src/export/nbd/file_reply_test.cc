// Goal: long reads of a plain file go from the page cache to the socket, and no client can tell but
// by the time it takes: right bytes, right order, right errors; what becomes of the file or of the
// client in the middle of a reply harms nobody else. Method: a node over a temporary file is served
// on sockets; clients are blocking sockets in the same process. That the path was taken shows in
// the one way in which it can: bytes that are written to the file after the reply was queued.
#include "export/nbd/file_reply.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <random>
#include <thread>

#include "base/mutex.h"
#include "class/file/file_test_util.h"
#include "export/nbd/server.h"
#include "test/nbd_client.h"

namespace ashlar::nbd {
namespace {

using test::Bytes;
using test::NbdClient;
using test::NbdReply;
using test::pattern;
using test::TempFile;

constexpr LockClass kLogLock{"test.nbd_log"};
constexpr std::uint64_t kFileBytes = 16 * kMiB;
constexpr std::uint64_t kPartBytes = 12 * kMiB;
constexpr std::uint32_t kLong = 8 * kMiB;  // more than a socket takes at once

// Whether the system can tell what is in its page cache at all.
bool can_tell() {
  TempFile file(4096);
  file.put(0, Bytes(4096));
  return in_page_cache({file.fd(), 0, 4096});
}

class NbdFileReplies : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!can_tell()) GTEST_SKIP() << "the system does not tell what is in its page cache";
    file_.put(0, content_);
    node_ = Node::create({.writable = true}).value();
    add("file", "disk", {}, {{"path", file_.path()}, {"direct", "off"}});
    // Not on a border of pages.
    add("linear", "part", {"disk"}, {{"offset", "1536"}, {"length", std::to_string(kPartBytes)}});
  }

  void TearDown() override {
    if (server_) server_->stop();
    server_.reset();
    exports_.reset();
    node_.reset();
  }

  void add(std::string_view class_name, std::string name, const std::vector<std::string>& over,
           ParameterTexts parameters) {
    CreateRequest request{std::move(name), {}, std::move(parameters)};
    for (const std::string& each : over) request.over.push_back(*node_->topology().find(each));
    auto geom = node_->add_geom(class_name, std::move(request), /*taste=*/false);
    if (!geom) ADD_FAILURE() << geom.error().message;
  }

  void serve(std::optional<std::uint32_t> least_file_reply = std::nullopt) {
    exports_ = Exports::create(*node_, {}).value();
    ServerOptions options{.addresses = {"unix:" + path_, "127.0.0.1:0"},
                          .lanes = 2,
                          .log =
                              [this](const std::string& sentence) {
                                const MutexLock lock(log_mutex_);
                                log_ += sentence + "\n";
                              },
                          .least_file_reply = least_file_reply};
    server_ = Server::start(*exports_, std::move(options)).value();
  }

  std::uint16_t port() const {
    const std::string uri = server_->uris()[1];
    return static_cast<std::uint16_t>(std::stoi(uri.substr(uri.rfind(':') + 1)));
  }

  void expect_connections(std::uint32_t count) {
    for (int i = 0; i < 1000 && server_->connections() != count; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_EQ(server_->connections(), count);
  }

  std::string log() {
    const MutexLock lock(log_mutex_);
    return log_;
  }

  // The proof that the server still serves.
  void expect_service() {
    NbdClient client(path_);
    ASSERT_TRUE(client.go("disk", true));
    EXPECT_TRUE(test::equal(client.read(0, 64 * kKiB).data, content(0, 64 * kKiB)));
  }

  ByteView content(std::uint64_t offset, std::size_t length) const {
    return ByteView(content_).subspan(offset, length);
  }

  // Asks for kLong bytes at 0 of `name`, waits for the head of the (simple) reply, and asks for
  // what `more` asks: a part of the data is in the socket then, and the rest waits for room. (Pages
  // may leave the cache whenever the system likes; then it is a reply from memory.)
  void begin_long_reply(NbdClient& client, std::string_view name = "disk", ByteView more = {}) {
    ASSERT_TRUE(client.go(name, false)) << client.refusal;
    client.send_bytes(NbdClient::request(Command::read, 7, 0, kLong));
    Bytes head(kSimpleReplyBytes);
    ASSERT_TRUE(client.receive_bytes(head));
    ASSERT_EQ(load_be<std::uint32_t>(head, 4), 0u);
    ASSERT_EQ(load_be<std::uint64_t>(head, 8), 7u);
    if (!more.empty()) client.send_bytes(Bytes(more.begin(), more.end()));
  }

  // Takes the file out of the page cache; what is read then comes in page by page. False where it
  // stays: in memory file systems.
  bool empty_cache() {
    EXPECT_EQ(fsync(file_.fd()), 0);
    EXPECT_EQ(posix_fadvise(file_.fd(), 0, 0, POSIX_FADV_RANDOM), 0);
    EXPECT_EQ(posix_fadvise(file_.fd(), 0, 0, POSIX_FADV_DONTNEED), 0);
    return !in_page_cache({file_.fd(), 0, 4096}) && !in_page_cache({file_.fd(), kFileBytes / 2, 1});
  }

  // True where a reply that is queued in the socket shows what is written to the file after that.
  bool shows_later_bytes(std::string_view name, std::uint64_t file_offset) {
    NbdClient client(path_);
    begin_long_reply(client, name);
    const Bytes later(4096, std::byte{0xee});
    file_.put(file_offset, later);
    Bytes data(kLong);
    EXPECT_TRUE(client.receive_bytes(data));
    file_.put(file_offset, content(file_offset, later.size()));
    return test::equal(ByteView(data).first(later.size()), later);
  }

  static const Bytes& all() {
    static const Bytes bytes = pattern(kFileBytes);
    return bytes;
  }

  const Bytes& content_ = all();
  TempFile file_{kFileBytes};
  const std::string path_ = file_.path() + ".socket";
  std::unique_ptr<Node> node_;
  std::unique_ptr<Exports> exports_;
  std::unique_ptr<Server> server_;
  Mutex log_mutex_{kLogLock};
  std::string log_ ASHLAR_GUARDED_BY(log_mutex_);
};

TEST_F(NbdFileReplies, the_page_cache_answers_for_plain_files_alone) {
  serve();
  EXPECT_TRUE(shows_later_bytes("disk", 0));
  EXPECT_TRUE(shows_later_bytes("part", 1536));
  ASSERT_TRUE(node_->insert("disk", "stats", "above").ok());
  EXPECT_FALSE(shows_later_bytes("disk", 0)) << "the layer must see its requests";
  ASSERT_TRUE(node_->remove("above").ok());
  EXPECT_TRUE(shows_later_bytes("disk", 0));
}

TEST_F(NbdFileReplies, can_be_switched_off) {
  serve(kNoFileReplies);
  EXPECT_FALSE(shows_later_bytes("disk", 0));
}

TEST_F(NbdFileReplies, a_page_that_is_not_there_is_read_by_a_request) {
  EXPECT_TRUE(in_page_cache({file_.fd(), 100, kLong}));
  if (!empty_cache()) GTEST_SKIP() << "pages stay in the cache";
  file_.get(0, 8 * 4096);
  file_.get(9 * 4096, 2 * 4096);
  EXPECT_TRUE(in_page_cache({file_.fd(), 1, 8 * 4096 - 1}));
  EXPECT_FALSE(in_page_cache({file_.fd(), 1, 8 * 4096}));
  EXPECT_FALSE(in_page_cache({file_.fd(), 9 * 4096 - 1, 2}));
  EXPECT_TRUE(in_page_cache({file_.fd(), 9 * 4096, 2 * 4096}));
  serve();
  EXPECT_FALSE(shows_later_bytes("disk", 0));
}

// Random reads, long and short, at depth; replies are matched by their cookies.
void read_at_random(NbdClient& client, ByteView disk, std::uint64_t seed) {
  constexpr std::uint64_t kDepth = 48;
  std::mt19937_64 random(seed);
  struct Asked {
    std::uint64_t offset = 0;
    std::uint32_t length = 0;
  };
  std::vector<Asked> asked(kDepth);
  const auto draw = [&](std::uint64_t slot) {
    const std::uint32_t blocks = random() % 2 == 0 ? 1 + random() % 16 : 1 + random() % 1024;
    Asked& one = asked[slot];
    one.length = blocks * 512;
    one.offset = random() % ((disk.size() - one.length) / 512) * 512;
    return NbdClient::request(Command::read, slot, one.offset, one.length);
  };
  Bytes first;
  for (std::uint64_t slot = 0; slot < kDepth; ++slot) {
    const Bytes message = draw(slot);
    first.insert(first.end(), message.begin(), message.end());
  }
  client.send_bytes(first);
  for (int i = 0; i < 200; ++i) {
    const NbdReply reply = client.receive_reply();
    ASSERT_EQ(reply.error, 0u);
    ASSERT_LT(reply.cookie, kDepth);
    const Asked& one = asked[reply.cookie];
    ASSERT_EQ(reply.offset, one.offset);
    ASSERT_TRUE(test::equal(reply.data, disk.subspan(one.offset, one.length)));
    client.send_bytes(draw(reply.cookie));
  }
}

TEST_F(NbdFileReplies, long_and_short_reads_at_depth_bring_the_right_bytes) {
  serve(8 * kKiB);
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  // One after the other, the part first: it does not let others write to the disk.
  NbdClient over_unix(path_);
  NbdClient over_tcp(port());
  ASSERT_TRUE(over_unix.go("part", true)) << over_unix.refusal;
  ASSERT_TRUE(over_tcp.go("disk", true)) << over_tcp.refusal;
  std::thread other([&] { read_at_random(over_tcp, content_, seed + 1); });
  read_at_random(over_unix, content(1536, kPartBytes), seed + 2);
  other.join();
}

TEST_F(NbdFileReplies, replies_of_both_kinds) {
  serve();
  constexpr std::uint32_t kMost = kFileBytes - 1024;
  for (const bool structured : {false, true}) {
    NbdClient client(path_);
    ASSERT_TRUE(client.go("disk", structured));
    const NbdReply reply = client.read(512, kMost);
    EXPECT_EQ(reply.error, 0u);
    EXPECT_TRUE(test::equal(reply.data, content(512, kMost)));
    EXPECT_NE(client.read(kFileBytes - 512, 64 * kKiB).error, 0u) << "past the end";
  }
}

TEST_F(NbdFileReplies, a_slow_reader_gets_everything_and_holds_up_nobody) {
  serve();
  NbdClient slow(path_);
  ASSERT_TRUE(slow.go("disk", false));
  constexpr std::uint64_t kRequests = 150;  // more than twice what may be under way
  Bytes stream;
  for (std::uint64_t i = 0; i < kRequests; ++i) {
    const Bytes one = NbdClient::request(Command::read, i, i % 16 * kMiB, kMiB);
    stream.insert(stream.end(), one.begin(), one.end());
  }
  slow.send_bytes(stream);
  for (int i = 0; i < 10; ++i) expect_service();
  for (std::uint64_t i = 0; i < kRequests; ++i) {
    const NbdReply reply = slow.receive_reply(kMiB);
    ASSERT_EQ(reply.cookie, i) << "answered in the order in which they became ready";
    ASSERT_TRUE(test::equal(reply.data, content(i % 16 * kMiB, kMiB)));
  }
}

TEST_F(NbdFileReplies, a_client_that_is_gone_in_the_middle_leaves_nothing_behind) {
  serve(8 * kKiB);
  for (int i = 0; i < 20; ++i) {
    NbdClient over_unix(path_);
    begin_long_reply(over_unix, "disk", NbdClient::request(Command::read, 8, 0, kLong));
    NbdClient over_tcp(port());
    begin_long_reply(over_tcp);
  }
  expect_connections(0);
  expect_service();
}

TEST_F(NbdFileReplies, a_file_cut_short_in_the_middle_ends_the_connection) {
  serve();
  NbdClient client(path_);
  begin_long_reply(client);
  ASSERT_EQ(ftruncate(file_.fd(), 128 * kKiB), 0);
  Bytes data(kLong);
  EXPECT_FALSE(client.receive_bytes(data));
  expect_connections(0);
  // Either the socket's pages were the last, or the rest was asked for and is not there.
  EXPECT_NE(log().find("a reply"), std::string::npos) << log();
  expect_service();
  NbdClient next(path_);
  ASSERT_TRUE(next.go("disk", true));
  EXPECT_NE(next.read(12 * kMiB, kMiB).error, 0u) << "an error while there is time for one";
}

// The rest of a reply is read by a request where its pages have left the cache meanwhile; what is
// behind it in the queue waits, and then it has left the cache too.
TEST_F(NbdFileReplies, pages_that_leave_the_cache_in_the_middle_are_read) {
  serve();
  if (!empty_cache()) GTEST_SKIP() << "pages stay in the cache";
  file_.get(0, kFileBytes);
  Bytes more = NbdClient::request(Command::read, 8, 512, 64 * kKiB);
  const Bytes last = NbdClient::request(Command::read, 9, kLong, kMiB);
  more.insert(more.end(), last.begin(), last.end());
  NbdClient client(path_);
  begin_long_reply(client, "disk", more);
  ASSERT_EQ(posix_fadvise(file_.fd(), 0, 0, POSIX_FADV_DONTNEED), 0);
  Bytes data(kLong);
  ASSERT_TRUE(client.receive_bytes(data));
  EXPECT_TRUE(test::equal(data, content(0, kLong)));
  EXPECT_TRUE(test::equal(client.receive_reply(64 * kKiB).data, content(512, 64 * kKiB)));
  EXPECT_TRUE(test::equal(client.receive_reply(kMiB).data, content(kLong, kMiB)));
  EXPECT_EQ(client.read(0, 512).error, 0u);
}

TEST_F(NbdFileReplies, a_client_that_is_gone_while_the_rest_is_read_leaves_nothing_behind) {
  serve();
  if (!empty_cache()) GTEST_SKIP() << "pages stay in the cache";
  for (int i = 0; i < 5; ++i) {
    file_.get(0, kFileBytes);
    NbdClient client(path_);
    begin_long_reply(client);
    ASSERT_EQ(posix_fadvise(file_.fd(), 0, 0, POSIX_FADV_DONTNEED), 0);
    Bytes some(kMiB);
    ASSERT_TRUE(client.receive_bytes(some));
  }
  expect_connections(0);
  expect_service();
}

TEST_F(NbdFileReplies, the_program_of_a_reply_is_kept_until_it_is_sent) {
  serve();
  NbdClient client(path_);
  begin_long_reply(client, "part");
  ASSERT_TRUE(node_->insert("disk", "passthrough", "above").ok());
  expect_service();
  EXPECT_FALSE(node_->settled()) << "the reply holds the program that it began with";
  ASSERT_TRUE(node_->orphan("disk").ok());
  Bytes data(kLong);
  ASSERT_TRUE(client.receive_bytes(data));
  EXPECT_TRUE(test::equal(data, content(1536, kLong)));
  EXPECT_NE(client.read(0, kLong).error, 0u) << "the device is gone";
  for (int i = 0; i < 1000 && !node_->settled(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    node_->reap();
  }
  EXPECT_TRUE(node_->settled());
}

TEST_F(NbdFileReplies, stopping_ends_with_a_client_that_does_not_read) {
  serve();
  NbdClient client(path_);
  begin_long_reply(client);
  server_->stop();
  Bytes data(kLong);
  EXPECT_FALSE(client.receive_bytes(data));
}

}  // namespace
}  // namespace ashlar::nbd
