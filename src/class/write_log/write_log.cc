// write_log: every change of a device also goes into a log on a second device, in the format of
// dm-log-writes and in its order: a write is logged when it has ended and a flush that was asked
// for after that has ended too; FUA writes as soon as they have ended, but behind what they have
// overwritten.
//
// Of the requests whose end puts entries into the log, one at a time is the writer: it writes, in
// rounds, whatever has its place in the log, then the superblock. The others wait; who is left when
// a writer is done, or was cancelled, is asked again and becomes the next.
//
// Invariants: (1) a request that waits is in `waiting_` and held; (2) there is a writer whenever
// something waits; (3) `pad.entry` is owned by the request until it ends; (4) changes that have
// ended go from the front of `ended_` into the log, so that of two on one sector the later is
// behind.
#include <array>
#include <atomic>
#include <charconv>
#include <string_view>

#include "class/write_log/journal.h"
#include "program/split.h"
#include "topology/step_class.h"

namespace ashlar {
namespace {

using write_log::Entry;
using write_log::EntryList;
using write_log::Header;
using write_log::Journal;

constexpr std::uint32_t kData = 0;
constexpr std::uint32_t kLog = 1;

// What a mark says before the number of its flush.
constexpr std::string_view kMarkWord = "flush ";

// Zeros go into the log as bytes: an entry of them stays of a size that a log has room for.
constexpr std::uint64_t kMaxRangeLogged = 4 * kMiB;

constexpr std::array kParameters = {
    ParameterSpec{.name = "buffer",
                  .kind = ParameterKind::bytes,
                  .default_text = "256MiB",
                  .help = "how much may wait in memory for a flush; logging stops beyond it",
                  .min = 64 * kKiB,
                  .max = std::uint64_t{1} << 40},
    ParameterSpec{.name = "marks",
                  .kind = ParameterKind::flag,
                  .default_text = "false",
                  .help = "puts a mark behind each flush: \"flush 1\", \"flush 2\", ..."},
};

// Why nothing is logged any more.
enum class Stopped : std::uint8_t { no, full, buffer, error, lost };

std::string_view to_string(Stopped why) {
  constexpr std::array<std::string_view, 5> kTexts = {
      "on", "stopped: the log is full", "stopped: more waits for a flush than the buffer holds",
      "stopped: the log cannot be written", "stopped: the log's device is gone"};
  return kTexts[static_cast<std::size_t>(why)];
}

struct LogPad {
  Entry* entry;          // of a change or a flush, until it has its place; null: not logged
  std::uint64_t covers;  // a flush: changes that had ended when it came, up to this number
  std::uint64_t until;   // how many entries the log must count before the request ends
  bool logs;             // its own end is done, its entries are in the journal
};

// THREAD: the geom's worker alone, but for what status() reads.
class WriteLog final : public StepClass<WriteLog, LogPad> {
 public:
  static constexpr ClassFacts kFacts = {
      .name = "write_log",
      .summary = "logs every change to a second device, as dm-log-writes does",
      .min_consumers = 2,
      .max_consumers = 2,
      .policies = OpPolicies::handle_all(),
      .placement = Placement::detached,
      .parameters = kParameters,
  };

  WriteLog(std::uint32_t sector_bytes, std::uint64_t room_bytes, const Parameters& parameters)
      : sector_bytes_(sector_bytes),
        marks_(parameters.flag("marks")),
        log_bytes_(room_bytes),
        journal_(sector_bytes, room_bytes, parameters.number("buffer")) {}
  ~WriteLog() override { journal_.drop(ended_); }

  static Result<GeomPlan> create(const CreateArguments& arguments) {
    const ConsumerView& data = arguments.consumers[kData];
    const ConsumerView& log = arguments.consumers[kLog];
    const std::uint32_t sector = stack_limits(data.limits, log.limits).block_bytes;
    if (log.size_bytes < 2 * std::uint64_t{sector}) {
      return make_error(Errc::invalid, "write_log: {} has {} bytes, no room for an entry", log.name,
                        log.size_bytes);
    }
    if (data.size_bytes < sector) {
      return make_error(Errc::invalid, "write_log: {} has {} bytes, less than one block of {}",
                        data.name, data.size_bytes, sector);
    }
    GeomPlan plan;
    plan.body = std::make_unique<WriteLog>(sector, log.size_bytes, arguments.parameters);
    plan.providers.push_back({.size_bytes = align_down(data.size_bytes, sector)});
    return plan;
  }

  std::uint16_t max_children() const { return Journal::kMaxPieces; }

  void adjust_limits(std::uint32_t, Limits& limits) const override {
    limits.max_range_bytes = std::min(limits.max_range_bytes, kMaxRangeLogged);
  }

  bool on_consumer_lost(std::uint32_t consumer) override {
    if (consumer == kLog) stopped_.store(Stopped::lost, std::memory_order_relaxed);
    return consumer == kLog;
  }

  std::optional<std::uint64_t> on_resize(std::span<const std::uint64_t> sizes) override {
    log_bytes_.store(sizes[kLog], std::memory_order_relaxed);
    return align_down(sizes[kData], sector_bytes_);
  }

  std::vector<ConsumerByte> locate(std::uint32_t, std::uint64_t offset,
                                   std::uint32_t) const override {
    return {{kData, offset}};
  }

  std::vector<std::pair<std::string, std::string>> status() const override {
    return {{"logging", std::string(to_string(stopped_.load(std::memory_order_relaxed)))},
            {"entries", std::to_string(entries_.load(std::memory_order_relaxed))},
            {"log bytes", std::to_string(bytes_.load(std::memory_order_relaxed))}};
  }

  Verdict on_request(Bio& bio, LogPad& pad, Context&) noexcept {
    pad = {};
    if (bio.op == Op::read || !logging()) return Verdict::forward(kData);
    pad.entry = journal_.make(header_of(bio), bio.op == Op::write ? &bio.payload : nullptr);
    if (pad.entry == nullptr) stop(Stopped::buffer);
    pad.covers = ends_;
    return Verdict::forward(kData);
  }

  Verdict on_complete(Bio& bio, LogPad& pad, Context& cx) noexcept {
    if (pad.logs) return writer_ == &bio ? end_round(bio, pad, cx) : write(bio, pad, cx);
    if (pad.entry == nullptr) return Verdict::done();
    if (!bio.ok() || !logging()) {
      journal_.drop(pad.entry);
      return Verdict::done();
    }
    if (bio.op != Op::flush && !bio.fua()) {
      pad.entry->number = ++ends_;
      ended_.push(pad.entry);
      return Verdict::done();
    }
    if (bio.op != Op::flush) pad.covers = overwritten_by(*pad.entry);
    place(pad);
    return write(bio, pad, cx);
  }

  // What is waiting to be logged was carried out, and will be in the log all the same.
  void on_cancel(Bio& bio, LogPad&, Context& cx) noexcept {
    bio.queue.unlink();
    bio.fail(Errc::cancelled);
    cx.resume(bio, Verdict::done());
  }

 private:
  bool logging() const noexcept { return stopped_.load(std::memory_order_relaxed) == Stopped::no; }

  // Only the first reason counts. What waits for a flush will not be logged.
  void stop(Stopped why) noexcept {
    Stopped expected = Stopped::no;
    stopped_.compare_exchange_strong(expected, why, std::memory_order_relaxed);
    journal_.drop(ended_);
  }

  Header header_of(const Bio& bio) const noexcept {
    Header header{.sector = bio.offset / sector_bytes_, .sectors = bio.length / sector_bytes_};
    if (bio.op == Op::flush) header.flags |= write_log::kFlushFlag;
    if (bio.op == Op::discard) header.flags |= write_log::kDiscardFlag;
    if (bio.fua()) header.flags |= write_log::kFuaFlag;
    return header;
  }

  // The number of the last change that has ended and lies where `fua` has written: it must not be
  // replayed over that. The disk has what it holds there; what went before it goes with it, for the
  // same reason.
  std::uint64_t overwritten_by(const Entry& fua) const noexcept {
    const std::uint64_t begin = fua.header.sector, end = begin + fua.header.sectors;
    std::uint64_t last = 0;
    for (const Entry* each = ended_.first; each != nullptr; each = each->next) {
      const Header& header = each->header;
      if (header.sector < end && begin < header.sector + header.sectors) last = each->number;
    }
    return last;
  }

  // Into the log, in this order: changes that have ended, up to pad.covers; the request itself.
  void place(LogPad& pad) noexcept {
    bool room = true;
    const bool flush = pad.entry->header.has(write_log::kFlushFlag);
    while (room && !ended_.empty() && ended_.first->number <= pad.covers) {
      room = journal_.place(ended_.pop());
    }
    if (room) {
      room = journal_.place(pad.entry);
    } else {
      journal_.drop(pad.entry);
    }
    if (room && flush && marks_) room = place_mark();
    if (!room) stop(Stopped::full);
    pad.entry = nullptr;
    pad.logs = true;
    pad.until = journal_.placed();
  }

  // Without memory for it there is none.
  bool place_mark() noexcept {
    char* const digits = mark_.data() + kMarkWord.copy(mark_.data(), mark_.size());
    const char* end = std::to_chars(digits, mark_.data() + mark_.size(), ++flushes_).ptr;
    Entry* mark = journal_.make_mark({mark_.data(), end});
    return mark == nullptr || journal_.place(mark);
  }

  // Makes `bio` the writer, or lets it wait for the one that there is.
  Verdict write(Bio& bio, LogPad& pad, Context& cx) noexcept {
    if (journal_.counted() >= pad.until) {
      bio.succeed();
      return Verdict::done();
    }
    if (writer_ != nullptr) {
      waiting_.push_back(bio);
      return Verdict::held();
    }
    writer_ = &bio;
    return next_round(bio, cx);
  }

  Verdict next_round(Bio& bio, Context& cx) noexcept {
    if (!journal_.has_placed()) return end_writer(bio, cx);
    std::array<write_log::Piece, Journal::kMaxPieces> pieces;
    const std::size_t count = journal_.next_pieces(pieces, segments_);
    const std::uint64_t room = log_bytes_.load(std::memory_order_relaxed);
    if (pieces[count - 1].at + pieces[count - 1].length > room) {
      // The log shrank under what had a place in it.
      journal_.abandon_placed();
      stop(Stopped::full);
      return end_writer(bio, cx);
    }
    Split split(cx, bio);
    for (std::size_t i = 0; i < count; ++i) {
      split.add_own({.op = Op::write,
                     .consumer = kLog,
                     .offset = pieces[i].at,
                     .length = pieces[i].length,
                     .payload = {&segments_[i], 1, 0}});
    }
    return split.verdict();
  }

  Verdict end_round(Bio& bio, LogPad& pad, Context& cx) noexcept {
    if (!bio.ok()) return lose_round(bio, cx);
    journal_.pieces_done();
    entries_.store(journal_.counted(), std::memory_order_relaxed);
    bytes_.store(journal_.end_bytes(), std::memory_order_relaxed);
    // Who has what it waited for need not write for others, if one of them can.
    if (journal_.counted() >= pad.until && !waiting_.empty()) return end_writer(bio, cx);
    return next_round(bio, cx);
  }

  // A round that was cancelled is written by the next writer, from where it began; one that failed
  // is the end of the log.
  Verdict lose_round(Bio& bio, Context& cx) noexcept {
    if (bio.error == Errc::cancelled && bio.cancel_requested()) {
      hand_on(cx);
      return Verdict::done();
    }
    journal_.abandon_placed();
    stop(Stopped::error);
    return end_writer(bio, cx);
  }

  Verdict end_writer(Bio& bio, Context& cx) noexcept {
    hand_on(cx);
    bio.succeed();
    return Verdict::done();
  }

  // Those whose entries are counted end when they are asked; of the others one writes on.
  void hand_on(Context& cx) noexcept {
    writer_ = nullptr;
    while (Bio* next = waiting_.pop_front()) cx.ask_again(*next);
  }

  const std::uint32_t sector_bytes_;
  const bool marks_;
  std::atomic<std::uint64_t> log_bytes_;  // its size at the moment
  Journal journal_;
  EntryList ended_{};
  std::uint64_t ends_ = 0;  // of changes that wait for a flush, or waited
  Bio* writer_ = nullptr;
  List<Bio, &Bio::queue> waiting_;
  std::array<Segment, Journal::kMaxPieces> segments_;
  std::array<char, 32> mark_{};
  std::uint64_t flushes_ = 0;
  std::atomic<Stopped> stopped_{Stopped::no};
  std::atomic<std::uint64_t> entries_{0};
  std::atomic<std::uint64_t> bytes_{0};
};

}  // namespace

const ClassInfo& write_log_class() {
  static constexpr ClassInfo kInfo = {&WriteLog::kFacts, &WriteLog::create, nullptr};
  return kInfo;
}

}  // namespace ashlar
