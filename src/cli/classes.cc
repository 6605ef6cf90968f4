// `ashlar classes`: what stacks can be made of, from the facts that the classes state.
#include <unistd.h>

#include <algorithm>

#include "class/list.h"
#include "cli/app.h"
#include "cli/json.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

namespace ashlar::cli {
namespace {

std::string over_words(const ClassFacts& facts) {
  if (facts.max_consumers == 0) return "over nothing";
  const std::string most = counted(facts.max_consumers, "device");
  if (facts.min_consumers == facts.max_consumers) return "over " + most;
  return fmt::format("over {} to {}", facts.min_consumers, most);
}

std::string parameter_words(const ParameterSpec& spec) {
  if (spec.required) return "required";
  return spec.default_text.empty() ? "" : fmt::format("default {}", spec.default_text);
}

std::string class_page(const ClassInfo& info, const Paint& paint) {
  const ClassFacts& facts = *info.facts;
  std::string text = fmt::format("{}  {}\n", paint.name(facts.name), facts.summary);
  text += paint.dim(fmt::format("  {}{}", over_words(facts),
                                info.taste != nullptr ? ", found by itself" : "")) +
          "\n";
  std::size_t names = 0;
  std::size_t kinds = 0;
  std::size_t defaults = 0;
  for (const ParameterSpec& each : facts.parameters) {
    names = std::max(names, each.name.size());
    kinds = std::max(kinds, kind_name(each.kind).size());
    defaults = std::max(defaults, parameter_words(each).size());
  }
  for (const ParameterSpec& each : facts.parameters) {
    text += fmt::format("  {}  {}  {}  {}\n", pad_right(each.name, names),
                        paint.dim(pad_right(kind_name(each.kind), kinds)),
                        pad_right(parameter_words(each), defaults), each.help);
  }
  return text;
}

}  // namespace

Result<int> run_classes(const ClassesOptions& options) {
  std::vector<const ClassInfo*> chosen;
  std::string known;
  for (const ClassInfo* each : builtin_classes()) {
    known += (known.empty() ? "" : ", ") + std::string(each->facts->name);
    if (options.name.empty() || each->facts->name == options.name) chosen.push_back(each);
  }
  if (chosen.empty()) {
    return make_error(Errc::not_found, "there is no class '{}'; known are: {}", options.name,
                      known);
  }
  std::string page;
  const Paint paint = Paint::for_output(STDOUT_FILENO);
  for (const ClassInfo* each : chosen) {
    page += (page.empty() ? "" : "\n") + class_page(*each, paint);
  }
  auto printed = print(options.json ? classes_json(chosen) : page);
  if (!printed) return printed.error();
  return kFine;
}

}  // namespace ashlar::cli
