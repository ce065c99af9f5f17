// SPDX-License-Identifier: Apache-2.0
// Cursor over the tree that collects errors instead of stopping at them. A Value is one place of
// the file, present or not; readers leave their target alone (so at its default) unless the value
// is there and valid. A Map knows which keys were asked for, so that the schema alone says what is
// known. Private to ctl/config and booster/front, the schemas of the two daemons.
#ifndef CTL_CONFIG_READER_H_
#define CTL_CONFIG_READER_H_

#include <array>
#include <concepts>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "ctl/config/load.h"
#include "ctl/config/text.h"
#include "ctl/config/tree.h"
#include "ctl/config/values.h"

namespace wb::config {

class Value {
 public:
  // `node` is where findings are placed: the value's own, or its map's if it is absent. Reports a
  // refused node.
  Value(const Node* node, bool present, std::string path, Findings* findings);

  bool present() const { return present_; }
  const Node& node() const { return *node_; }
  const std::string& path() const { return path_; }
  Findings* findings() const { return findings_; }

  void Error(std::string message) const;
  void Warn(std::string message) const;
  void Require() const;  // An error if absent from a map; one that was refused has had its error.

  // A value that `parse(text)` takes. Strings may be quoted or not, but not null, a list or a map.
  template <typename T, std::invocable<std::string_view> Parser>
  bool Text(T* out, Parser parse) const {
    return Scalar("text", true) && Store(parse(node_->scalar), out);
  }

  // The same, or the empty string, which clears the target.
  template <typename T, std::invocable<std::string_view> Parser>
  bool TextOrEmpty(T* out, Parser parse) const {
    if (!Scalar("text", true)) return false;
    if (!node_->scalar.empty()) return Store(parse(node_->scalar), out);
    *out = T{};
    return true;
  }

  template <typename T>
  bool Integer(T* out, Range<T> range) const {
    return Ranged(out, range, "an integer", ParseInteger,
                  [](T value) { return ToText(static_cast<uint64_t>(value)); });
  }
  bool Size(uint64_t* out, Range<uint64_t> range) const {
    return Ranged(out, range, "a size", ParseSize, SizeToText);
  }
  bool Duration(milliseconds* out, Range<milliseconds> range) const {
    return Ranged(out, range, "a duration", ParseDuration,
                  [](milliseconds value) { return ToText(value); });
  }
  bool Boolean(bool* out) const;

  template <typename T, size_t N>
  bool Enum(T* out, const std::array<Names<T>, N>& names) const {
    if (!Scalar("text", true)) return false;
    std::vector<std::string_view> known;
    for (const auto& [name, value] : names) {
      if (name == node_->scalar) {
        *out = value;
        return true;
      }
      known.push_back(name);
    }
    NotOneOf(known);
    return false;
  }

  // The items of a list; empty, and an error, if it is not one or its length is out of range.
  std::vector<Value> Items(Range<size_t> length) const;

  // A list of texts without repetition. Valid items replace the target's, even when others are
  // wrong.
  template <typename T, std::invocable<std::string_view> Parser>
  void Texts(std::vector<T>* out, Range<size_t> length, Parser parse) const {
    UniqueItems(out, length, [&](const Value& item, T* value) { return item.Text(value, parse); });
  }
  template <typename T>
  void Integers(std::vector<T>* out, Range<size_t> length, Range<T> range) const {
    UniqueItems(out, length,
                [&](const Value& item, T* value) { return item.Integer(value, range); });
  }

 private:
  // Whether there is a scalar to read. `quotable`: quotes do not make it another type.
  bool Scalar(std::string_view expected, bool quotable) const;
  void NotOneOf(const std::vector<std::string_view>& known) const;

  template <typename U, typename T>
  bool Store(absl::StatusOr<U> value, T* out) const {
    if (!value.ok()) {
      Error(std::string(value.status().message()));
      return false;
    }
    *out = *std::move(value);
    return true;
  }

  template <typename T, typename Parser, typename Print>
  bool Ranged(T* out, Range<T> range, std::string_view expected, Parser parse, Print print) const {
    decltype(parse(node_->scalar).value()) value{};
    if (!Scalar(expected, false) || !Store(parse(node_->scalar), &value)) return false;
    if (value < range.min || value > range.max) {
      Error(Cat(Quote(node_->scalar), " is out of range (", print(range.min), " to ",
                print(range.max), ")"));
      return false;
    }
    *out = static_cast<T>(value);
    return true;
  }

  template <typename T, typename Read>
  void UniqueItems(std::vector<T>* out, Range<size_t> length, Read read) const {
    if (!present_) return;
    std::map<T, int> seen;  // To the line.
    out->clear();
    for (const Value& item : Items(length)) {
      T value{};
      if (!read(item, &value)) continue;
      const auto [first, is_new] = seen.emplace(value, item.node().line);
      if (!is_new) {
        item.Error(Cat("is in the list already (line ", first->second, ")"));
        continue;
      }
      out->push_back(std::move(value));
    }
  }

  const Node* node_;
  bool present_;
  std::string path_;
  Findings* findings_;
};

class Map {
 public:
  // Reports a value that is not a map, keys that are not text, and duplicate keys.
  explicit Map(const Value& value);

  // The value of a key, which is known from now on.
  Value operator[](std::string_view key);

  // Reports the keys that were not asked for, each with the known key that looks most like it.
  void Finish() const;

 private:
  std::string PathOf(std::string_view key) const;

  Value self_;
  std::map<std::string_view, const Entry*> entries_;
  std::vector<std::string_view> known_;
};

// What `read`, a schema, finds in `yaml_text`, which may have `max_bytes`. Never throws, if `read`
// does not.
Findings ReadText(std::string_view yaml_text, size_t max_bytes,
                  const std::function<void(const Node& root, Findings*)>& read);

// A regular file of at most `max_bytes`.
[[nodiscard]] absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes);

// Warnings go to `warnings`, if asked for. InvalidArgument: the errors, one a line.
[[nodiscard]] absl::Status Report(const std::string& path, const Findings& findings,
                                  std::vector<std::string>* warnings);

// Load() of a daemon whose Parse() is `parse`.
template <typename ConfigType>
absl::StatusOr<ConfigType> LoadFile(const std::string& path, size_t max_bytes,
                                    Loaded<ConfigType> (*parse)(std::string_view),
                                    std::vector<std::string>* warnings, std::string* text_read) {
  const absl::StatusOr<std::string> text = ReadFile(path, max_bytes);
  if (!text.ok()) return text.status();
  if (text_read != nullptr) *text_read = *text;
  Loaded<ConfigType> result = parse(*text);
  if (absl::Status status = Report(path, result, warnings); !status.ok()) return status;
  return std::move(result.config);
}

}  // namespace wb::config

#endif  // CTL_CONFIG_READER_H_
