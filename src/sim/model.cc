// The records of each sector, and which of them are right when.
//
// Invariants: (1) the records of a sector are in the order in which they were issued; (2) a record
// leaves when it is neither right for a read that is under way or to come, nor after a cut.
#include "sim/model.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/random.h"

namespace ashlar::sim {
namespace {

constexpr std::uint64_t kWordStep = 0x9e3779b97f4a7c15u;

}  // namespace

Model::Model(std::uint64_t size_bytes) : sectors_(size_bytes / kSectorBytes), requests_(1) {
  ASHLAR_ASSERT(size_bytes % kSectorBytes == 0);
  const Record zeros{0, 0, 0, 0, kNever, false, false};
  for (auto& each : sectors_) each.push_back(zeros);
}

std::uint64_t Model::first_word(RequestId content, std::uint64_t sector) {
  return content == 0 ? 0 : random_at(content, sector);
}

void Model::fill(Extent extent, RequestId id, ByteSpan into) {
  const std::uint64_t step = id == 0 ? 0 : kWordStep;
  for (std::uint64_t at = 0; at < extent.length; at += kSectorBytes) {
    std::uint64_t word = first_word(id, (extent.offset + at) / kSectorBytes);
    for (std::size_t i = 0; i < kSectorBytes; i += 8, word += step) store_le(into, at + i, word);
  }
}

bool Model::holds(RequestId content, std::uint64_t sector, ByteView bytes) {
  std::uint64_t word = first_word(content, sector);
  const std::uint64_t step = content == 0 ? 0 : kWordStep;
  for (std::size_t i = 0; i < kSectorBytes; i += 8, word += step) {
    if (load_le<std::uint64_t>(bytes, i) != word) return false;
  }
  return true;
}

template <typename Visit>
void Model::for_each_sector(Extent extent, Visit&& visit) {
  for (std::uint64_t at = extent.offset; at < extent.end(); at += kSectorBytes) {
    visit(at / kSectorBytes, sectors_[at / kSectorBytes]);
  }
}

Model::Record& Model::record(std::uint64_t sector, RequestId id) {
  auto& records = sectors_[sector];
  const auto found = std::find_if(records.rbegin(), records.rend(),
                                  [id](const Record& each) { return each.id == id; });
  ASHLAR_ASSERT(found != records.rend());
  return *found;
}

RequestId Model::begin(Op op, Extent extent, bool fua) {
  const auto id = static_cast<RequestId>(requests_.size());
  const std::uint64_t now = ++now_;
  requests_.push_back({op, fua, extent, now, kNever, false});
  if (op == Op::read) reads_.push_back(id);
  if (!changes(op)) return id;
  const RequestId content = op == Op::write ? id : 0;
  for_each_sector(extent, [&](std::uint64_t, std::vector<Record>& records) {
    records.push_back({id, content, now, kNever, kNever, false, false});
  });
  return id;
}

std::optional<std::string> Model::end(RequestId id, bool ok, ByteView bytes) {
  Request& request = requests_[id];
  ASHLAR_ASSERT(request.ended == kNever);
  request.ended = ++now_;
  request.acknowledged = ok;
  if (changes(request.op)) end_change(id, ok && request.op != Op::discard);
  if (request.op == Op::flush && ok) end_flush(request);
  if (request.op != Op::read) return std::nullopt;
  std::erase(reads_, id);
  return ok ? check_read(request, bytes) : std::nullopt;
}

void Model::end_change(RequestId id, bool ok) {
  const Request& request = requests_[id];
  for_each_sector(request.extent, [&](std::uint64_t sector, std::vector<Record>& records) {
    record(sector, id).ended = now_;
    if (!ok) return;
    for (Record& each : records) {
      if (each.ended < request.issued) each.stale_at = std::min(each.stale_at, now_);
    }
  });
  if (!ok) return;
  if (request.fua) {
    make_durable(id);
  } else {
    unflushed_.push_back(id);
  }
}

void Model::end_flush(const Request& flush) {
  const auto covered = [&](RequestId id) { return requests_[id].ended < flush.issued; };
  for (const RequestId id : unflushed_) {
    if (covered(id)) make_durable(id);
  }
  std::erase_if(unflushed_, covered);
}

void Model::make_durable(RequestId id) {
  const Request& request = requests_[id];
  for_each_sector(request.extent, [&](std::uint64_t, std::vector<Record>& records) {
    for (Record& each : records) {
      if (each.ended < request.issued) each.superseded = true;
    }
    prune(records);
  });
}

std::uint64_t Model::oldest_read() const {
  return reads_.empty() ? now_ : requests_[reads_.front()].issued;
}

void Model::prune(std::vector<Record>& records) const {
  const std::uint64_t oldest = oldest_read();
  std::erase_if(records,
                [&](const Record& each) { return each.superseded && each.stale_at <= oldest; });
}

std::optional<std::string> Model::check_read(const Request& read, ByteView bytes) const {
  for (std::uint64_t at = 0; at < read.extent.length; at += kSectorBytes) {
    const std::uint64_t sector = (read.extent.offset + at) / kSectorBytes;
    const ByteView found = bytes.subspan(at, kSectorBytes);
    const auto& records = sectors_[sector];
    const bool right = std::any_of(records.rbegin(), records.rend(), [&](const Record& each) {
      return each.stale_at > read.issued && holds(each.content, sector, found);
    });
    if (!right) return describe(sector, found, "read");
  }
  return std::nullopt;
}

void Model::cut() {
  now_++;
  reads_.clear();
  unflushed_.clear();
}

std::optional<std::string> Model::check_survivors(Extent extent, ByteView bytes) {
  for (std::uint64_t at = 0; at < extent.length; at += kSectorBytes) {
    const std::uint64_t sector = (extent.offset + at) / kSectorBytes;
    const ByteView found = bytes.subspan(at, kSectorBytes);
    bool right = false;
    for (Record& each : sectors_[sector]) {
      if (each.superseded || !holds(each.content, sector, found)) continue;
      each.seen = right = true;
    }
    if (!right) return describe(sector, found, "after the power cut");
  }
  return std::nullopt;
}

// Sectors that no disk could show any more keep what they may have held.
void Model::adopt_survivors() {
  const std::uint64_t now = ++now_;
  for (auto& records : sectors_) {
    const bool known =
        std::any_of(records.begin(), records.end(), [](const Record& each) { return each.seen; });
    std::erase_if(records,
                  [&](const Record& each) { return each.superseded || (known && !each.seen); });
    for (Record& each : records) each = {each.id, each.content, 0, now, kNever, false, false};
  }
}

std::string Model::describe(std::uint64_t sector, ByteView bytes, std::string_view why) const {
  std::string holding = "bytes that nobody wrote";
  for (RequestId id = 0; id < requests_.size(); ++id) {
    if (id != 0 && requests_[id].op != Op::write) continue;
    if (holds(id, sector, bytes)) {
      holding = id == 0 ? "zeros" : fmt::format("what request {} wrote", id);
      break;
    }
    for (std::uint64_t other = 0; id != 0 && other < sectors_.size(); ++other) {
      if (!holds(id, other, bytes)) continue;
      holding = fmt::format("what request {} wrote to sector {}", id, other);
    }
  }
  std::string wanted;
  for (const Record& each : sectors_[sector]) {
    wanted += fmt::format("{}{}{}", wanted.empty() ? "" : ", ",
                          each.id == 0 ? "the first zeros" : fmt::format("request {}", each.id),
                          each.superseded           ? " (durably overwritten)"
                          : each.stale_at != kNever ? " (overwritten)"
                                                    : "");
  }
  return fmt::format("{}: sector {} holds {}; it knows {}", why, sector, holding, wanted);
}

}  // namespace ashlar::sim
