// Rows are collected first, so that the columns can be as wide as they must be. The walk keeps its
// own stack: towers may be thousands of layers high.
#include "cli/tree_page.h"

#include <algorithm>
#include <set>

#include "cli/graph_facts.h"

namespace ashlar::cli {
namespace {

// Layers that are drawn; past it one line says how many more there are. A page is no place for a
// staircase of thousands.
constexpr std::size_t kMaxDrawnDepth = 40;

std::string joined(const std::vector<std::string>& parts, std::string_view between) {
  std::string all;
  for (const std::string& each : parts) {
    if (!all.empty()) all += between;
    all += each;
  }
  return all;
}

struct Row {
  std::string lines;  // box drawing before the name
  std::string name;
  std::string size;
  std::string block;
  std::string kind;
  std::string about;
  bool note = false;  // `about` alone, behind `lines`
  bool doubtful = false;
};

// A device that is still to be drawn.
struct Item {
  const Provider* provider;
  std::string lines;  // for its own row
  std::string below;  // for everything under it
  std::size_t depth;
  bool again;  // it has a row elsewhere
};

class Walk {
 public:
  explicit Walk(const Node& node) : node_(node) {}

  std::vector<Row> rows() {
    for (const auto& geom : node_.topology().geoms()) {
      if (!geom->consumers().empty()) continue;
      for (const auto& provider : geom->providers()) draw_from(*provider);
    }
    return std::move(rows_);
  }

 private:
  void draw_from(const Provider& root) {
    stack_.push_back({&root, "", "", 0, false});
    while (!stack_.empty()) {
      const Item item = std::move(stack_.back());
      stack_.pop_back();
      draw(item);
    }
  }

  void draw(const Item& item) {
    const Provider& provider = *item.provider;
    Row row;
    row.lines = item.lines;
    row.name = printable(provider.name);
    if (item.again) {
      row.about = "see above";
      rows_.push_back(std::move(row));
      return;
    }
    row.size = format_bytes(provider.size_bytes);
    row.block = exact_bytes(provider.limits.block_bytes);
    row.kind = provider.geom->facts().name;
    row.about = about(provider);
    row.doubtful = provider.orphaned != Errc::ok;
    rows_.push_back(std::move(row));
    draw_above(item);
  }

  // Why geoms over the device were recognised, then their devices.
  void draw_above(const Item& item) {
    std::vector<Item> above;
    for (const Geom* geom : geoms_above(*item.provider)) {
      const bool again = !drawn_.insert(geom).second;
      for (const auto& each : geom->providers()) {
        above.push_back({each.get(), "", "", item.depth + 1, again});
      }
      if (!again) note_evidence(*geom, item.below + (above.empty() ? "   " : "│  "));
    }
    if (!above.empty() && item.depth + 1 >= kMaxDrawnDepth) {
      note(item.below + "└─ ", "… and what lies over it: --json has it all");
      return;
    }
    for (std::size_t i = above.size(); i > 0; --i) {
      const bool last = i == above.size();
      above[i - 1].lines = item.below + (last ? "└─ " : "├─ ");
      above[i - 1].below = item.below + (last ? "   " : "│  ");
      stack_.push_back(std::move(above[i - 1]));
    }
  }

  void note_evidence(const Geom& geom, const std::string& lines) {
    const std::string name = std::string(geom.facts().name) + ": ";
    std::string lead = name;
    for (const std::string& sentence : geom.evidence()) {
      note(lines, lead + printable(sentence));
      lead = std::string(name.size(), ' ');
    }
    if (!geom.tasted()) return;
    std::vector<std::string> status;
    add_status(geom, status);
    if (!status.empty()) note(lines, lead + printable(joined(status, " · ")));
    if (geom.providers().empty()) note(lines, std::string(name.size(), ' ') + "it has no devices");
  }

  void note(std::string lines, std::string text) {
    Row row;
    row.lines = std::move(lines);
    row.about = std::move(text);
    row.note = true;
    rows_.push_back(std::move(row));
  }

  static std::string about(const Provider& provider) {
    const Geom& geom = *provider.geom;
    std::vector<std::string> parts;
    if (provider.orphaned != Errc::ok) parts.emplace_back("gone");
    for (const std::string& alias : provider.aliases) parts.push_back(alias);
    if (!provider.detail.empty()) parts.push_back(provider.detail);
    if (provider.member) {
      parts.push_back(fmt::format("{} member: {}", provider.member->info->facts->name,
                                  provider.member->detail));
    }
    if (!geom.tasted() && !geom.consumers().empty()) {
      parts.push_back("over " + joined(names_below(geom), ", "));
    }
    if (!geom.tasted()) {
      for (const auto& [key, value] : chosen_parameters(geom)) {
        if (key == "path") parts.push_back(value);
        if (key != "path" && key != "read_only" && key != "size")
          parts.push_back(key + " " + value);
      }
    }
    if (!geom.tasted()) add_status(geom, parts);
    return printable(joined(parts, " · "));
  }

  // What a geom says of itself, without what its row says already or nobody but a program asks.
  static void add_status(const Geom& geom, std::vector<std::string>& parts) {
    for (const auto& [key, value] : geom.body().status()) {
      if (key != "path" && key != "io") parts.push_back(key + " " + value);
    }
  }

  const Node& node_;
  std::vector<Row> rows_;
  std::vector<Item> stack_;
  std::set<const Geom*> drawn_;
};

struct Widths {
  std::size_t name = 6;  // of the headings
  std::size_t size = 4;
  std::size_t block = 5;
  std::size_t kind = 5;
};

Widths measure(const std::vector<Row>& rows) {
  Widths widths;
  for (const Row& row : rows) {
    if (row.note) continue;
    widths.name = std::max(widths.name, width_of(row.lines) + width_of(row.name));
    widths.size = std::max(widths.size, row.size.size());
    widths.block = std::max(widths.block, row.block.size());
    widths.kind = std::max(widths.kind, row.kind.size());
  }
  return widths;
}

std::string without_end_blanks(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

std::string line_of(const Row& row, const Widths& widths, const Paint& paint) {
  if (row.note) return paint.dim(row.lines + row.about);
  const std::size_t used = width_of(row.lines) + width_of(row.name);
  const std::string gap(widths.name - used, ' ');
  const std::string start = paint.dim(row.lines) + paint.name(row.name) + gap;
  if (row.size.empty()) return start + "  " + paint.dim(row.about);
  const std::string about = row.doubtful ? paint.bad(row.about) : row.about;
  return without_end_blanks(fmt::format(
      "{}  {}  {}  {}  {}", start, pad_left(row.size, widths.size),
      paint.dim(pad_left(row.block, widths.block)), pad_right(row.kind, widths.kind), about));
}

std::string summary(const Node& node, std::size_t doubts) {
  const std::size_t devices = node.topology().providers().size();
  std::size_t leaves = 0;
  for (const auto& geom : node.topology().geoms()) leaves += geom->consumers().empty() ? 1 : 0;
  std::string text = fmt::format("{}, {} over {}", counted(leaves, "disk"),
                                 counted(devices - leaves, "device"), leaves == 1 ? "it" : "them");
  return doubts == 0 ? text : text + fmt::format(", {}", counted(doubts, "doubt"));
}

}  // namespace

std::string tree_page(const Node& node, const Paint& paint) {
  const std::vector<Row> rows = Walk(node).rows();
  const Widths widths = measure(rows);
  std::string page =
      paint.dim(fmt::format("{}  {}  {}  CLASS", pad_right("DEVICE", widths.name),
                            pad_left("SIZE", widths.size), pad_left("BLOCK", widths.block))) +
      "\n";
  for (const Row& row : rows) page += line_of(row, widths, paint) + "\n";
  const std::vector<Doubt> doubts = all_doubts(node);
  if (!doubts.empty()) page += "\n";
  for (const Doubt& each : doubts) {
    page += fmt::format("{} {}: {}\n", paint.doubt("doubt"), paint.name(printable(each.device)),
                        printable(each.sentence));
  }
  return page + "\n" + paint.dim(summary(node, doubts.size())) + "\n";
}

}  // namespace ashlar::cli
