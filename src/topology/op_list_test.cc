// Goal: a list of operations is read as written, and nonsense is refused by name.
// Method: lists of one, some and all, and what a hand may get wrong.
#include "topology/op_list.h"

#include <gtest/gtest.h>

namespace ashlar {
namespace {

TEST(OpList, names_operations) {
  const OpSet some = OpSet().with(Op::read).with(Op::write_zeroes);
  EXPECT_EQ(parse_op_list("fault", "read,write_zeroes").value(), some);
  EXPECT_EQ(parse_op_list("fault", " write_zeroes , read ").value(), some);
  EXPECT_EQ(parse_op_list("fault", "flush").value(), OpSet().with(Op::flush));
  const OpSet all = parse_op_list("fault", "all").value();
  for (std::size_t i = 0; i < kOpCount; ++i) {
    // A repair is nothing that users ask for.
    const Op op = static_cast<Op>(i);
    EXPECT_EQ(all.has(op), op != Op::repair);
  }
}

TEST(OpList, refuses_other_words) {
  for (const char* text : {"", "reads", "read,", ",read", "read write", "READ", "all,read"}) {
    const auto ops = parse_op_list("fault", text);
    ASSERT_FALSE(ops.ok()) << text;
    EXPECT_EQ(ops.error().code, Errc::invalid);
  }
  EXPECT_NE(parse_op_list("fault", "read,wipe").error().message.find("fault: 'wipe'"),
            std::string::npos);
}

}  // namespace
}  // namespace ashlar
