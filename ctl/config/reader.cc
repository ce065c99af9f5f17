// SPDX-License-Identifier: Apache-2.0
#include "ctl/config/reader.h"

#include <algorithm>
#include <numeric>
#include <tuple>
#include <utility>

namespace wb::config {
namespace {

// Longer keys are compared by their beginning: the file must not choose how long a comparison
// takes.
constexpr size_t kMaxComparedChars = 32;

// Levenshtein distance with the swap of neighbours as one edit (optimal string alignment).
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  std::iota(last.begin(), last.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t change = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    before = std::exchange(last, row);
  }
  return last[b.size()];
}

// "; did you mean X?", or the list of what there is when nothing looks like `word`.
std::string Suggest(std::string_view word, const std::vector<std::string_view>& known) {
  word = word.substr(0, kMaxComparedChars);
  std::string_view best;
  size_t best_distance = word.size();
  for (const std::string_view candidate : known) {
    const size_t distance = EditDistance(word, candidate);
    if (distance < best_distance && distance <= std::max<size_t>(1, candidate.size() / 3)) {
      best = candidate;
      best_distance = distance;
    }
  }
  if (!best.empty()) return Cat("; did you mean \"", best, "\"?");
  return Cat("; known: ", Join(known, ", "));
}

std::string_view KindName(Node::Kind kind) {
  switch (kind) {
    case Node::Kind::kNull:
      return "nothing";
    case Node::Kind::kScalar:
      return "a single value";
    case Node::Kind::kSequence:
      return "a list";
    case Node::Kind::kMap:
      return "a map";
    case Node::Kind::kRefused:
      break;
  }
  return "something refused";
}

Finding At(const Node& node, const std::string& path, std::string message) {
  return {node.line, node.column, path.empty() ? "document" : path, std::move(message)};
}

void SortByPlace(std::vector<Finding>* findings) {
  std::stable_sort(findings->begin(), findings->end(), [](const Finding& a, const Finding& b) {
    return std::tie(a.line, a.column) < std::tie(b.line, b.column);
  });
}

}  // namespace

Value::Value(const Node* node, bool present, std::string path, Findings* findings)
    : node_(node), present_(present), path_(std::move(path)), findings_(findings) {
  if (!present_ || node_->refusal.empty()) return;
  Error(node_->refusal);
  // One error is enough for a scalar; a collection may have more to say.
  present_ = node_->kind == Node::Kind::kMap || node_->kind == Node::Kind::kSequence;
}

void Value::Error(std::string message) const {
  if (findings_->errors.size() < kMaxErrors) {
    findings_->errors.push_back(At(*node_, path_, std::move(message)));
  }
}

void Value::Warn(std::string message) const {
  if (findings_->warnings.size() < kMaxErrors) {
    findings_->warnings.push_back(At(*node_, path_, std::move(message)));
  }
}

void Value::Require() const {
  if (!present_ && node_->kind == Node::Kind::kMap) Error("is required");
}

bool Value::Scalar(std::string_view expected, bool quotable) const {
  if (!present_) return false;
  if (node_->kind != Node::Kind::kScalar) {
    Error(Cat("expected ", expected, ", found ", KindName(node_->kind)));
    return false;
  }
  if (node_->quoted && !quotable) {
    Error(Cat("expected ", expected, ", found text; remove the quotes around ",
              Quote(node_->scalar)));
    return false;
  }
  return true;
}

bool Value::Boolean(bool* out) const {
  if (!Scalar("true or false", false)) return false;
  if (node_->scalar != "true" && node_->scalar != "false") {
    Error(Cat(Quote(node_->scalar), " is neither true nor false"));
    return false;
  }
  *out = node_->scalar == "true";
  return true;
}

void Value::NotOneOf(const std::vector<std::string_view>& known) const {
  Error(Cat(Quote(node_->scalar), " is not one of ", Join(known, ", ")));
}

std::vector<Value> Value::Items(Range<size_t> length) const {
  std::vector<Value> items;
  if (!present_) return items;
  if (node_->kind != Node::Kind::kSequence) {
    Error(Cat("expected a list, found ", KindName(node_->kind)));
    return items;
  }
  const size_t size = node_->items.size();
  if (size < length.min) Error(Cat("needs at least ", length.min, " item(s)"));
  if (size > length.max) {
    Error(Cat("has ", size, " items, more than ", length.max));
    return items;
  }
  items.reserve(size);
  for (size_t i = 0; i < size; ++i) {
    items.emplace_back(&node_->items[i], true, Cat(path_, "[", i, "]"), findings_);
  }
  return items;
}

Map::Map(const Value& value) : self_(value) {
  if (!self_.present()) return;
  if (self_.node().kind != Node::Kind::kMap) {
    self_.Error(Cat("expected a map, found ", KindName(self_.node().kind)));
    return;
  }
  for (const Entry& entry : self_.node().entries) {
    if (entry.key.kind != Node::Kind::kScalar) {
      const std::string why = entry.key.refusal.empty()
                                  ? Cat("a key cannot be ", KindName(entry.key.kind))
                                  : entry.key.refusal;
      Value(&entry.key, false, self_.path(), self_.findings()).Error(why);
      continue;
    }
    const auto [first, is_new] = entries_.emplace(entry.key.scalar, &entry);
    if (is_new && entry.key.refusal.empty()) continue;
    const Value key(&entry.key, true, PathOf(entry.key.scalar), self_.findings());
    if (!is_new) {
      key.Error(Cat("duplicate key, first on line ", first->second->key.line));
    }
  }
}

Value Map::operator[](std::string_view key) {
  known_.push_back(key);
  const auto entry = entries_.find(key);
  const bool present = entry != entries_.end();
  // What is no map has had its error; required keys in it need none.
  return {present ? &entry->second->value : &self_.node(), present, PathOf(key), self_.findings()};
}

void Map::Finish() const {
  for (const auto& [key, entry] : entries_) {
    if (self_.findings()->errors.size() >= kMaxErrors) return;
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    Value(&entry->key, false, PathOf(key), self_.findings())
        .Error(Cat("unknown key ", Quote(key), Suggest(key, known_)));
  }
}

std::string Map::PathOf(std::string_view key) const {
  std::string shown = Quote(key);  // Escaped and cut; the quotes are not wanted here.
  shown = shown.substr(1, shown.size() - 2);
  return self_.path().empty() ? shown : Cat(self_.path(), ".", shown);
}

Findings ReadText(std::string_view yaml_text, size_t max_bytes,
                  const std::function<void(const Node& root, Findings*)>& read) {
  Findings findings;
  if (const auto root = ParseTree(yaml_text, max_bytes, &findings.errors)) read(*root, &findings);
  const bool cut = findings.errors.size() >= kMaxErrors;
  SortByPlace(&findings.errors);
  SortByPlace(&findings.warnings);
  if (cut) {
    const Finding& last = findings.errors.back();
    findings.errors.push_back(
        {last.line, last.column, "document", "too many errors; there are more"});
  }
  return findings;
}

}  // namespace wb::config
