// Goal: what a user wrote is read as meant, within its range, or refused with a sentence that
// helps. Method: one specification of every kind, texts right and wrong.
#include "topology/parameters.h"

#include <gtest/gtest.h>

#include <array>

namespace ashlar {
namespace {

constexpr std::array kSpecs = {
    ParameterSpec{.name = "size",
                  .kind = ParameterKind::bytes,
                  .help = "how large",
                  .required = true,
                  .min = 512,
                  .max = 1024 * 1024},
    ParameterSpec{.name = "legs", .kind = ParameterKind::integer, .default_text = "2", .max = 8},
    ParameterSpec{.name = "rate", .kind = ParameterKind::ratio, .default_text = "0.5"},
    ParameterSpec{.name = "fast", .kind = ParameterKind::flag, .default_text = "no"},
    ParameterSpec{.name = "path", .kind = ParameterKind::text, .default_text = "none"},
    ParameterSpec{.name = "wait", .kind = ParameterKind::duration, .default_text = "10ms"},
};

Result<Parameters> parse(const ParameterTexts& texts) {
  return Parameters::parse("thing", kSpecs, texts);
}

TEST(Parameters, takes_defaults_and_what_is_given) {
  const auto defaults = parse({{"size", "4KiB"}});
  ASSERT_TRUE(defaults.ok());
  EXPECT_EQ(defaults->number("size"), 4096u);
  EXPECT_EQ(defaults->number("legs"), 2u);
  EXPECT_EQ(defaults->ratio("rate"), 0.5);
  EXPECT_FALSE(defaults->flag("fast"));
  EXPECT_EQ(defaults->text("path"), "none");
  EXPECT_EQ(defaults->number("wait"), 10'000'000u);
  EXPECT_EQ(defaults->texts().at("wait"), "10ms");

  const auto given = parse({{"size", "0x400"},
                            {"legs", "8"},
                            {"rate", "1"},
                            {"fast", "Yes"},
                            {"path", ""},
                            {"wait", "3us"}});
  ASSERT_TRUE(given.ok());
  EXPECT_EQ(given->number("size"), 1024u);
  EXPECT_EQ(given->number("legs"), 8u);
  EXPECT_EQ(given->ratio("rate"), 1.0);
  EXPECT_TRUE(given->flag("fast"));
  EXPECT_EQ(given->text("path"), "");
  EXPECT_EQ(given->number("wait"), 3000u);
}

TEST(Parameters, refuses_with_a_sentence_that_names_the_mistake) {
  struct Case {
    ParameterTexts texts;
    const char* part;
  };
  const std::vector<Case> cases = {
      {{}, "'size' (how large) is required"},
      {{{"size", "4K"}, {"sise", "1"}}, "there is no parameter 'sise'"},
      {{{"size", "511"}}, "size = '511' is outside"},
      {{{"size", "1025K"}}, "is outside"},
      {{{"size", "many"}}, "is not a size such as"},
      {{{"size", ""}}, "is not a size"},
      {{{"size", "4K"}, {"legs", "9"}}, "legs = '9' is outside 0 to 8"},
      {{{"size", "4K"}, {"legs", "-1"}}, "is not a whole number"},
      {{{"size", "4K"}, {"legs", "2K"}}, "is not a whole number"},
      {{{"size", "4K"}, {"rate", "1.01"}}, "is not a number from 0 to 1"},
      {{{"size", "4K"}, {"rate", "nan"}}, "is not a number from 0 to 1"},
      {{{"size", "4K"}, {"fast", "maybe"}}, "is not true or false"},
      {{{"size", "4K"}, {"wait", "10"}}, "is not a time such as"},
  };
  for (const Case& each : cases) {
    const auto parsed = parse(each.texts);
    ASSERT_FALSE(parsed.ok()) << each.part;
    EXPECT_EQ(parsed.error().code, Errc::invalid);
    EXPECT_EQ(parsed.error().message.rfind("thing: ", 0), 0u) << parsed.error().message;
    EXPECT_NE(parsed.error().message.find(each.part), std::string::npos) << parsed.error().message;
  }
}

TEST(Parameters, sizes_are_binary_and_never_overflow) {
  EXPECT_EQ(parse_bytes("0"), 0u);
  EXPECT_EQ(parse_bytes("512"), 512u);
  EXPECT_EQ(parse_bytes("512B"), 512u);
  EXPECT_EQ(parse_bytes("1k"), 1024u);
  EXPECT_EQ(parse_bytes("1KB"), 1024u);
  EXPECT_EQ(parse_bytes("3MiB"), 3u << 20);
  EXPECT_EQ(parse_bytes("2g"), std::uint64_t{2} << 30);
  EXPECT_EQ(parse_bytes("1T"), std::uint64_t{1} << 40);
  EXPECT_EQ(parse_bytes("1PiB"), std::uint64_t{1} << 50);
  EXPECT_EQ(parse_bytes("18446744073709551615"), ~std::uint64_t{0});
  for (const char* text : {"", "K", "-1", "+1", " 1", "1 K", "1.5K", "1Ki", "1KiBB", "1X", "0x",
                           "18446744073709551616", "16384P", "99999999999999999999G"}) {
    EXPECT_FALSE(parse_bytes(text).has_value()) << text;
  }
}

TEST(Parameters, times_need_a_unit) {
  EXPECT_EQ(parse_duration("0"), 0u);
  EXPECT_EQ(parse_duration("7ns"), 7u);
  EXPECT_EQ(parse_duration("7us"), 7'000u);
  EXPECT_EQ(parse_duration("7ms"), 7'000'000u);
  EXPECT_EQ(parse_duration("7s"), 7'000'000'000u);
  for (const char* text : {"", "7", "ms", "7m", "7 ms", "1.5s", "18446744073709552s"}) {
    EXPECT_FALSE(parse_duration(text).has_value()) << text;
  }
}

TEST(Parameters, sizes_are_written_for_people) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1000), "1000 B");
  EXPECT_EQ(format_bytes(65536), "64 KiB");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes(std::uint64_t{5} << 40), "5 TiB");
}

TEST(ParametersDeathTest, a_name_that_the_class_never_stated_is_a_bug) {
  const auto parsed = parse({{"size", "4K"}});
  ASSERT_TRUE(parsed.ok());
  EXPECT_DEATH(static_cast<void>(parsed->number("legz")), "");
  EXPECT_DEATH(static_cast<void>(parsed->text("legz")), "");
}

}  // namespace
}  // namespace ashlar
