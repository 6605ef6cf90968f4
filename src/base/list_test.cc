// Goal: the intrusive list keeps order and links. Method: a few elements, each operation once.
#include "base/list.h"

#include <gtest/gtest.h>

namespace ashlar {
namespace {

struct Item {
  int value = 0;
  ListLink link;
};
using Items = List<Item, &Item::link>;

TEST(List, keeps_the_order_of_insertion) {
  Item a{1, {}}, b{2, {}}, c{3, {}};
  Items list;
  list.push_back(b);
  list.push_back(c);
  list.push_front(a);
  EXPECT_EQ(list.pop_front(), &a);
  EXPECT_EQ(list.next(b), &c);
  EXPECT_EQ(list.next(c), nullptr);
  b.link.unlink();
  EXPECT_EQ(list.pop_front(), &c);
  EXPECT_EQ(list.pop_front(), nullptr);
  EXPECT_TRUE(list.empty());
}

TEST(List, splices_one_list_behind_another) {
  Item a{1, {}}, b{2, {}}, c{3, {}};
  Items left, right;
  left.push_back(a);
  right.push_back(b);
  right.push_back(c);
  left.splice_back(right);
  EXPECT_TRUE(right.empty());
  EXPECT_EQ(left.pop_front(), &a);
  EXPECT_EQ(left.pop_front(), &b);
  EXPECT_EQ(left.pop_front(), &c);
}

TEST(ListDeathTest, refuses_to_lose_a_linked_element) {
  EXPECT_DEATH(
      {
        Items list;
        Item item;
        list.push_back(item);
        item.link.~ListLink();
      },
      "bug");
}

}  // namespace
}  // namespace ashlar
