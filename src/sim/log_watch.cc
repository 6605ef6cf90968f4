// The tap, and the replay of a log beside what was asked.
#include "sim/log_watch.h"

#include <fmt/format.h>

#include <algorithm>

#include "class/write_log/log_reader.h"
#include "topology/step_class.h"

namespace ashlar::sim {

using write_log::Header;
using write_log::LogEntry;
using write_log::LogReader;

// --- the tap -------------------------------------------------------------------------------------

namespace {

struct TapPad {
  std::size_t number;
};

class Tap final : public StepClass<Tap, TapPad> {
 public:
  static constexpr ClassFacts kFacts = {
      .name = "sim_tap",
      .summary = "tells a watch of requests",
      .min_consumers = 1,
      .max_consumers = 1,
      .policies = OpPolicies::handle_all(),
  };

  explicit Tap(LogWatch& watch) : watch_(watch) {}

  Verdict on_request(Bio& bio, TapPad& pad, Context&) noexcept {
    if (bio.op != Op::read) pad.number = watch_.begin(bio);
    return Verdict::forward(0);
  }
  Verdict on_complete(Bio& bio, TapPad& pad, Context&) noexcept {
    if (bio.op != Op::read) watch_.end(pad.number, bio.ok());
    return Verdict::done();
  }
  std::vector<ConsumerByte> locate(std::uint32_t, std::uint64_t offset,
                                   std::uint32_t) const override {
    return {{0, offset}};
  }

 private:
  LogWatch& watch_;
};

// The watch of the geom that is being made, as for a disk (disk_class.cc).
thread_local LogWatch* watch_of_new = nullptr;

Result<GeomPlan> create_tap(const CreateArguments& arguments) {
  ASHLAR_ASSERT(watch_of_new != nullptr);
  GeomPlan plan;
  plan.body = std::make_unique<Tap>(*watch_of_new);
  plan.providers.push_back({.size_bytes = arguments.consumers[0].size_bytes});
  return plan;
}

constexpr ClassInfo kTapInfo = {&Tap::kFacts, &create_tap, nullptr};

}  // namespace

Result<Provider*> make_tap(Topology& topology, const std::string& name, Provider& below,
                           LogWatch& watch) {
  watch_of_new = &watch;
  auto geom = topology.create(kTapInfo, {name, {&below}, {}});
  watch_of_new = nullptr;
  if (!geom) return geom.error();
  watch.restart(below.geom);
  return (*geom)->providers().front().get();
}

// --- what was asked ------------------------------------------------------------------------------

void LogWatch::restart(Geom* write_log) {
  write_log_ = write_log;
  changes_.clear();
}

std::size_t LogWatch::begin(const Bio& bio) {
  Change change{bio.op, bio.fua(), {bio.offset, bio.length}, {}, ++now_, kNever, false};
  if (bio.op == Op::flush) change.extent = {};
  if (bio.op == Op::write) {
    change.bytes.resize(bio.length);
    bio.payload.copy_to(change.bytes.data(), change.bytes.size());
  }
  changes_.push_back(std::move(change));
  return changes_.size() - 1;
}

void LogWatch::end(std::size_t number, bool ok) {
  changes_[number].ended = ++now_;
  changes_[number].acknowledged = ok;
}

bool LogWatch::logging() const {
  for (const auto& [key, value] : write_log_->body().status()) {
    if (key == "logging") return value == "on";
  }
  return false;
}

// By number of a flush in the log: what ended before this time must be there. A flush that was
// acknowledged is at the latest as far behind as flushes had been asked for when it ended.
std::vector<std::uint64_t> LogWatch::covered_by_flush() const {
  std::vector<const Change*> flushes;
  for (const Change& each : changes_) {
    if (each.op == Op::flush) flushes.push_back(&each);
  }
  std::vector<std::uint64_t> covered(flushes.size() + 1, 0);
  for (const Change* flush : flushes) {
    if (!flush->acknowledged) continue;
    const auto place = static_cast<std::size_t>(
        std::count_if(flushes.begin(), flushes.end(),
                      [&](const Change* each) { return each->issued < flush->ended; }));
    covered[place] = std::max(covered[place], flush->issued);
  }
  for (std::size_t i = 1; i < covered.size(); ++i)
    covered[i] = std::max(covered[i], covered[i - 1]);
  return covered;
}

// --- the replay ----------------------------------------------------------------------------------

class LogWatch::Replay {
 public:
  Replay(const LogWatch& watch, ByteView log, std::uint32_t sector_bytes)
      : watch_(watch), log_(log), sector_bytes_(sector_bytes) {
    for (const Change& each : watch.changes_) {
      const std::uint64_t end = each.extent.end() / sector_bytes_;
      if (end > sectors_.size()) sectors_.resize(end);
      for (std::uint64_t i = each.extent.offset / sector_bytes_; i < end; ++i) {
        sectors_[i].changes.push_back(&each);
      }
    }
  }

  // An entry that is no flush.
  std::optional<std::string> apply(const LogEntry& entry) {
    if (!was_asked(entry)) {
      return fmt::format("entry {} of the log is nothing that was asked", entry.number);
    }
    for (std::uint64_t i = 0; i < entry.header.sectors; ++i) {
      Sector& sector = sectors_[entry.header.sector + i];
      const bool discard = entry.header.has(write_log::kDiscardFlag);
      sector.holds = discard ? Holds::anything : Holds::bytes;
      sector.bytes =
          discard ? ByteView() : bytes_of(entry).subspan(i * sector_bytes_, sector_bytes_);
    }
    return std::nullopt;
  }

  // What must be there: what was acknowledged before `until`; with `durable`, also with FUA.
  std::optional<std::string> check(std::uint64_t until, bool durable) const {
    for (std::size_t i = 0; i < sectors_.size(); ++i) {
      if (!right(sectors_[i], until, durable)) return fmt::format("sector {} is stale", i);
    }
    return std::nullopt;
  }

 private:
  enum class Holds : std::uint8_t { start, bytes, anything };
  struct Sector {
    std::vector<const Change*> changes;  // as they were issued
    Holds holds = Holds::start;
    ByteView bytes;
  };

  ByteView bytes_of(const LogEntry& entry) const {
    return log_.subspan(entry.at, entry.header.sectors * sector_bytes_);
  }

  static bool all_zeros(ByteView bytes) {
    return std::all_of(bytes.begin(), bytes.end(),
                       [](std::byte each) { return each == std::byte{0}; });
  }

  bool was_asked(const LogEntry& entry) const {
    const Header& header = entry.header;
    const Extent extent{header.sector * sector_bytes_, header.sectors * sector_bytes_};
    const auto same = [&](const Change& each) {
      if (each.extent.offset != extent.offset || each.extent.length != extent.length) return false;
      if (each.fua != header.has(write_log::kFuaFlag)) return false;
      if (header.has(write_log::kDiscardFlag)) return each.op == Op::discard;
      const ByteView bytes = bytes_of(entry);
      if (each.op == Op::write_zeroes) return all_zeros(bytes);
      return each.op == Op::write && std::equal(bytes.begin(), bytes.end(), each.bytes.begin());
    };
    return std::any_of(watch_.changes_.begin(), watch_.changes_.end(), same);
  }

  bool holds(const Sector& sector, const Change& change) const {
    if (change.op == Op::write_zeroes) return all_zeros(sector.bytes);
    if (change.op != Op::write) return false;
    const std::uint64_t number = static_cast<std::uint64_t>(&sector - sectors_.data());
    const auto from = static_cast<std::ptrdiff_t>(number * sector_bytes_ - change.extent.offset);
    return std::equal(sector.bytes.begin(), sector.bytes.end(), change.bytes.begin() + from);
  }

  bool right(const Sector& sector, std::uint64_t until, bool durable) const {
    if (sector.holds == Holds::anything) return true;
    std::uint64_t newest = 0;  // when the newest of those that must be there was issued
    for (const Change* each : sector.changes) {
      const bool must = each->ended < until || (durable && each->fua);
      if (must && each->acknowledged && each->op != Op::discard) {
        newest = std::max(newest, each->issued);
      }
    }
    if (sector.holds == Holds::start) return newest == 0;
    return std::any_of(sector.changes.begin(), sector.changes.end(), [&](const Change* each) {
      return each->ended > newest && holds(sector, *each);
    });
  }

  const LogWatch& watch_;
  const ByteView log_;
  const std::uint64_t sector_bytes_;
  std::vector<Sector> sectors_;
};

std::optional<std::string> LogWatch::check(ByteView log) const {
  const bool complete = logging();
  const auto flushed = static_cast<std::size_t>(
      std::count_if(changes_.begin(), changes_.end(),
                    [](const Change& each) { return each.op == Op::flush && each.acknowledged; }));
  const auto read = [log](std::uint64_t offset, ByteSpan into) -> Result<void> {
    std::copy_n(log.begin() + static_cast<std::ptrdiff_t>(offset), into.size(), into.begin());
    return {};
  };
  auto reader = LogReader::open(read, log.size());
  if (!reader) {
    // There is none before the first flush or FUA.
    const bool owed = std::any_of(changes_.begin(), changes_.end(), [](const Change& each) {
      return each.acknowledged && (each.op == Op::flush || each.fua);
    });
    if (load_le<std::uint64_t>(log, 0) == 0 && !(complete && owed)) return std::nullopt;
    return reader.error().message;
  }
  const std::vector<std::uint64_t> covered = covered_by_flush();
  Replay replay(*this, log, reader->super().sector_bytes);
  std::size_t flushes = 0;
  while (true) {
    auto entry = reader->next();
    if (!entry) return entry.error().message;
    if (!*entry) break;
    if ((*entry)->header.has(write_log::kMarkFlag)) continue;
    if (!(*entry)->header.has(write_log::kFlushFlag)) {
      if (auto wrong = replay.apply(**entry)) return wrong;
      continue;
    }
    if (++flushes >= covered.size()) return "the log has more flushes than were asked for";
    if (auto wrong = replay.check(covered[flushes], false)) {
      return fmt::format("replayed to entry {}, flush {}: {}", (*entry)->number, flushes, *wrong);
    }
  }
  if (!complete) return std::nullopt;
  if (flushes < flushed) {
    return fmt::format("the log has {} flushes, {} were acknowledged", flushes, flushed);
  }
  if (auto wrong = replay.check(covered.back(), true)) {
    return fmt::format("replayed to the end: {}", *wrong);
  }
  return std::nullopt;
}

}  // namespace ashlar::sim
