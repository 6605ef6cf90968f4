// Goal: the server carries out what clients ask, concurrently, and no client can harm another one
// or the server: not by garbage, by half a message, by vanishing, nor by not reading. Method: a
// node with memory devices is served on a unix socket in a temporary folder; clients are blocking
// sockets in the same process. Every test ends with the server stopped and the node closed, whose
// own checks (nothing in flight, everything given back) are part of the test.
#include "export/nbd/server.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <random>
#include <set>
#include <thread>

#include "test/nbd_client.h"

namespace ashlar::nbd {
namespace {

using test::Bytes;
using test::NbdClient;
using test::NbdReply;

constexpr std::uint64_t kDiskBytes = 64 * kMiB;
constexpr std::uint32_t kPermission = 1;
constexpr std::uint32_t kIo = 5;
constexpr std::uint32_t kInvalid = 22;
constexpr std::uint32_t kNoSpace = 28;

Bytes random_bytes(std::mt19937_64& random, std::size_t length) {
  Bytes bytes(length);
  for (std::byte& each : bytes) each = static_cast<std::byte>(random());
  return bytes;
}

class NbdServer : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "ashlar-nbd-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    auto node = Node::create({.writable = true});
    ASSERT_TRUE(node.ok());
    node_ = *std::move(node);
    add("memory", "disk", {}, {{"size", std::to_string(kDiskBytes)}});
  }

  void TearDown() override {
    if (server_) {
      server_->stop();
      EXPECT_EQ(server_->connections(), 0u);
    }
    server_.reset();
    exports_.reset();
    node_.reset();
    std::filesystem::remove_all(folder_);
  }

  void add(std::string_view class_name, std::string name, const std::vector<std::string>& over,
           ParameterTexts parameters) {
    CreateRequest request{std::move(name), {}, std::move(parameters)};
    for (const std::string& each : over) request.over.push_back(*node_->topology().find(each));
    auto geom = node_->add_geom(class_name, std::move(request), /*taste=*/false);
    if (!geom) ADD_FAILURE() << geom.error().message;
  }

  void serve(ExportsOptions options = {.write = true}) {
    auto exports = Exports::create(*node_, options);
    ASSERT_TRUE(exports.ok()) << exports.error().message;
    exports_ = *std::move(exports);
    ServerOptions server_options{.addresses = {"unix:" + path()}, .lanes = 2};
    auto server = Server::start(*exports_, std::move(server_options));
    ASSERT_TRUE(server.ok()) << server.error().message;
    server_ = *std::move(server);
  }

  std::string path() const { return folder_ + "/socket"; }

  // Waits until the server has seen that clients are gone.
  void expect_connections(std::uint32_t count) {
    for (int i = 0; i < 1000 && server_->connections() != count; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_EQ(server_->connections(), count);
  }

  // The proof that the server still serves.
  void expect_service(std::string_view name = "disk") {
    NbdClient client(path());
    ASSERT_TRUE(client.go(name, true));
    const NbdReply reply = client.read(0, 4096);
    EXPECT_EQ(reply.error, 0u);
    EXPECT_EQ(reply.data.size(), 4096u);
  }

  std::string folder_;
  std::unique_ptr<Node> node_;
  std::unique_ptr<Exports> exports_;
  std::unique_ptr<Server> server_;
};

TEST_F(NbdServer, reads_what_another_connection_wrote_and_flushed) {
  serve();
  std::mt19937_64 random(1);
  const Bytes bytes = random_bytes(random, 10 * 4096);
  NbdClient writer(path());
  NbdClient reader(path());
  ASSERT_TRUE(writer.go("disk", false));
  ASSERT_TRUE(reader.go("", true));
  EXPECT_EQ(reader.size_bytes, kDiskBytes);
  EXPECT_EQ(writer.write(8192, bytes), 0u);
  EXPECT_EQ(writer.command(Command::flush, 0, 0), 0u);
  EXPECT_EQ(reader.read(8192, 40960).data, bytes);
  EXPECT_EQ(writer.command(Command::write_zeroes, 8192, 4096, kCommandNoHole), 0u);
  EXPECT_EQ(writer.command(Command::trim, 12288, 4096, kCommandFua), 0u);
  EXPECT_EQ(reader.read(8192, 4096).data, Bytes(4096));
  EXPECT_EQ(writer.write(0, ByteView(bytes).first(512), kCommandFua), 0u);
  EXPECT_EQ(reader.read(0, 0).error, 0u);
}

TEST_F(NbdServer, the_longest_payloads_pass) {
  serve();
  std::mt19937_64 random(2);
  const Bytes bytes = random_bytes(random, kMaxPayloadBytes);
  NbdClient client(path());
  ASSERT_TRUE(client.go("disk", true));
  EXPECT_EQ(client.write(512, bytes), 0u);
  EXPECT_TRUE(client.read(512, kMaxPayloadBytes).data == bytes);
}

TEST_F(NbdServer, wrong_requests_get_their_errors_and_service_goes_on) {
  serve();
  NbdClient client(path());
  ASSERT_TRUE(client.go("disk", true));
  EXPECT_EQ(client.read(kDiskBytes, 512).error, kInvalid);
  EXPECT_EQ(client.read(1, 512).error, kInvalid);
  EXPECT_EQ(client.write(kDiskBytes - 512, Bytes(1024)), kNoSpace);
  EXPECT_EQ(client.command(Command{77}, 0, 0), kInvalid);
  EXPECT_EQ(client.command(Command::read, 0, kMaxPayloadBytes + 512), 75u);
  EXPECT_EQ(client.write(0, Bytes(kMaxPayloadBytes + 512)), kInvalid);
  EXPECT_EQ(client.read(0, 512).data.size(), 512u);
}

TEST_F(NbdServer, read_only_exports_refuse_changes) {
  serve({.write = false});
  NbdClient client(path());
  ASSERT_TRUE(client.go("disk", true));
  EXPECT_NE(client.transmission_flags & kReadOnly, 0);
  EXPECT_EQ(client.write(0, Bytes(512)), kPermission);
  EXPECT_EQ(client.read(0, 512).error, 0u);
}

TEST_F(NbdServer, several_exports_are_apart) {
  add("memory", "other", {}, {{"size", "1MiB"}});
  serve();
  NbdClient unknown(path());
  EXPECT_FALSE(unknown.go("nothing", true));
  EXPECT_EQ(unknown.option_error, 0x80000006u);
  NbdClient nameless(path());
  EXPECT_FALSE(nameless.go("", true)) << "two devices, so none is the default";
  NbdClient disk(path());
  NbdClient other(path());
  ASSERT_TRUE(disk.go("disk", true));
  ASSERT_TRUE(other.go("other", true));
  EXPECT_EQ(other.size_bytes, 1 * kMiB);
  EXPECT_EQ(disk.write(0, Bytes(512, std::byte{1})), 0u);
  EXPECT_EQ(other.read(0, 512).data, Bytes(512));
}

TEST_F(NbdServer, a_devices_error_reaches_the_client_with_its_place) {
  add("fault", "bad", {"disk"}, {{"offset", "1MiB"}, {"length", "4KiB"}});
  serve();
  NbdClient client(path());
  ASSERT_TRUE(client.go("bad", true));
  EXPECT_EQ(client.read(0, 4096).error, 0u);
  const NbdReply reply = client.read(1 * kMiB, 4096);
  EXPECT_EQ(reply.error, kIo);
  EXPECT_NE(reply.message.find("fault"), std::string::npos) << reply.message;
  NbdClient simple(path());
  ASSERT_TRUE(simple.go("bad", false));
  EXPECT_EQ(simple.write(1 * kMiB, Bytes(4096)), kIo);
  EXPECT_EQ(simple.read(0, 4096).error, 0u);
}

// Keeps `depth` random requests under way and compares every read with a model.
class Worker {
 public:
  Worker(const std::string& path, std::uint64_t first_byte, std::uint64_t seed)
      : client_(path), first_byte_(first_byte), random_(seed), model_(1 * kMiB) {
    EXPECT_TRUE(client_.go("slow", true));
  }

  // Requests of one round do not overlap, so that their order does not matter.
  void round() {
    std::vector<std::uint64_t> slots(kSlots);
    for (std::uint64_t i = 0; i < kSlots; ++i) slots[i] = i;
    std::shuffle(slots.begin(), slots.end(), random_);
    Bytes stream;
    std::vector<bool> is_read(kSlots);
    for (const std::uint64_t slot : slots) append(stream, slot, is_read);
    client_.send_bytes(stream);
    for (std::uint64_t i = 0; i < kSlots; ++i) check_reply(is_read);
  }

 private:
  static constexpr std::uint64_t kSlots = 64;
  static constexpr std::uint64_t kSlotBytes = 1 * kMiB / kSlots;

  void append(Bytes& stream, std::uint64_t slot, std::vector<bool>& is_read) {
    const auto length = static_cast<std::uint32_t>((1 + random_() % 32) * 512);
    const std::uint64_t at = slot * kSlotBytes;
    lengths_[slot] = length;
    is_read[slot] = random_() % 2 == 0;
    Bytes payload;
    if (!is_read[slot]) {
      payload = random_bytes(random_, length);
      std::copy(payload.begin(), payload.end(), model_.begin() + static_cast<std::ptrdiff_t>(at));
    }
    const Bytes message = NbdClient::request(is_read[slot] ? Command::read : Command::write, slot,
                                             first_byte_ + at, length, 0, payload);
    stream.insert(stream.end(), message.begin(), message.end());
  }

  void check_reply(const std::vector<bool>& is_read) {
    const NbdReply reply = client_.receive_reply();
    ASSERT_LT(reply.cookie, kSlots);
    EXPECT_EQ(reply.error, 0u);
    if (!is_read[reply.cookie]) return;
    ASSERT_EQ(reply.data.size(), lengths_[reply.cookie]);
    const auto begin = model_.begin() + static_cast<std::ptrdiff_t>(reply.cookie * kSlotBytes);
    EXPECT_TRUE(std::equal(reply.data.begin(), reply.data.end(), begin));
  }

  NbdClient client_;
  std::uint64_t first_byte_;
  std::mt19937_64 random_;
  Bytes model_;
  std::array<std::uint32_t, kSlots> lengths_{};
};

TEST_F(NbdServer, many_clients_at_once_get_their_own_bytes) {
  // Delays of the device make replies come out of order.
  add("delay", "slow", {"disk"}, {{"time", "20us"}, {"jitter", "200us"}});
  serve();
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      Worker worker(path(), i * kMiB, seed + i);
      for (int round = 0; round < 30; ++round) worker.round();
    });
  }
  for (std::thread& each : threads) each.join();
}

TEST_F(NbdServer, a_client_that_does_not_read_holds_up_nobody_else) {
  serve();
  std::mt19937_64 random(3);
  const Bytes bytes = random_bytes(random, 1 * kMiB);
  NbdClient slow(path());
  ASSERT_TRUE(slow.go("disk", false));
  EXPECT_EQ(slow.write(0, bytes), 0u);
  constexpr int kRequests = 150;  // more than twice the bound
  Bytes stream;
  for (int i = 0; i < kRequests; ++i) {
    const Bytes one = NbdClient::request(Command::read, static_cast<std::uint64_t>(i), 0, 1 * kMiB);
    stream.insert(stream.end(), one.begin(), one.end());
  }
  slow.send_bytes(stream);
  for (int i = 0; i < 20; ++i) expect_service();
  for (int i = 0; i < kRequests; ++i) {
    const NbdReply reply = slow.receive_reply(1 * kMiB);
    ASSERT_EQ(reply.error, 0u);
    ASSERT_TRUE(reply.data == bytes);
  }
}

TEST_F(NbdServer, garbage_and_halves_end_one_connection) {
  serve();
  const Bytes write = NbdClient::request(Command::write, 1, 0, 4096, 0, Bytes(4096, std::byte{9}));
  for (const std::size_t part :
       {std::size_t{1}, std::size_t{27}, std::size_t{28}, std::size_t{2000}}) {
    NbdClient client(path());
    ASSERT_TRUE(client.go("disk", true));
    client.send_bytes(ByteView(write).first(part));
    client.vanish();
  }
  NbdClient garbage(path());
  ASSERT_TRUE(garbage.go("disk", true));
  garbage.send_bytes(Bytes(100, std::byte{'G'}));
  EXPECT_TRUE(garbage.is_closed_by_server());
  NbdClient early(path());
  early.send_bytes(Bytes(100, std::byte{'G'}));
  EXPECT_TRUE(early.is_closed_by_server());
  NbdClient half(path());
  half.send_bytes(Bytes(2));
  half.vanish();
  expect_connections(0);
  NbdClient reader(path());
  ASSERT_TRUE(reader.go("disk", true));
  EXPECT_EQ(reader.read(0, 4096).data, Bytes(4096)) << "half a write changes nothing";
}

TEST_F(NbdServer, requests_of_a_client_that_vanished_are_cancelled) {
  add("delay", "slow", {"disk"}, {{"op", "read"}, {"time", "60s"}});
  serve();
  NbdClient client(path());
  ASSERT_TRUE(client.go("slow", true));
  for (std::uint64_t i = 0; i < 100; ++i) {
    client.send_bytes(NbdClient::request(Command::read, i, 0, 4096));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  client.vanish();
  expect_connections(0);
}

// Requests one by one in front of a deep queue: what pacing.h is about.
TEST_F(NbdServer, a_client_that_is_behind_gets_every_reply_and_may_vanish) {
  serve();
  constexpr std::uint64_t kDepth = 24;
  for (std::uint64_t round = 0; round < 12; ++round) {
    NbdClient client(path());
    ASSERT_TRUE(client.go("disk", true));
    std::uint64_t sent = 0;
    const auto send_one = [&] {
      client.send_bytes(NbdClient::request(Command::read, sent, sent % 64 * 4096, 4096));
      ++sent;
    };
    while (sent < kDepth) send_one();
    std::set<std::uint64_t> answered;
    for (std::uint64_t i = 0; i < 300 + 17 * round; ++i) {
      const NbdReply reply = client.receive_reply(4096);
      ASSERT_EQ(reply.error, 0u);
      ASSERT_TRUE(answered.insert(reply.cookie).second);
      ASSERT_LT(reply.cookie, sent);
      send_one();
    }
    client.vanish();
  }
  expect_connections(0);
}

TEST_F(NbdServer, a_goodbye_lets_requests_end) {
  add("delay", "slow", {"disk"}, {{"op", "write"}, {"time", "50ms"}});
  serve();
  {
    NbdClient client(path());
    ASSERT_TRUE(client.go("slow", true));
    Bytes stream = NbdClient::request(Command::write, 1, 0, 4096, 0, Bytes(4096, std::byte{7}));
    const Bytes goodbye = NbdClient::request(Command::disconnect, 2, 0, 0);
    stream.insert(stream.end(), goodbye.begin(), goodbye.end());
    client.send_bytes(stream);
  }
  expect_connections(0);
  NbdClient reader(path());
  ASSERT_TRUE(reader.go("disk", true));
  EXPECT_EQ(reader.read(0, 4096).data, Bytes(4096, std::byte{7}));
}

TEST_F(NbdServer, stopping_answers_what_is_under_way) {
  add("delay", "slow", {"disk"}, {{"op", "read"}, {"time", "200ms"}});
  serve();
  NbdClient idle(path());
  NbdClient busy(path());
  ASSERT_TRUE(idle.go("slow", true));
  ASSERT_TRUE(busy.go("slow", true));
  busy.send_bytes(NbdClient::request(Command::read, 5, 0, 4096));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  server_->stop();
  EXPECT_EQ(busy.receive_reply().data.size(), 4096u);
  EXPECT_TRUE(idle.is_closed_by_server());
  EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(NbdServer, stopping_does_not_wait_for_ever) {
  add("delay", "slow", {"disk"}, {{"op", "read"}, {"time", "600s"}});
  serve();
  NbdClient client(path());
  ASSERT_TRUE(client.go("slow", true));
  client.send_bytes(NbdClient::request(Command::read, 5, 0, 4096));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const auto begin = std::chrono::steady_clock::now();
  server_->stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
}

TEST_F(NbdServer, a_stale_socket_is_replaced_and_a_living_one_is_not) {
  serve();
  auto second = Server::start(*exports_, {.addresses = {"unix:" + path()}, .lanes = 1});
  EXPECT_FALSE(second.ok());
  expect_service();
}

TEST_F(NbdServer, listens_on_tcp_too) {
  auto exports = Exports::create(*node_, {});
  ASSERT_TRUE(exports.ok());
  auto server = Server::start(**exports, {.addresses = {"127.0.0.1:0"}, .lanes = 1});
  ASSERT_TRUE(server.ok()) << server.error().message;
  EXPECT_TRUE((*server)->uris()[0].starts_with("nbd://127.0.0.1:"));
  EXPECT_FALSE((*server)->uris()[0].ends_with(":0"));
}

TEST_F(NbdServer, wrong_addresses_are_sentences) {
  for (const char* address :
       {"", "unix:", "nowhere", "host:", "[::1]:x", "unix:/no/such/folder/s"}) {
    auto socket = ListenSocket::open(address);
    ASSERT_FALSE(socket.ok()) << address;
    EXPECT_FALSE(socket.error().message.empty());
  }
}

}  // namespace
}  // namespace ashlar::nbd
