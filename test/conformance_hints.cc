// Hints, by the name of the class.
#include "test/conformance_hints.h"

#include "class/file/file_test_util.h"
#include "class/md/md_test_util.h"
#include "test/partition_images.h"

namespace ashlar::test {
namespace {

using conformance::FreshDisk;
using conformance::Options;
using test::SparseImage;

// One partition over most of the disk.
struct Span {
  std::uint32_t first;  // sectors
  std::uint32_t sectors;
};

Span most_of(const FreshDisk& disk) {
  constexpr std::uint64_t kMargin = 32 * kKiB;
  return {static_cast<std::uint32_t>(kMargin / disk.block_bytes),
          static_cast<std::uint32_t>((disk.bytes.size() - 2 * kMargin) / disk.block_bytes)};
}

void prepare_mbr(const FreshDisk& disk) {
  SparseImage image(disk.bytes.size(), disk.block_bytes);
  const Span span = most_of(disk);
  put_mbr(image, {{1, 0x83, span.first, span.sectors}});
  image.peek(0, disk.bytes);
}

void prepare_gpt(const FreshDisk& disk) {
  SparseImage image(disk.bytes.size(), disk.block_bytes);
  const Span span = most_of(disk);
  test::GptLayout layout;
  layout.sector = disk.block_bytes;
  layout.partitions = {{1, span.first, std::uint64_t{span.first} + span.sectors - 1}};
  put_gpt(image, layout);
  image.peek(0, disk.bytes);
}

void prepare_bsdlabel(const FreshDisk& disk) {
  SparseImage image(disk.bytes.size(), disk.block_bytes);
  const Span span = most_of(disk);
  put_bsdlabel(image, {.offset = disk.block_bytes,
                       .sector = disk.block_bytes,
                       .partitions = {{'a', span.first, span.sectors}}});
  image.peek(0, disk.bytes);
}

// A raid1 of two; the other levels are in class/md/md_test.cc.
Options md_options() {
  Options options{.parameters = writable_array(), .disks = {2}};
  options.prepare = [](const FreshDisk& disk) {
    put_superblock(superblock_of({}, disk.number, disk.bytes.size()), disk.bytes);
  };
  return options;
}

Options file_options() {
  static TempFile file(256 * kKiB);
  return {.parameters = {{"path", file.path()}}};
}

}  // namespace

Options conformance_options(const ClassInfo& info) {
  const std::string_view name = info.facts->name;
  if (name == "bsdlabel") return {.prepare = &prepare_bsdlabel};
  // Fewer blocks than the disk has.
  if (name == "cache") return {.parameters = {{"memory", "128KiB"}}};
  if (name == "delay") return {.parameters = {{"time", "20us"}}};
  if (name == "fault") return {.parameters = {{"rate", "0"}}};
  if (name == "file") return file_options();
  if (name == "gpt") return {.prepare = &prepare_gpt};
  if (name == "mbr") return {.prepare = &prepare_mbr};
  if (name == "md") return md_options();
  if (name == "null") return {.parameters = {{"size", "1MiB"}}, .forgets = true};
  // Over one disk all is in memory, over two some of it; its store forgets nothing that it keeps.
  if (name == "overlay") return {.parameters = {{"memory", "256KiB"}}, .disks = {1, 2}};
  if (name == "write_log") return {.data_disks = 1};
  return {};
}

}  // namespace ashlar::test
