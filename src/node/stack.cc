// Stack files: TOML to geoms.
#include "node/stack.h"

#include <toml++/toml.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace ashlar {
namespace {

Error wrong(const std::string& path, const toml::source_region& where, std::string what) {
  return make_error(Errc::invalid, "{}:{}: {}", path, where.begin.line, what);
}

// A class parameter may be written as a text, a number or a boolean.
std::optional<std::string> text_of(const toml::node& value) {
  if (const auto text = value.value_exact<std::string>()) return *text;
  if (const auto number = value.value_exact<std::int64_t>()) return std::to_string(*number);
  if (const auto flag = value.value_exact<bool>()) return *flag ? "true" : "false";
  if (const auto real = value.value_exact<double>()) return fmt::format("{}", *real);
  return std::nullopt;
}

Result<std::vector<std::string>> names_of(const toml::node& value, const std::string& path) {
  std::vector<std::string> names;
  if (const auto one = value.value_exact<std::string>()) return std::vector{*one};
  const toml::array* array = value.as_array();
  if (array == nullptr) return wrong(path, value.source(), "over takes a list of device names");
  for (const toml::node& each : *array) {
    const auto name = each.value_exact<std::string>();
    if (!name) return wrong(path, each.source(), "over takes a list of device names");
    names.push_back(*name);
  }
  return names;
}

Result<StackGeom> geom_of(const toml::table& table, const std::string& path) {
  StackGeom geom;
  geom.line = static_cast<int>(table.source().begin.line);
  for (const auto& [key, value] : table) {
    const std::string name(key.str());
    if (name == "over") {
      auto names = names_of(value, path);
      if (!names) return names.error();
      geom.over = std::move(*names);
      continue;
    }
    const auto text = text_of(value);
    if (!text) return wrong(path, value.source(), fmt::format("'{}' is not a plain value", name));
    if (name == "name") {
      geom.name = *text;
    } else if (name == "class") {
      geom.class_name = *text;
    } else if (name == "taste") {
      geom.taste = *text == "true";
    } else {
      geom.parameters[name] = *text;
    }
  }
  if (geom.name.empty()) return wrong(path, table.source(), "a geom needs a name");
  if (geom.class_name.empty()) return wrong(path, table.source(), "a geom needs a class");
  return geom;
}

std::string beside(const std::string& directory, const std::string& path) {
  const std::filesystem::path file(path);
  return file.is_relative() ? (std::filesystem::path(directory) / file).string() : path;
}

Result<ImageOptions> image_of(const toml::table& table, const std::string& path,
                              const std::string& directory) {
  ImageOptions image;
  for (const auto& [key, value] : table) {
    const std::string name(key.str());
    const auto text = text_of(value);
    if (name == "path" && text) {
      image.path = *text;
    } else if (name == "name" && text) {
      image.name = *text;
    } else if (name == "read_only" && value.is_boolean()) {
      image.read_only = *text == "true";
    } else if (name == "taste" && value.is_boolean()) {
      image.taste = *text == "true";
    } else if (name == "overlay" && value.is_boolean()) {
      if (*text == "true") image.overlay = OverlayOptions{};
    } else if (name == "overlay" && value.is_string()) {
      image.overlay = OverlayOptions{.file = beside(directory, *text)};
    } else {
      return wrong(
          path, value.source(),
          fmt::format("an image takes path, name, read_only, taste and overlay, not '{}'", name));
    }
  }
  if (image.path.empty()) return wrong(path, table.source(), "an image needs a path");
  image.path = beside(directory, image.path);
  return image;
}

// Calls take(table) for each table of the array `key`.
template <typename Take>
Result<void> each_table(const toml::table& root, std::string_view key, const std::string& path,
                        Take take) {
  const toml::node* list = root.get(key);
  if (list == nullptr) return {};
  const toml::array* array = list->as_array();
  if (array == nullptr) {
    return wrong(path, list->source(), fmt::format("write [[{}]], with two brackets", key));
  }
  for (const toml::node& each : *array) {
    const toml::table* table = each.as_table();
    if (table == nullptr) return wrong(path, each.source(), fmt::format("[[{}]] is a table", key));
    if (auto taken = take(*table); !taken) return taken;
  }
  return {};
}

}  // namespace

Result<StackDescription> parse_stack(std::string_view text, const std::string& path,
                                     const std::string& directory) {
  toml::table root;
  try {
    root = toml::parse(text);
  } catch (const toml::parse_error& problem) {
    return wrong(path, problem.source(), std::string(problem.description()));
  }
  for (const auto& [key, value] : root) {
    if (key.str() == "image" || key.str() == "geom") continue;
    return wrong(path, value.source(),
                 fmt::format("a stack file has [[image]] and [[geom]], not '{}'", key.str()));
  }
  StackDescription stack;
  stack.path = path;
  auto images = each_table(root, "image", path, [&](const toml::table& table) -> Result<void> {
    auto image = image_of(table, path, directory);
    if (!image) return image.error();
    stack.images.push_back(std::move(*image));
    return {};
  });
  if (!images) return images.error();
  auto geoms = each_table(root, "geom", path, [&](const toml::table& table) -> Result<void> {
    auto geom = geom_of(table, path);
    if (!geom) return geom.error();
    stack.geoms.push_back(std::move(*geom));
    return {};
  });
  if (!geoms) return geoms.error();
  return stack;
}

Result<StackDescription> load_stack(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  // A directory opens, and fails at the first byte.
  if (file) text << file.rdbuf();
  if (!file || errno == EISDIR) {
    const int problem = errno != 0 ? errno : EIO;
    return make_error(errc_from_errno(problem), "{}: {}", path, std::strerror(problem));
  }
  return parse_stack(text.str(), path, std::filesystem::path(path).parent_path().string());
}

}  // namespace ashlar
