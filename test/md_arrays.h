// The small arrays that the kernel made (test/md_images), unpacked.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "md/superblock.h"
#include "test/command.h"

namespace ashlar::test {

struct MdMember {
  std::vector<std::byte> bytes;  // the whole device
  md::Superblock superblock;
};

// Unpacks the images of a case into a folder. False: it did not come out whole.
bool unpack_md_array(const std::string& name, const CommandFolder& folder);

// The members of a case, in the order of their files, which is not that of their places. A member
// without a good superblock is left out.
std::vector<MdMember> md_array(const std::string& name);

// The same by place, where each has one member.
std::vector<std::optional<MdMember>> md_array_by_role(const std::string& name);

}  // namespace ashlar::test
