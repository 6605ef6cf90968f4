// Operations as a parameter: "read,write", "all".
#pragma once

#include <string_view>

#include "base/result.h"
#include "bio/op.h"

namespace ashlar {

// The operations that `text` names, separated by commas; "all" is every one. The set says nothing
// about the flag fua. Errors: invalid, with a sentence that begins with `class_name` and names
// the word.
Result<OpSet> parse_op_list(std::string_view class_name, std::string_view text);

}  // namespace ashlar
