// Goal: the model permits what a device may answer, and nothing else.
// Method: short histories by hand; for each, what may be read and what may survive.
#include "sim/model.h"

#include <gtest/gtest.h>

#include <vector>

namespace ashlar::sim {
namespace {

constexpr Extent kHere{0, kSectorBytes};

std::vector<std::byte> bytes_of(RequestId id, Extent extent = kHere) {
  std::vector<std::byte> bytes(extent.length);
  Model::fill(extent, id, bytes);
  return bytes;
}

class History {
 public:
  RequestId begin(Op op, bool fua = false) {
    return model.begin(op, op == Op::flush ? Extent{} : kHere, fua);
  }
  void end(RequestId id, bool ok = true) { EXPECT_FALSE(model.end(id, ok)); }
  RequestId run(Op op, bool fua = false) {
    const RequestId id = begin(op, fua);
    end(id);
    return id;
  }
  bool may_read(RequestId content) { return !model.end(begin(Op::read), true, bytes_of(content)); }
  bool may_survive(RequestId content) { return !model.check_survivors(kHere, bytes_of(content)); }

  Model model{4 * kSectorBytes};
};

TEST(Model, an_acknowledged_write_is_read_and_may_be_lost) {
  History history;
  const RequestId write = history.run(Op::write);
  EXPECT_TRUE(history.may_read(write));
  EXPECT_FALSE(history.may_read(0));
  history.model.cut();
  EXPECT_TRUE(history.may_survive(write));
  EXPECT_TRUE(history.may_survive(0));
}

TEST(Model, a_write_under_way_is_read_or_not) {
  History history;
  const RequestId write = history.begin(Op::write);
  EXPECT_TRUE(history.may_read(write));
  EXPECT_TRUE(history.may_read(0));
  history.model.cut();
  EXPECT_TRUE(history.may_survive(write));
  EXPECT_TRUE(history.may_survive(0));
}

TEST(Model, a_flush_keeps_what_ended_before_it_was_asked_for) {
  History history;
  const RequestId first = history.run(Op::write);
  const RequestId flush = history.begin(Op::flush);
  const RequestId second = history.run(Op::write);
  history.end(flush);
  history.model.cut();
  EXPECT_FALSE(history.may_survive(0));
  EXPECT_TRUE(history.may_survive(first));
  EXPECT_TRUE(history.may_survive(second));
}

TEST(Model, a_flush_that_failed_or_did_not_end_keeps_nothing) {
  History history;
  const RequestId write = history.run(Op::write);
  history.end(history.begin(Op::flush), false);
  history.begin(Op::flush);
  history.model.cut();
  EXPECT_TRUE(history.may_survive(0));
  EXPECT_TRUE(history.may_survive(write));
}

TEST(Model, fua_is_kept) {
  History history;
  const RequestId write = history.run(Op::write, true);
  history.model.cut();
  EXPECT_FALSE(history.may_survive(0));
  EXPECT_TRUE(history.may_survive(write));
}

TEST(Model, a_failed_write_makes_nothing_older_wrong) {
  History history;
  const RequestId first = history.run(Op::write, true);
  const RequestId failed = history.begin(Op::write);
  history.end(failed, false);
  EXPECT_TRUE(history.may_read(first));
  EXPECT_TRUE(history.may_read(failed));
  history.run(Op::flush);
  history.model.cut();
  EXPECT_TRUE(history.may_survive(first));
  EXPECT_TRUE(history.may_survive(failed));
}

TEST(Model, of_two_writes_at_once_either_stays) {
  History history;
  const RequestId first = history.begin(Op::write);
  const RequestId second = history.begin(Op::write);
  history.end(second);
  history.end(first);
  history.run(Op::flush);
  EXPECT_TRUE(history.may_read(first));
  EXPECT_TRUE(history.may_read(second));
  EXPECT_FALSE(history.may_read(0));
  history.model.cut();
  EXPECT_TRUE(history.may_survive(first));
  EXPECT_TRUE(history.may_survive(second));
  EXPECT_FALSE(history.may_survive(0));
}

TEST(Model, a_discard_is_a_hint_and_zeroes_are_none) {
  History history;
  const RequestId write = history.run(Op::write);
  history.run(Op::discard);
  EXPECT_TRUE(history.may_read(write));
  EXPECT_TRUE(history.may_read(0));
  history.run(Op::write_zeroes);
  EXPECT_FALSE(history.may_read(write));
  EXPECT_TRUE(history.may_read(0));
}

TEST(Model, a_read_that_began_before_a_write_ended_may_miss_it) {
  History history;
  const RequestId write = history.begin(Op::write);
  const RequestId read = history.begin(Op::read);
  history.end(write);
  history.run(Op::flush);
  EXPECT_FALSE(history.model.end(read, true, bytes_of(0)));
}

TEST(Model, tells_a_sector_that_is_damaged_or_in_the_wrong_place) {
  History history;
  const RequestId write = history.run(Op::write);
  auto damaged = bytes_of(write);
  damaged[300] ^= std::byte{1};
  EXPECT_TRUE(history.model.end(history.begin(Op::read), true, damaged));
  const auto misplaced = bytes_of(write, {kSectorBytes, kSectorBytes});
  EXPECT_TRUE(history.model.end(history.begin(Op::read), true, misplaced));
}

TEST(Model, goes_on_from_what_was_seen_after_a_cut) {
  History history;
  const RequestId first = history.run(Op::write);
  const RequestId second = history.run(Op::write);
  history.model.cut();
  EXPECT_TRUE(history.may_survive(first));
  history.model.adopt_survivors();
  EXPECT_TRUE(history.may_read(first));
  EXPECT_FALSE(history.may_read(second));
  EXPECT_FALSE(history.may_read(0));
  const RequestId third = history.run(Op::write, true);
  EXPECT_FALSE(history.may_read(first));
  history.model.cut();
  EXPECT_TRUE(history.may_survive(third));
  EXPECT_FALSE(history.may_survive(first));
}

}  // namespace
}  // namespace ashlar::sim
