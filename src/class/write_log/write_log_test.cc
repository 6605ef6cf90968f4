// Goal: the log holds what dm-log-writes would have written, byte for byte and in its order, and a
// replay of it gives the device as it was at each flush.
// Method: a log's raw bytes compared with numbers written down by hand; a device whose completions
// the test orders; random requests with a copy of the device taken at each flush; then a log that
// is full, that fails, and writers that are cancelled.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/random.h"
#include "class/write_log/log_reader.h"
#include "test/async.h"
#include "test/model.h"
#include "test/probe.h"

namespace ashlar {
namespace {

using test::Async;
using test::Opened;
using test::pattern;
using test::Probe;
using test::ProbeClass;
using test::ProbePad;
using test::Rig;
using write_log::LogEntry;
using write_log::LogReader;

constexpr std::uint64_t kDisk = 64 * kKiB;

LogReader reader_of(std::vector<std::byte> log) {
  const std::uint64_t size = log.size();
  const auto read = [log = std::move(log)](std::uint64_t offset, ByteSpan into) -> Result<void> {
    EXPECT_TRUE(within(offset, into.size(), log.size()));
    std::copy_n(log.begin() + static_cast<std::ptrdiff_t>(offset), into.size(), into.begin());
    return {};
  };
  return LogReader::open(read, size).value();
}

// A logged device over two of memory, and a look at both.
class Logged {
 public:
  explicit Logged(std::uint64_t log_bytes = kMiB, ParameterTexts parameters = {},
                  const char* block = "512")
      : data(rig.make("memory", "data", {}, {{"size", "64KiB"}, {"block", block}})),
        log(rig.make("memory", "log", {}, {{"size", std::to_string(log_bytes)}, {"block", block}})),
        top(rig.make("write_log", "top", {&data, &log}, std::move(parameters))),
        device(rig.open(top)),
        log_device(rig.open(log)) {}

  std::string status(std::string_view key) {
    for (const auto& [name, value] : top.geom->body().status()) {
      if (name == key) return value;
    }
    return "";
  }

  // Of the log as it is now.
  LogReader reader() { return reader_of(test::contents(log_device, log.size_bytes)); }

  std::vector<LogEntry> entries() {
    std::vector<LogEntry> all;
    LogReader log_reader = reader();
    while (auto entry = log_reader.next().value()) all.push_back(*entry);
    return all;
  }

  Rig rig;
  Provider& data;
  Provider& log;
  Provider& top;
  Opened device;
  Opened log_device;
};

// "W3" a write of sector 3, "F" a flush, "A3" with FUA, "D3" a discard, "M" a mark.
std::string text_of(const std::vector<LogEntry>& entries) {
  std::string text;
  for (const LogEntry& each : entries) {
    if (!text.empty()) text += " ";
    const bool flush = each.header.has(write_log::kFlushFlag);
    const bool mark = each.header.has(write_log::kMarkFlag);
    const bool fua = each.header.has(write_log::kFuaFlag);
    const bool discard = each.header.has(write_log::kDiscardFlag);
    text += flush ? "F" : mark ? "M" : discard ? "D" : fua ? "A" : "W";
    if (!flush && !mark) text += std::to_string(each.header.sector);
  }
  return text;
}

std::uint64_t number_at(const std::vector<std::byte>& bytes, std::size_t at) {
  std::uint64_t value = 0;
  for (std::size_t i = 8; i > 0; --i) {
    value = value << 8 | static_cast<std::uint64_t>(bytes[at + i - 1]);
  }
  return value;
}

// The numbers are those of the format, not of our header.
TEST(WriteLog, bytes_are_those_of_the_format) {
  Logged logged;
  const auto bytes = pattern(1024);
  ASSERT_EQ(logged.device.write(3 * 512, bytes), Errc::ok);
  ASSERT_EQ(logged.device.discard(8 * 512, 4 * 512), Errc::ok);
  ASSERT_EQ(logged.device.flush(), Errc::ok);
  ASSERT_EQ(logged.device.write(9 * 512, ByteView(bytes).first(512), kFua), Errc::ok);
  const auto log = test::contents(logged.log_device, logged.log.size_bytes);
  EXPECT_EQ(number_at(log, 0), 0x6a736677736872u);
  EXPECT_EQ(number_at(log, 8), 1u);
  EXPECT_EQ(number_at(log, 16), 4u);
  EXPECT_EQ(number_at(log, 24) & 0xffffffff, 512u);
  const std::array<std::array<std::uint64_t, 5>, 4> wanted = {{
      {512, 3, 2, 0, 0},      // at sector 1: two sectors of data follow
      {4 * 512, 8, 4, 4, 0},  // a discard: none follow
      {5 * 512, 0, 0, 1, 0},  // the flush
      {6 * 512, 9, 1, 2, 0},  // FUA: one follows
  }};
  for (const auto& [at, sector, sectors, flags, length] : wanted) {
    EXPECT_EQ(number_at(log, at), sector) << "at " << at;
    EXPECT_EQ(number_at(log, at + 8), sectors) << "at " << at;
    EXPECT_EQ(number_at(log, at + 16), flags) << "at " << at;
    EXPECT_EQ(number_at(log, at + 24), length) << "at " << at;
  }
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), log.begin() + 2 * 512));
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.begin() + 512, log.begin() + 7 * 512));
  EXPECT_EQ(logged.status("entries"), "4");
}

TEST(WriteLog, sectors_are_blocks_of_the_device) {
  Logged logged(kMiB, {}, "4096");
  ASSERT_EQ(logged.device.write(8192, pattern(4096), kFua), Errc::ok);
  const auto entries = logged.entries();
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(logged.reader().super().sector_bytes, 4096u);
  EXPECT_EQ(entries[0].header.sector, 2u);
  EXPECT_EQ(entries[0].header.sectors, 1u);
  EXPECT_EQ(entries[0].at, 8192u);
}

TEST(WriteLog, nothing_is_logged_before_a_flush) {
  Logged logged;
  ASSERT_EQ(logged.device.write(0, pattern(512)), Errc::ok);
  std::vector<std::byte> back(512);
  ASSERT_EQ(logged.device.read(0, back), Errc::ok);
  EXPECT_EQ(back, pattern(512));
  EXPECT_EQ(test::contents(logged.log_device, kMiB), std::vector<std::byte>(kMiB));
}

// --- order ---------------------------------------------------------------------------------------

// A data device that ends what it is asked when the test says so.
struct Ordered {
  struct Held {
    Bio* bio;
    Context* cx;
  };

  Ordered()
      : data((wire(), probes.make(rig, "data", {}, kDisk))),
        log(rig.make("memory", "log", {}, {{"size", "1MiB"}})),
        top(rig.make("write_log", "top", {&data, &log})),
        device(rig.open(top)),
        log_device(rig.open(log)) {}

  void wire() {
    probes.body().request = [this](Bio& bio, ProbePad&, Context& cx) {
      held[bio.op == Op::flush ? kFlushKey : bio.offset / 512] = {&bio, &cx};
      return Verdict::held();
    };
    probes.body().cancel = [](Bio&, ProbePad&, Context&) {};
  }

  void wait_for(std::uint64_t key) {
    while (held.count(key) == 0) rig.lane().wait(1000);
  }
  // Ends the request; what follows of it may take its time on the worker.
  void end(std::uint64_t key, Errc error = Errc::ok) {
    wait_for(key);
    const Held one = held[key];
    held.erase(key);
    if (error == Errc::ok) {
      one.bio->succeed();
    } else {
      one.bio->fail(error);
    }
    one.cx->resume(*one.bio, Verdict::done());
  }

  std::string logged() {
    std::vector<LogEntry> all;
    LogReader reader = reader_of(test::contents(log_device, kMiB));
    while (auto entry = reader.next().value()) all.push_back(*entry);
    return text_of(all);
  }

  static constexpr std::uint64_t kFlushKey = 1000;

  std::map<std::uint64_t, Held> held;
  ProbeClass probes;
  Rig rig;
  Provider& data;
  Provider& log;
  Provider& top;
  Opened device;
  Opened log_device;
};

// W1 W2 W3 C3 C2 Wflush C1 Cflush: the kernel's own example.
TEST(WriteLog, a_write_that_ends_behind_the_flush_waits_for_the_next) {
  Ordered ordered;
  auto bytes = pattern(512);
  Channel& channel = ordered.device.channel();
  Async one(channel, Op::write, 512, bytes);
  Async two(channel, Op::write, 1024, bytes);
  Async three(channel, Op::write, 1536, bytes);
  ordered.end(3);
  three.wait();
  ordered.end(2);
  two.wait();
  Async flush(channel, Op::flush, 0, 0);
  ordered.wait_for(Ordered::kFlushKey);
  ordered.end(1);
  one.wait();
  ordered.end(Ordered::kFlushKey);
  EXPECT_EQ(flush.wait(), Errc::ok);
  EXPECT_EQ(ordered.logged(), "W3 W2 F");
  Async again(channel, Op::flush, 0, 0);
  ordered.end(Ordered::kFlushKey);
  EXPECT_EQ(again.wait(), Errc::ok);
  EXPECT_EQ(ordered.logged(), "W3 W2 F W1 F");
}

TEST(WriteLog, fua_goes_before_what_waits_for_a_flush) {
  Ordered ordered;
  auto bytes = pattern(512);
  Channel& channel = ordered.device.channel();
  Async one(channel, Op::write, 512, bytes);
  ordered.end(1);
  one.wait();
  Async fua(channel, Op::write, 1024, bytes, kFua);
  ordered.end(2);
  EXPECT_EQ(fua.wait(), Errc::ok);
  EXPECT_EQ(ordered.logged(), "A2");
  Async flush(channel, Op::flush, 0, 0);
  ordered.end(Ordered::kFlushKey);
  EXPECT_EQ(flush.wait(), Errc::ok);
  EXPECT_EQ(ordered.logged(), "A2 W1 F");
}

// A replay must not bring back what a FUA write has overwritten; what ended before that goes along.
TEST(WriteLog, fua_goes_behind_what_it_has_overwritten) {
  Ordered ordered;
  auto bytes = pattern(512);
  Channel& channel = ordered.device.channel();
  for (const std::uint64_t sector : {1, 2, 3}) {
    Async write(channel, Op::write, sector * 512, bytes);
    ordered.end(sector);
    write.wait();
  }
  Async flush(channel, Op::flush, 0, 0);
  ordered.wait_for(Ordered::kFlushKey);
  Async fua(channel, Op::write, 1024, bytes, kFua);
  ordered.end(2);
  EXPECT_EQ(fua.wait(), Errc::ok);
  EXPECT_EQ(ordered.logged(), "W1 W2 A2");
  ordered.end(Ordered::kFlushKey);
  EXPECT_EQ(flush.wait(), Errc::ok);
  EXPECT_EQ(ordered.logged(), "W1 W2 A2 W3 F");
}

TEST(WriteLog, a_flush_that_overtakes_another_logs_what_both_cover) {
  Ordered ordered;
  auto bytes = pattern(512);
  Channel& channel = ordered.device.channel();
  Async one(channel, Op::write, 512, bytes);
  ordered.end(1);
  one.wait();
  Async slow(channel, Op::flush, 0, 0);
  ordered.wait_for(Ordered::kFlushKey);
  const auto first = ordered.held.extract(Ordered::kFlushKey);
  Async two(channel, Op::write, 512, bytes);
  ordered.end(1);
  two.wait();
  Async fast(channel, Op::flush, 0, 0);
  ordered.end(Ordered::kFlushKey);
  EXPECT_EQ(fast.wait(), Errc::ok);
  EXPECT_EQ(ordered.logged(), "W1 W1 F");
  ordered.held[Ordered::kFlushKey] = first.mapped();
  ordered.end(Ordered::kFlushKey);
  EXPECT_EQ(slow.wait(), Errc::ok);
  EXPECT_EQ(ordered.logged(), "W1 W1 F F");
}

TEST(WriteLog, what_failed_is_not_logged_and_a_failed_flush_logs_nothing) {
  Ordered ordered;
  auto bytes = pattern(512);
  Channel& channel = ordered.device.channel();
  Async bad(channel, Op::write, 512, bytes);
  ordered.end(1, Errc::io);
  EXPECT_EQ(bad.wait(), Errc::io);
  Async good(channel, Op::write, 1024, bytes);
  ordered.end(2);
  EXPECT_EQ(good.wait(), Errc::ok);
  Async failing(channel, Op::flush, 0, 0);
  ordered.end(Ordered::kFlushKey, Errc::io);
  EXPECT_EQ(failing.wait(), Errc::io);
  Async later(channel, Op::write, 1536, bytes);
  ordered.end(3);
  EXPECT_EQ(later.wait(), Errc::ok);
  Async flush(channel, Op::flush, 0, 0);
  ordered.end(Ordered::kFlushKey);
  EXPECT_EQ(flush.wait(), Errc::ok);
  EXPECT_EQ(ordered.logged(), "W2 W3 F");
}

// --- replay --------------------------------------------------------------------------------------

// Applies the log up to and with its next flush; false at its end.
bool replay_to_flush(LogReader& log, std::vector<std::byte>& device) {
  while (auto entry = log.next().value()) {
    const std::uint64_t sector = log.super().sector_bytes;
    const auto at = static_cast<std::ptrdiff_t>(entry->header.sector * sector);
    const std::uint64_t length = entry->header.sectors * sector;
    if (entry->header.has_bytes()) {
      std::vector<std::byte> bytes(length);
      EXPECT_TRUE(log.bytes(*entry, 0, bytes).ok());
      std::copy(bytes.begin(), bytes.end(), device.begin() + at);
    } else if (entry->header.has(write_log::kDiscardFlag)) {
      std::fill_n(device.begin() + at, length, std::byte{0});
    }
    if (entry->header.has(write_log::kFlushFlag)) return true;
  }
  return false;
}

TEST(WriteLog, a_replay_gives_the_device_as_it_was_at_each_flush) {
  Logged logged(8 * kMiB, {{"marks", "true"}});
  Random random(7);
  std::vector<std::vector<std::byte>> at_flush;
  for (int i = 0; i < 300; ++i) {
    const std::uint64_t first = random.below(kDisk / 512);
    const std::uint64_t most =
        std::min<std::uint64_t>(kDisk / 512 - first, random.one_in(8) ? 128 : 8);
    const std::uint64_t length = (1 + random.below(most)) * 512;
    const std::uint64_t kind = random.below(10);
    if (kind < 6) {
      ASSERT_EQ(logged.device.write(first * 512, pattern(length, i)), Errc::ok);
    } else if (kind == 6) {
      ASSERT_EQ(logged.device.discard(first * 512, length), Errc::ok);
    } else if (kind == 7) {
      ASSERT_EQ(logged.device.write_zeroes(first * 512, length), Errc::ok);
    } else {
      ASSERT_EQ(logged.device.flush(), Errc::ok);
      at_flush.push_back(test::contents(logged.device, kDisk));
    }
  }
  ASSERT_GT(at_flush.size(), 20u);
  EXPECT_EQ(logged.status("logging"), "on");
  std::vector<std::byte> replayed(kDisk);
  LogReader log = logged.reader();
  for (std::size_t i = 0; i < at_flush.size(); ++i) {
    ASSERT_TRUE(replay_to_flush(log, replayed)) << "flush " << i;
    ASSERT_EQ(replayed, at_flush[i]) << "flush " << i;
    const auto mark = log.next().value();
    ASSERT_TRUE(mark && mark->header.has(write_log::kMarkFlag));
    EXPECT_EQ(mark->mark, "flush " + std::to_string(i + 1));
  }
  EXPECT_FALSE(replay_to_flush(log, replayed));
}

TEST(WriteLog, long_writes_and_zeroes_are_logged_whole) {
  Logged logged(kMiB);
  const auto bytes = pattern(kDisk);
  ASSERT_EQ(logged.device.write(0, bytes, kFua), Errc::ok);
  ASSERT_EQ(logged.device.run(Op::write_zeroes, 0, kDisk, {}, kFua), Errc::ok);
  LogReader log = logged.reader();
  const auto written = log.next().value();
  std::vector<std::byte> back(kDisk);
  ASSERT_TRUE(log.bytes(*written, 0, back).ok());
  EXPECT_EQ(back, bytes);
  const auto zeroes = log.next().value();
  ASSERT_TRUE(log.bytes(*zeroes, 0, back).ok());
  EXPECT_EQ(back, std::vector<std::byte>(kDisk));
}

// --- many at once --------------------------------------------------------------------------------

TEST(WriteLog, each_of_many_at_once_is_logged_once) {
  Logged logged;
  constexpr std::uint64_t kCount = 64;
  std::vector<std::vector<std::byte>> memory;
  for (std::uint64_t i = 0; i < kCount; ++i) memory.push_back(pattern(512, i));
  std::deque<Async> requests;
  for (std::uint64_t i = 0; i < kCount; ++i) {
    requests.emplace_back(logged.device.channel(), Op::write, i * 512, memory[i], kFua);
  }
  for (Async& each : requests) EXPECT_EQ(each.wait(), Errc::ok);
  std::vector<std::uint64_t> sectors;
  for (const LogEntry& each : logged.entries()) sectors.push_back(each.header.sector);
  std::sort(sectors.begin(), sectors.end());
  ASSERT_EQ(sectors.size(), kCount);
  for (std::uint64_t i = 0; i < kCount; ++i) EXPECT_EQ(sectors[i], i);
}

// The writer is cancelled while its entry is on the way to the log: the next one writes it.
TEST(WriteLog, a_cancelled_writer_leaves_no_hole) {
  ProbeClass probes;
  Rig rig;
  Provider& data = rig.make("memory", "data", {}, {{"size", "64KiB"}});
  Provider& memory = rig.make("memory", "memory", {}, {{"size", "1MiB"}});
  Bio* stuck = nullptr;
  bool holds = true;
  probes.body().request = [&](Bio& bio, ProbePad&, Context&) {
    if (!holds) return Verdict::forward(0);
    stuck = &bio;
    return Verdict::held();
  };
  probes.body().cancel = [&](Bio& bio, ProbePad&, Context& cx) {
    stuck = nullptr;
    bio.fail(Errc::cancelled);
    cx.resume(bio, Verdict::done());
  };
  Provider& log = probes.make(rig, "log", {&memory});
  Provider& top = rig.make("write_log", "top", {&data, &log});
  Opened device = rig.open(top);
  auto bytes = pattern(512);
  Async first(device.channel(), Op::write, 512, bytes, kFua);
  while (stuck == nullptr) rig.lane().wait(1000);
  Async second(device.channel(), Op::write, 1024, bytes, kFua);
  holds = false;
  first.cancel();
  EXPECT_EQ(first.wait(), Errc::cancelled);
  EXPECT_EQ(second.wait(), Errc::ok);
  Opened look = rig.open(memory);
  const auto raw = test::contents(look, kMiB);
  EXPECT_EQ(number_at(raw, 16), 2u);
  EXPECT_EQ(number_at(raw, 512), 1u);
  EXPECT_EQ(number_at(raw, 512 + 1024), 2u);
}

// --- the end of logging --------------------------------------------------------------------------

TEST(WriteLog, a_full_log_ends_and_requests_go_on) {
  Logged logged(6 * 512);
  for (std::uint64_t i = 0; i < 4; ++i) {
    ASSERT_EQ(logged.device.write(i * 512, pattern(512, i), kFua), Errc::ok);
  }
  EXPECT_EQ(logged.status("logging"), "stopped: the log is full");
  EXPECT_EQ(text_of(logged.entries()), "A0 A1");
  std::vector<std::byte> back(512);
  ASSERT_EQ(logged.device.read(3 * 512, back), Errc::ok);
  EXPECT_EQ(back, pattern(512, 3));
}

TEST(WriteLog, more_than_the_buffer_holds_ends_it) {
  Logged logged(kMiB, {{"buffer", "64KiB"}});
  ASSERT_EQ(logged.device.write(0, pattern(32 * kKiB)), Errc::ok);
  ASSERT_EQ(logged.device.write(0, pattern(32 * kKiB)), Errc::ok);
  EXPECT_EQ(logged.status("logging"), "stopped: more waits for a flush than the buffer holds");
  EXPECT_EQ(logged.device.flush(), Errc::ok);
}

TEST(WriteLog, a_log_that_fails_ends_it) {
  Rig rig;
  Provider& data = rig.make("memory", "data", {}, {{"size", "64KiB"}});
  Provider& memory = rig.make("memory", "memory", {}, {{"size", "1MiB"}});
  Provider& log = rig.make("fault", "fault", {&memory}, {{"op", "write"}, {"nth", "3"}});
  Provider& top = rig.make("write_log", "top", {&data, &log});
  Opened device = rig.open(top);
  EXPECT_EQ(device.write(0, pattern(512), kFua), Errc::ok);
  EXPECT_EQ(device.write(512, pattern(512), kFua), Errc::ok);
  EXPECT_EQ(device.write(1024, pattern(512), kFua), Errc::ok);
  EXPECT_EQ(top.geom->body().status()[0].second, "stopped: the log cannot be written");
  Opened look = rig.open(memory);
  EXPECT_EQ(number_at(test::contents(look, kMiB), 16), 1u);
}

TEST(WriteLog, goes_on_without_its_log) {
  Logged logged;
  ASSERT_EQ(logged.device.write(0, pattern(512), kFua), Errc::ok);
  logged.rig.topology().orphan(logged.log, Errc::gone);
  EXPECT_EQ(logged.top.orphaned, Errc::ok);
  EXPECT_EQ(logged.device.write(512, pattern(512), kFua), Errc::ok);
  EXPECT_EQ(logged.status("logging"), "stopped: the log's device is gone");
}

TEST(WriteLog, refuses_what_makes_no_log) {
  Rig rig;
  Provider& data = rig.make("memory", "data", {}, {{"size", "64KiB"}});
  Provider& tiny = rig.make("memory", "tiny", {}, {{"size", "512"}});
  const auto refused = rig.try_make("write_log", "top", {&data, &tiny});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message, "write_log: tiny has 512 bytes, no room for an entry");
  EXPECT_FALSE(rig.try_make("write_log", "top", {&data}).ok());
}

}  // namespace
}  // namespace ashlar
