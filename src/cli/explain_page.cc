// One section for each question: what runs, what it costs, where it leaves the caller's context,
// what it takes and who says so, and where a byte lies.
#include "cli/explain_page.h"

#include <algorithm>

#include "cli/branches.h"
#include "cli/table.h"
#include "topology/limits.h"

namespace ashlar::cli {
namespace {

std::string joined(const std::vector<std::string>& parts, std::string_view between) {
  std::string all;
  for (const std::string& each : parts) all += (all.empty() ? "" : std::string(between)) + each;
  return all;
}

std::string title(const Paint& paint, std::string_view text) {
  return "\n" + paint.bold(text) + "\n";
}

std::string edge_words(const EdgeFact& edge) {
  if (edge.maps.empty()) return {};
  const std::string maps = joined(edge.maps, ", ");
  if (edge.add_bytes == 0) return "offset as it is: " + maps;
  return fmt::format("offset + {}: {}", exact_bytes(edge.add_bytes), maps);
}

std::string pad_words(const StepFact& step) {
  if (step.pad_bytes == 0) return "no pad";
  return fmt::format("pad {} at {}", step.pad_bytes, step.pad_offset);
}

std::string step_words(const StepFact& step) {
  std::vector<std::string> words;
  if (const std::string edge = edge_words(step.from); !edge.empty()) words.push_back(edge);
  if (!step.note.empty()) words.push_back(step.note);
  if (step.completes) words.emplace_back("sees completion");
  if (step.max_children > 0) {
    words.push_back(fmt::format("up to {} at once", counted(step.max_children, "part")));
  }
  if (step.kind == "hop") return joined(words, " · ");
  if (!step.context.empty()) words.push_back("on a worker: " + step.context);
  return joined(words, " · ");
}

std::string extent_words(const ExtentFact& each) {
  return fmt::format("{} from {}: {} from {}", exact_bytes(each.length), exact_bytes(each.start),
                     each.device, exact_bytes(each.offset));
}

std::string program_section(const Explanation& all, const Paint& paint) {
  std::vector<std::int32_t> parents;
  for (const StepFact& step : all.steps) parents.push_back(step.parent - 1);
  for (std::int32_t& each : parents) each = std::max(each, -1);
  const std::vector<std::string> lines = branch_lines(parents);
  Table table({{&Paint::dim, true}, {}, {&Paint::name}, {&Paint::dim}, {}});
  for (std::size_t i = 0; i < all.steps.size(); ++i) {
    const StepFact& step = all.steps[i];
    table.add({std::to_string(step.index), lines[i] + step.kind, step.device, pad_words(step),
               step_words(step)});
    for (const ExtentFact& each : step.extents) {
      table.add({"", "", "", "", extent_words(each)});
    }
    if (step.extent_count > step.extents.size()) {
      table.add(
          {"", "", "", "", fmt::format("… and {} more", step.extent_count - step.extents.size())});
    }
  }
  return title(paint, fmt::format("Program: {}, {} dispatch", counted(all.steps.size(), "step"),
                                  all.dispatch)) +
         table.text(paint) +
         paint.dim(fmt::format("  a request of more than {} is cut up on entry",
                               exact_bytes(all.carve_bytes))) +
         "\n";
}

std::string hop_section(const Explanation& all, const Paint& paint) {
  Table table({{&Paint::dim, true}, {}});
  std::size_t hops = 0;
  for (const StepFact& step : all.steps) {
    if (step.kind != "hop") continue;
    ++hops;
    table.add({std::to_string(step.index), step.note});
  }
  if (hops == 0) {
    return title(paint, "Hops: none") + "  all of it runs in the caller's own context\n";
  }
  return title(paint, fmt::format("Hops: {}", hops)) + table.text(paint);
}

std::string frame_section(const Explanation& all, const Paint& paint) {
  Table table({{nullptr, true}, {&Paint::dim}});
  for (const FrameFact& each : all.frame) table.add({std::to_string(each.bytes), each.what});
  return title(paint, fmt::format("Frame: {} bytes in each request", all.frame_bytes)) +
         table.text(paint);
}

std::string limit_words(const LimitFact& limit) {
  if (limit.name == "largest range" && limit.bytes == kMaxRangeBytes) return "any";
  if (limit.name == "discard granularity" && limit.bytes == 0) return "any";
  if (limit.name == "memory alignment" && limit.bytes == 1) return "any";
  return exact_bytes(limit.bytes);
}

std::string limit_section(const Explanation& all, const Paint& paint) {
  Table table({{}, {nullptr, true}, {&Paint::dim}});
  for (const LimitFact& each : all.limits) {
    table.add({each.name, limit_words(each), each.by.empty() ? "" : "by " + each.by});
  }
  return title(paint, "Limits") + table.text(paint);
}

std::string operation_section(const Explanation& all, const Paint& paint) {
  std::string text = title(paint, "Operations");
  for (const OperationFact& each : all.operations) {
    text += "  " + pad_right(each.name, 14);
    text += each.offered ? paint.good("goes down")
                         : paint.doubt(printable("stops at " + each.stops_at)) +
                               paint.dim(": " + each.reason);
    text += "\n";
  }
  return text;
}

std::string place_section(const Explanation& all, const Paint& paint) {
  if (!all.offset) return {};
  std::vector<std::int32_t> parents;
  for (const PlaceFact& each : all.places) parents.push_back(each.parent);
  const std::vector<std::string> lines = branch_lines(parents);
  Table table({{&Paint::name}, {}, {nullptr, true}, {&Paint::dim}});
  for (std::size_t i = 0; i < all.places.size(); ++i) {
    const PlaceFact& each = all.places[i];
    const std::string exact = exact_bytes(each.offset);
    table.add({lines[i] + each.device, each.kind, "byte " + grouped(each.offset),
               exact.ends_with("iB") ? exact : ""});
  }
  return title(paint, fmt::format("Byte {} of {}", grouped(*all.offset), printable(all.device))) +
         table.text(paint);
}

}  // namespace

std::string explain_page(const Explanation& all, const Paint& paint) {
  const std::string head = fmt::format(
      "{}  {}, {} ({} bytes), blocks of {}\n", paint.name(printable(all.device)), all.kind,
      format_bytes(all.size_bytes), grouped(all.size_bytes), exact_bytes(all.block_bytes));
  return head + program_section(all, paint) + hop_section(all, paint) + frame_section(all, paint) +
         limit_section(all, paint) + operation_section(all, paint) + place_section(all, paint);
}

}  // namespace ashlar::cli
