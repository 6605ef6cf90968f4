// A table for people.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "cli/terminal.h"

namespace ashlar::cli {

// Rows of cells; each column is as wide as its widest cell. Colours are put on afterwards.
class Table {
 public:
  using PaintCell = std::string (Paint::*)(std::string_view) const;
  struct Column {
    PaintCell paint = nullptr;  // null: plain
    bool right = false;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  void add(std::vector<std::string> cells) {
    for (std::string& each : cells) each = printable(each);
    rows_.push_back(std::move(cells));
  }

  std::string text(const Paint& paint) const {
    std::string all;
    for (const auto& row : rows_) {
      std::string line = " ";
      std::size_t last = row.size();
      while (last > 0 && row[last - 1].empty()) --last;
      for (std::size_t i = 0; i < last; ++i) line += " " + cell(row, i, i + 1 == last, paint);
      all += line + "\n";
    }
    return all;
  }

 private:
  std::size_t width(std::size_t column) const {
    std::size_t width = 0;
    for (const auto& row : rows_) width = std::max(width, width_of(row[column]));
    return width;
  }

  std::string cell(const std::vector<std::string>& row, std::size_t i, bool last,
                   const Paint& paint) const {
    const Column& column = columns_[i];
    const std::string padded = column.right ? pad_left(row[i], width(i)) : row[i];
    const std::string shown = column.paint != nullptr ? (paint.*column.paint)(padded) : padded;
    const std::size_t used = width_of(padded);
    return last ? shown : shown + std::string(width(i) - used + 1, ' ');
  }

  const std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace ashlar::cli
