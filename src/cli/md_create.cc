// `ashlar md create`: plans an array over files, and writes its superblocks.
#include <errno.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <ctime>

#include "cli/app.h"
#include "cli/disks.h"
#include "cli/json.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "md/create.h"
#include "md/names.h"
#include "md/signature.h"

namespace ashlar::cli {
namespace {

constexpr std::string_view kMissing = "missing";

Result<md::Uuid> random_uuid() {
  md::Uuid uuid;
  if (getrandom(uuid.data(), uuid.size(), 0) == static_cast<ssize_t>(uuid.size())) return uuid;
  return make_error(errc_from_errno(errno), "the system gives no random numbers for a UUID");
}

// Now, or what https://reproducible-builds.org/specs/source-date-epoch says.
std::uint64_t creation_time() {
  const char* given = std::getenv("SOURCE_DATE_EPOCH");
  std::uint64_t seconds = 0;
  const std::string_view text = given == nullptr ? "" : given;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (!text.empty() && read.ptr == text.data() + text.size()) return seconds;
  return static_cast<std::uint64_t>(std::time(nullptr));
}

Result<md::CreateOptions> meaning_of(const MdCreateOptions& words) {
  md::CreateOptions options;
  auto version = md::version_of(words.metadata);
  if (!version) return version.error();
  auto level = md::level_of(words.level);
  if (!level) return level.error();
  options.version = *version;
  options.level = *level;
  if (!words.layout.empty()) {
    auto layout = md::layout_of(*level, words.layout);
    if (!layout) return layout.error();
    options.layout = *layout;
  }
  using Bitmap = md::CreateOptions::Bitmap;
  if (words.bitmap == "internal") options.bitmap = Bitmap::internal;
  if (words.bitmap == "none") options.bitmap = Bitmap::none;
  if (!words.bitmap.empty() && options.bitmap == Bitmap::by_size) {
    return make_error(Errc::invalid, "a bitmap can be internal or none, not '{}'", words.bitmap);
  }
  auto uuid = words.uuid.empty() ? random_uuid() : md::uuid_of(words.uuid, *version);
  if (!uuid) return uuid.error();
  options.set_uuid = *uuid;
  options.chunk_bytes = words.chunk_bytes;
  options.size_bytes = words.size_bytes;
  options.data_offset_bytes = words.data_offset_bytes;
  options.bitmap_chunk_bytes = words.bitmap_chunk_bytes;
  options.assume_clean = words.assume_clean;
  options.name = words.name;
  options.created_seconds = creation_time();
  return options;
}

// With a UUID given, those of the devices follow from it.
Result<md::Uuid> device_uuid(const MdCreateOptions& words, md::Uuid set_uuid, std::size_t device) {
  if (words.uuid.empty()) return random_uuid();
  set_uuid[14] ^= static_cast<std::byte>((device + 1) >> 8);
  set_uuid[15] ^= static_cast<std::byte>(device + 1);
  return set_uuid;
}

// The places of md superblocks on a device of this size, whose 4 KiB hold one, good or bad.
Result<std::vector<std::uint64_t>> superblocks_on(const Disks& disks, std::size_t disk) {
  std::vector<std::uint64_t> found;
  for (const md::Version version : md::kVersions) {
    const auto at = md::superblock_offset(version, disks.bytes(disk));
    if (!at) continue;
    std::vector<std::byte> block(md::kSuperblockBytes);
    if (auto read = disks.read(disk, *at, block); !read) return read.error();
    const auto parsed = md::parse_superblock(block, version, disks.bytes(disk));
    const bool none = !parsed && parsed.error().code == Errc::not_found;
    if (!none) found.push_back(*at);
  }
  return found;
}

// Refuses what holds something that the owner may want to keep.
Result<void> check_unused(const Disks& disks, std::size_t disk) {
  const auto refuse = [&](std::string_view what) {
    return make_error(Errc::exists,
                      "{} holds {}; nothing was written (--force takes it all the same)",
                      disks.file(disk), what);
  };
  const auto superblocks = superblocks_on(disks, disk);
  if (!superblocks) return superblocks.error();
  if (!superblocks->empty()) {
    return refuse(fmt::format("an md superblock at byte {}", superblocks->front()));
  }
  std::vector<std::byte> start(std::min(disks.bytes(disk), md::kSignatureBytes));
  if (auto read = disks.read(disk, 0, start); !read) return read;
  if (const auto found = md::signature_of(start)) return refuse(found->what);
  const std::vector<std::string> tasted = disks.found_on(disk);
  return tasted.empty() ? Result<void>() : refuse(tasted.front());
}

// Files of the array: all, and those that are there.
struct Files {
  explicit Files(const std::vector<std::string>& words) : all(words) {
    for (const std::string& each : words) {
      if (each != kMissing) there.push_back(each);
    }
  }
  std::vector<std::string> all;
  std::vector<std::string> there;
};

Result<md::NewArray> plan(const MdCreateOptions& words, const Files& files) {
  auto options = meaning_of(words);
  if (!options) return options.error();
  auto disks = Disks::open(files.there, false);
  if (!disks) return disks.error();
  std::vector<std::optional<md::NewDevice>> devices;
  std::size_t disk = 0;
  for (const std::string& each : files.all) {
    devices.emplace_back();
    if (each == kMissing) continue;
    auto uuid = device_uuid(words, options->set_uuid, devices.size());
    if (!uuid) return uuid.error();
    devices.back() = md::NewDevice{disks->bytes(disk++), *uuid};
  }
  auto array = plan_array(*options, devices);
  if (!array) return array.error();
  for (disk = 0; disk < disks->count() && !words.force; ++disk) {
    if (auto unused = check_unused(*disks, disk); !unused) return unused.error();
  }
  return array;
}

// Everything but the superblocks, and nothing is left of older ones.
Result<void> write_before(const Disks& disks, std::size_t disk, const md::NewArray& array,
                          const md::Superblock& superblock) {
  const auto old = superblocks_on(disks, disk);
  if (!old) return old.error();
  const std::vector<std::byte> zeros(md::kSuperblockBytes);
  for (const std::uint64_t at : *old) {
    if (auto written = disks.write(disk, at, zeros); !written) return written;
  }
  if (array.bitmap) {
    const std::vector<std::byte> bitmap = md::new_bitmap_bytes(array);
    auto written = disks.write(disk, superblock.bitmap_start_bytes(), bitmap);
    if (!written) return written;
  }
  return disks.flush(disk);
}

Result<void> write(const Files& files, const md::NewArray& array) {
  auto disks = Disks::open(files.there, true);
  if (!disks) return disks.error();
  std::vector<const md::Superblock*> superblocks;
  for (const auto& each : array.superblocks) {
    if (each) superblocks.push_back(&*each);
  }
  for (std::size_t disk = 0; disk < disks->count(); ++disk) {
    auto written = write_before(*disks, disk, array, *superblocks[disk]);
    if (!written) return written;
  }
  for (std::size_t disk = 0; disk < disks->count(); ++disk) {
    auto written = disks->write(disk, superblocks[disk]->superblock_offset_bytes,
                                serialise_superblock(*superblocks[disk]));
    if (!written) return written;
    if (auto flushed = disks->flush(disk); !flushed) return flushed;
  }
  return {};
}

std::string geometry_text(const md::Superblock& any) {
  std::string text = md::level_name(any.level);
  const std::string layout = md::layout_name(any.level, any.layout);
  if (!layout.empty()) text += ", " + layout;
  if (any.chunk_bytes != 0) text += ", chunk " + exact_bytes(any.chunk_bytes);
  return text;
}

std::string page(const md::NewArray& array, const std::vector<std::string>& files,
                 const Paint& paint) {
  const md::Superblock& any = array.any();
  const std::string name = any.name.empty() ? "" : fmt::format(" '{}'", printable(any.name));
  std::string text = fmt::format("{}{}: {}, {}\n", paint.name(md::uuid_text(any)), name,
                                 geometry_text(any), counted(array.layout.array_bytes(), "byte"));
  Table table({{&Paint::name}, {}, {}});
  for (std::size_t i = 0; i < files.size(); ++i) {
    const auto& each = array.superblocks[i];
    if (!each) {
      table.add({std::to_string(i), std::string(kMissing), ""});
      continue;
    }
    const bool spare = each->role() == md::kRoleSpare;
    table.add(
        {spare ? "spare" : std::to_string(each->role()), files[i],
         fmt::format("superblock {} at byte {}, data from {} on", to_string(each->version),
                     grouped(each->superblock_offset_bytes), grouped(each->data_offset_bytes))});
  }
  text += table.text(paint);
  if (array.bitmap) {
    text +=
        fmt::format("write-intent bitmap: a bit for {}\n", exact_bytes(array.bitmap->chunk_bytes));
  }
  for (const std::string& note : array.notes) text += printable(note) + "\n";
  return text;
}

}  // namespace

Result<int> run_md_create(const MdCreateOptions& words) {
  leave_on_interrupt("stopped while looking at what is in the files; nothing was changed");
  const Files files(words.files);
  const auto array = plan(words, files);
  if (!array) return make_error(array.error().code, "md create: {}", array.error().message);
  leave_on_interrupt("stopped; some files have the new superblocks, others may not");
  if (auto written = write(files, *array); !written) return written.error();
  auto printed = print(words.json ? md_create_json(*array, files.all)
                                  : page(*array, files.all, Paint::for_output(STDOUT_FILENO)));
  if (!printed) return printed.error();
  return kFine;
}

}  // namespace ashlar::cli
