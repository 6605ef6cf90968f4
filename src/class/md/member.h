// What a device says of itself as a member of an array.
//
// THREAD: the control thread.
#pragma once

#include <optional>
#include <vector>

#include "base/extent.h"
#include "md/superblock.h"
#include "topology/class.h"

namespace ashlar {

// The superblock that counts on a device; nothing where none is.
// Errors: corrupt, unsupported, what the reader says; the sentence names the device.
Result<std::optional<md::Superblock>> find_md_superblock(TasteReader& reader);

// Ranges of the device that must not be read; sorted. Errors: as above.
Result<std::vector<Extent>> read_md_bad_blocks(TasteReader& reader,
                                               const md::Superblock& superblock);
// Of these what lies in the member's data, counted from where its data begin.
std::vector<Extent> md_bad_data(const std::vector<Extent>& bad_blocks,
                                const md::Superblock& superblock);

// ClassInfo::member of the class.
Result<std::optional<Membership>> md_membership(TasteReader& reader);

// For people: "'data'", or the UUID of an array without a name.
std::string md_title(const md::Superblock& superblock);

}  // namespace ashlar
