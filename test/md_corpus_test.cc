// Goal: arrays made by mdadm have the contents that a Linux kernel read from them, whole and with
// every set of members left out that their level can do without.
// Method: the images of the corpus, where it is there: superblocks found and assembled, contents
// put together by the layout from the members' bytes; what is missing is computed here, by the
// definitions of P and Q, with ISA-L's sums over GF(256).
#include <gtest/gtest.h>
#include <isa-l/erasure_code.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "md/assembly.h"
#include "test/command.h"
#include "test/corpus.h"

namespace ashlar::md {
namespace {

using Bytes = std::string;

struct Case {
  std::vector<Bytes> disks;
  std::uint64_t bytes = 0;
  std::string sha256;
};

Case load(const std::string& name) {
  const auto folder = test::corpus_folder() / name;
  const test::CommandFolder work;
  Case found;
  for (int i = 0; std::filesystem::exists(folder / fmt::format("disk{}.img.zst", i)); ++i) {
    const auto packed = folder / fmt::format("disk{}.img.zst", i);
    EXPECT_EQ(work.sh("zstd -dqc '" + packed.string() + "' > disk").status, 0);
    Bytes disk(std::filesystem::file_size(work.path() / "disk"), '\0');
    std::ifstream(work.path() / "disk", std::ios::binary)
        .read(disk.data(), static_cast<std::streamsize>(disk.size()));
    found.disks.push_back(std::move(disk));
  }
  std::ifstream table(folder / "expect.tsv");
  std::string device;
  table >> device >> found.bytes >> found.sha256;
  return found;
}

// The one superblock of a disk.
Superblock find_superblock(const Bytes& disk) {
  std::vector<Superblock> found;
  for (const Version version : kVersions) {
    const auto at = superblock_offset(version, disk.size());
    if (!at) continue;
    const ByteView block = as_bytes(disk).subspan(*at, kSuperblockBytes);
    Result<Superblock> parsed = parse_superblock(block, version, disk.size());
    if (!parsed) {
      EXPECT_EQ(parsed.error().code, Errc::not_found) << parsed.error().message;
      continue;
    }
    EXPECT_EQ(serialise_superblock(*parsed), std::vector(block.begin(), block.end()));
    EXPECT_TRUE(parsed->unsupported.empty()) << parsed->unsupported;
    found.push_back(*parsed);
  }
  EXPECT_EQ(found.size(), 1u);
  return found.empty() ? Superblock{} : found[0];
}

// The disks but those left out, last one first.
std::vector<Candidate> candidates_of(const Case& from, const std::vector<bool>& present) {
  std::vector<Candidate> candidates;
  for (std::size_t i = from.disks.size(); i-- > 0;) {
    if (present[i]) candidates.push_back({fmt::format("{}", i), find_superblock(from.disks[i])});
  }
  return candidates;
}

std::uint8_t times(std::uint8_t a, std::uint8_t b) {
  unsigned product = 0;
  for (unsigned bit = 0; bit < 8; ++bit) {
    if ((b >> bit & 1) != 0) product ^= static_cast<unsigned>(a) << bit;
  }
  for (unsigned bit = 15; bit >= 8; --bit) {
    if ((product >> bit & 1) != 0) product ^= 0x11du << (bit - 8);
  }
  return static_cast<std::uint8_t>(product);
}

std::uint8_t power_of_two(std::uint32_t exponent) {
  std::uint8_t value = 1;
  for (std::uint32_t i = 0; i < exponent; ++i) value = times(value, 2);
  return value;
}

std::uint8_t inverse(std::uint8_t value) {
  for (unsigned other = 1; other < 256; ++other) {
    if (times(value, static_cast<std::uint8_t>(other)) == 1)
      return static_cast<std::uint8_t>(other);
  }
  return 0;
}

// A chunk, and its factor in a sum over GF(256).
struct Term {
  std::uint8_t* bytes;
  std::uint8_t factor;
};

void add_up(const std::vector<Term>& terms, std::size_t bytes, std::uint8_t* into) {
  std::vector<std::uint8_t*> sources;
  std::vector<std::uint8_t> factors;
  for (const Term& each : terms) {
    sources.push_back(each.bytes);
    factors.push_back(each.factor);
  }
  const int count = static_cast<int>(terms.size());
  std::vector<std::uint8_t> tables(32 * terms.size());
  ec_init_tables(count, 1, factors.data(), tables.data());
  ec_encode_data(static_cast<int>(bytes), count, 1, tables.data(), sources.data(), &into);
}

// A running array, as a reader sees it.
class Reader {
 public:
  Reader(const Case& from, const std::vector<Candidate>& candidates, const Assembly& assembly)
      : from_(from), candidates_(candidates), assembly_(assembly) {}

  std::string contents() const {
    return assembly_.layout->parity() != nullptr ? from_stripes() : from_copies();
  }

 private:
  // A member's data.
  ByteView data(std::uint32_t role) const {
    const Candidate& candidate = candidates_[assembly_.members[role]->candidate];
    const ByteView disk = as_bytes(from_.disks[std::stoul(candidate.name)]);
    return disk.subspan(candidate.superblock.data_offset_bytes, candidate.superblock.data_bytes);
  }
  bool has(std::uint32_t role) const { return assembly_.members[role].has_value(); }

  std::string from_copies() const {
    const Layout& layout = *assembly_.layout;
    std::string contents;
    while (contents.size() < layout.array_bytes()) {
      std::uint32_t copy = 0;
      while (!has(layout.place(contents.size(), copy).role)) ++copy;
      const Place place = layout.place(contents.size(), copy);
      const ByteView run =
          data(place.role)
              .subspan(place.offset_bytes,
                       std::min(place.run_bytes, layout.array_bytes() - contents.size()));
      contents.append(reinterpret_cast<const char*>(run.data()), run.size());
    }
    return contents;
  }

  std::uint8_t* chunk(std::uint32_t role, std::uint64_t stripe) const {
    const std::uint64_t at = assembly_.layout->parity()->member_offset(stripe);
    // ISA-L does not write to what it reads.
    return const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(&data(role)[at]));
  }

  // The data chunk `wanted`, by P, by Q, or by both where `other` is missing as well:
  //   wanted + other = p   and   x wanted + y other = q   make   (x + y) wanted = q + y p.
  std::vector<Term> terms_of(const ParityLayout::Stripe& stripe, std::uint32_t wanted,
                             std::optional<std::uint32_t> other) const {
    const ParityLayout& layout = *assembly_.layout->parity();
    const bool by_q = other || !has(stripe.p);
    const auto weight = [&](std::uint32_t index) -> std::uint8_t {
      if (!by_q) return 1;
      return power_of_two(layout.q_exponent(stripe, layout.data_role(stripe, index)));
    };
    const std::uint8_t y = other ? weight(*other) : 0;
    const std::uint8_t divisor = inverse(weight(wanted) ^ y);
    std::vector<Term> terms;
    for (std::uint32_t i = 0; i < layout.data_disks(); ++i) {
      const std::uint32_t role = layout.data_role(stripe, i);
      if (!has(role)) continue;
      terms.push_back({chunk(role, stripe.number), times(divisor, weight(i) ^ y)});
    }
    if (by_q) terms.push_back({chunk(stripe.q, stripe.number), divisor});
    if (!by_q || other)
      terms.push_back({chunk(stripe.p, stripe.number), by_q ? times(divisor, y) : divisor});
    return terms;
  }

  std::string from_stripes() const {
    const ParityLayout& layout = *assembly_.layout->parity();
    std::string contents(layout.array_bytes(), '\0');
    for (std::uint64_t number = 0; number < layout.stripes(); ++number) {
      const ParityLayout::Stripe stripe = layout.stripe(number);
      std::vector<std::uint32_t> missing;
      for (std::uint32_t i = 0; i < layout.data_disks(); ++i) {
        const std::uint32_t role = layout.data_role(stripe, i);
        char* into = &contents[layout.array_offset(number, i)];
        if (has(role)) {
          std::memcpy(into, chunk(role, number), layout.chunk_bytes());
        } else {
          missing.push_back(i);
        }
      }
      for (const std::uint32_t each : missing) {
        std::optional<std::uint32_t> other;
        if (missing.size() == 2) other = each == missing[0] ? missing[1] : missing[0];
        char* into = &contents[layout.array_offset(number, each)];
        add_up(terms_of(stripe, each, other), layout.chunk_bytes(),
               reinterpret_cast<std::uint8_t*>(into));
      }
    }
    return contents;
  }

  const Case& from_;
  const std::vector<Candidate>& candidates_;
  const Assembly& assembly_;
};

// Whether the array runs without the disks of `mask`, for which its contents must be right.
bool runs_without(const Case& from, std::uint32_t mask) {
  std::vector<bool> present(from.disks.size());
  for (std::size_t i = 0; i < present.size(); ++i) present[i] = (mask >> i & 1) == 0;
  const std::vector<Candidate> candidates = candidates_of(from, present);
  if (candidates.empty()) return false;
  const std::vector<Assembly> arrays = assemble(candidates);
  EXPECT_EQ(arrays.size(), 1u);
  EXPECT_TRUE(arrays[0].left_out.empty());
  if (!arrays[0].runs()) return false;
  EXPECT_EQ(arrays[0].layout->array_bytes(), from.bytes);
  const std::string contents = Reader(from, candidates, arrays[0]).contents();
  EXPECT_EQ(test::sha256_of(as_bytes(contents)), from.sha256) << "without " << mask;
  return true;
}

int sets_that_run(const std::string& name) {
  const Case from = load(name);
  int sets = 0;
  for (std::uint32_t mask = 0; mask < 1u << from.disks.size(); ++mask) {
    if (runs_without(from, mask)) ++sets;
  }
  return sets;
}

class MdCorpus : public testing::TestWithParam<std::pair<std::string, int>> {};

TEST_P(MdCorpus, ContentsAsTheKernelReadThem) {
  const auto& [name, sets] = GetParam();
  if (!std::filesystem::exists(test::corpus_folder() / name)) {
    GTEST_SKIP() << "no corpus at " << test::corpus_folder();
  }
  EXPECT_EQ(sets_that_run(name), sets);
}

// With the sets of members that each can do without, none included.
INSTANTIATE_TEST_SUITE_P(Md, MdCorpus,
                         testing::Values(std::pair("md-linear", 1), std::pair("md-raid0-12", 1),
                                         std::pair("md-raid1-10", 3), std::pair("md-raid10-n2", 9),
                                         std::pair("md-raid5-ls", 5),
                                         std::pair("md-raid6-ls", 16)));

}  // namespace
}  // namespace ashlar::md
