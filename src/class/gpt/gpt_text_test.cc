// Goal: names and UUIDs of a GPT come out as people know them, whatever bytes are in them.
// Method: known pairs, among them the EFI system GUID of the UEFI specification, and every class of
// malformed UTF-16.
#include "class/gpt/gpt_text.h"

#include <gtest/gtest.h>

#include <vector>

namespace ashlar {
namespace {

std::string utf8(std::u16string_view text) {
  std::vector<std::byte> bytes(2 * text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    store_le<std::uint16_t>(bytes, 2 * i, static_cast<std::uint16_t>(text[i]));
  }
  return utf8_from_utf16le(bytes);
}

TEST(GptText, GuidsAreMixedEndian) {
  const unsigned char efi[] = {0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11,
                               0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b};
  const std::string text = guid_text(std::as_bytes(std::span(efi)));
  EXPECT_EQ(text, "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
  EXPECT_EQ(gpt_type_name(text), "EFI system");
  EXPECT_EQ(gpt_type_name("00000000-0000-0000-0000-000000000000"), "");
}

TEST(GptText, NamesBecomeUtf8OfEveryLength) {
  EXPECT_EQ(utf8(u"root fs"), "root fs");
  EXPECT_EQ(utf8(u"Stra\u00dfe"),
            "Stra\xc3\x9f"
            "e");
  EXPECT_EQ(utf8(u"\u65e5\u672c"), "\xe6\x97\xa5\xe6\x9c\xac");
  EXPECT_EQ(utf8(u"\U0001f4be"), "\xf0\x9f\x92\xbe");
  EXPECT_EQ(utf8(u""), "");
}

TEST(GptText, NamesEndAtTheFirstNul) {
  using namespace std::string_view_literals;
  EXPECT_EQ(utf8(u"one\0two"sv), "one");
  EXPECT_EQ(utf8(std::u16string(36, u'x')), std::string(36, 'x'));
}

TEST(GptText, MalformedNamesStayValidUtf8) {
  const std::string replacement = "\xef\xbf\xbd";
  EXPECT_EQ(utf8({u"\xd800", 1}), replacement);
  EXPECT_EQ(utf8({u"\xdc00z", 2}), replacement + "z");
  EXPECT_EQ(utf8({u"\xd800z", 2}), replacement + "z");
  EXPECT_EQ(utf8({u"\xd800\xd83d\xdcbe", 3}), replacement + "\xf0\x9f\x92\xbe");
}

TEST(GptText, ControlCharactersDoNotReachATerminal) {
  const std::string replacement = "\xef\xbf\xbd";
  EXPECT_EQ(utf8(u"a\x1b[31m"), "a" + replacement + "[31m");
  EXPECT_EQ(utf8(u"\x7f\x9b\n"), replacement + replacement + replacement);
}

}  // namespace
}  // namespace ashlar
