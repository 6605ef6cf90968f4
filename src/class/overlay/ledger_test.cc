// The ledger. Goal: whatever a flush has acknowledged is in the map, whichever of the records under
// way reach the medium when the power goes, however many rounds overlap, and however often the map
// is loaded again; and the map does not grow with the number of flushes. Method: random ranges,
// rounds that end in any order or fail, cuts that keep any part of what was not yet durable.
#include "class/overlay/ledger.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/random.h"
#include "topology/limits.h"

namespace ashlar::overlay {
namespace {

constexpr std::uint64_t kBase = 4 * kMiB;

// The map's slots, as they are on the medium.
class Medium {
 public:
  explicit Medium(std::uint64_t slots) {
    header_.base_bytes = kBase;
    header_.map_at = kDataAt + kBase;
    header_.slots = slots;
    header_.identity.fill(std::byte{7});
    bytes_.resize(header_.size_bytes());
    put_header(header_, ByteSpan(bytes_).first(kPageBytes));
  }

  Result<Loaded> load() const {
    const Read read = [this](std::uint64_t offset, ByteSpan into) -> Result<void> {
      if (!within(offset, into.size(), bytes_.size())) return make_error(Errc::out_of_range, "end");
      std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), into.size(), into.begin());
      return {};
    };
    return overlay::load(read, bytes_.size());
  }

  ByteSpan slot(std::uint64_t number) {
    return ByteSpan(bytes_).subspan(header_.map_at + number * kPageBytes, kPageBytes);
  }
  const Header& header() const { return header_; }

 private:
  Header header_;
  std::vector<std::byte> bytes_;
};

// Sectors that have been acknowledged by a flush must be in the map after a cut; those that were
// never added must not.
class LedgerModel {
 public:
  LedgerModel(std::uint64_t seed, std::uint64_t slots) : random_(seed), medium_(slots) { load(); }

  void turns(int count) {
    for (int i = 0; i < count && !testing::Test::HasFailure(); ++i) turn();
  }
  std::uint64_t most_slots() const { return most_slots_; }

 private:
  struct Flush {
    std::uint64_t target;
    std::set<std::uint64_t> covers;  // sectors
    std::unique_ptr<Round> round;    // being written
  };

  void turn() {
    switch (random_.below(40)) {
      case 0:
        return cut();
      default:
        return random_.one_in(2) ? add() : random_.one_in(2) ? begin() : go_on();
    }
  }

  void add() {
    const std::uint64_t sector = random_.below(kBase / kMinBlockBytes - 4);
    for (std::uint64_t at = sector; at < sector + 1 + random_.below(4); ++at) {
      if (!added_.insert(at).second) continue;
      ASSERT_TRUE(ledger_->add({at * kMinBlockBytes, kMinBlockBytes}));
    }
  }

  void begin() {
    if (flushes_.size() < 6) flushes_.push_back({ledger_->cut(), added_, nullptr});
  }

  // One of the flushes does its next thing.
  void go_on() {
    if (flushes_.empty()) return;
    const std::size_t which = random_.below(flushes_.size());
    Flush& flush = flushes_[which];
    if (flush.round != nullptr) {
      const bool fails = random_.one_in(10);
      for (std::size_t i = 0; i < flush.round->records; ++i) {
        const std::uint64_t slot = flush.round->slots[i];
        most_slots_ = std::max(most_slots_, slot + 1);
        if (!fails || random_.one_in(2)) write(*flush.round, i, kPageBytes);
      }
      ledger_->end(*flush.round, !fails);
      flush.round.reset();
      return;
    }
    if (ledger_->durable() >= flush.target) {
      safe_.insert(flush.covers.begin(), flush.covers.end());
      flushes_.erase(flushes_.begin() + static_cast<std::ptrdiff_t>(which));
      return;
    }
    flush.round = ledger_->begin(flush.target);
    ASSERT_NE(flush.round, nullptr);
    ASSERT_FALSE(flush.round->records == 0 && ledger_->is_full());
  }

  void write(const Round& round, std::size_t i, std::size_t bytes) {
    std::copy_n(round.pages[i].begin(), bytes, medium_.slot(round.slots[i]).begin());
  }

  // Any part of any record that is under way is on the medium.
  void cut() {
    for (Flush& each : flushes_) {
      for (std::size_t i = 0; each.round != nullptr && i < each.round->records; ++i) {
        write(*each.round, i, random_.below(9) * 512);
      }
    }
    flushes_.clear();
    load();
  }

  void load() {
    const auto loaded = medium_.load();
    ASSERT_TRUE(loaded) << loaded.error().message;
    std::set<std::uint64_t> said;
    for (const Extent& each : ranges_of(*loaded)) {
      for (std::uint64_t at = each.offset; at < each.end(); at += kMinBlockBytes) {
        said.insert(at / kMinBlockBytes);
      }
    }
    for (const std::uint64_t each : safe_) ASSERT_TRUE(said.contains(each)) << each;
    for (const std::uint64_t each : said) ASSERT_TRUE(added_.contains(each)) << each;
    added_ = said;
    ledger_ = std::make_unique<Ledger>(*loaded);
  }

  Random random_;
  Medium medium_;
  std::unique_ptr<Ledger> ledger_;
  std::vector<Flush> flushes_;
  std::set<std::uint64_t> added_;
  std::set<std::uint64_t> safe_;
  std::uint64_t most_slots_ = 0;
};

TEST(LedgerTest, what_was_flushed_is_in_the_map_after_any_cut) {
  // Each cut reads the whole map, so it is a small one.
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(seed);
    LedgerModel model(seed, 128);
    model.turns(1000);
  }
}

// One range and one flush at a time, 3000 times: records of 126 ranges and more, and a tail.
TEST(LedgerTest, the_map_does_not_grow_with_each_flush) {
  Medium medium(256);
  Ledger ledger(*medium.load());
  for (std::uint64_t i = 0; i < 3000; ++i) {
    ASSERT_TRUE(ledger.add({i * 1024, 512}));
    const auto round = ledger.begin(ledger.cut());
    ASSERT_NE(round, nullptr);
    ASSERT_EQ(round->records, 1u);
    EXPECT_LT(round->slots[0], 3000 / (kMostRanges / 2) + 3);
    std::copy_n(round->pages[0].begin(), kPageBytes, medium.slot(round->slots[0]).begin());
    ledger.end(*round, true);
  }
  EXPECT_EQ(ranges_of(*medium.load()).size(), 3000u);
}

TEST(LedgerTest, a_full_map_is_said_to_be_full) {
  Medium medium(1);
  Ledger ledger(*medium.load());
  for (std::uint64_t i = 0; i < 2 * kMostRanges; ++i) ASSERT_TRUE(ledger.add({i * 1024, 512}));
  const std::uint64_t all = ledger.cut();
  const auto first = ledger.begin(all);
  ASSERT_EQ(first->records, 1u);
  EXPECT_FALSE(ledger.is_full());  // it may come free yet
  ledger.end(*first, true);
  EXPECT_LT(ledger.durable(), all);
  EXPECT_TRUE(ledger.is_full());
  const auto second = ledger.begin(all);
  EXPECT_EQ(second->records, 0u);
  ledger.end(*second, false);
}

// What comes while a flush is under way is another range, not more of one that is being said.
TEST(LedgerTest, neighbours_join_only_until_somebody_flushes) {
  Medium medium(16);
  Ledger ledger(*medium.load());
  ASSERT_TRUE(ledger.add({0, 512}));
  ASSERT_TRUE(ledger.add({512, 512}));
  EXPECT_EQ(ledger.cut(), 1u);
  ASSERT_TRUE(ledger.add({1024, 512}));
  EXPECT_EQ(ledger.cut(), 2u);
}

}  // namespace
}  // namespace ashlar::overlay
