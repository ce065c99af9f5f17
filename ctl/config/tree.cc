// SPDX-License-Identifier: Apache-2.0
#include "ctl/config/tree.h"

#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <cstdint>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ctl/config/text.h"

namespace wb::config {
namespace {

constexpr char kWhole[] = "document";

// Length of the well-formed UTF-8 sequence (RFC 3629) at the start of `s`, 0 if there is none.
size_t Utf8Length(std::string_view s) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(s[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t n = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || s.size() < n) return 0;
  for (size_t i = 1; i < n; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const uint8_t second = byte(1);
  const bool overlong = (lead == 0xE0 && second < 0xA0) || (lead == 0xF0 && second < 0x90);
  const bool outside = (lead == 0xED && second > 0x9F) || (lead == 0xF4 && second > 0x8F);
  return overlong || outside ? 0 : n;
}

// Control characters and broken UTF-8 are refused before yaml-cpp sees them: it would guess at
// UTF-16, and strings of ours end up in JSON and in logs.
bool CheckText(std::string_view text, size_t max_bytes, std::vector<Finding>* errors) {
  if (text.size() > max_bytes) {
    errors->push_back({1, 1, kWhole, Cat("larger than ", max_bytes, " bytes")});
    return false;
  }
  Finding at{1, 1, kWhole, ""};
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<uint8_t>(text[i]);
    const size_t n = Utf8Length(text.substr(i));
    if (n == 0) at.message = "not valid UTF-8";
    if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7F) {
      at.message = Cat("control character 0x", absl::Hex(c, absl::kZeroPad2));
    }
    if (!at.message.empty()) {
      errors->push_back(std::move(at));
      return false;
    }
    at.column += static_cast<int>(n);
    if (c == '\n') {
      ++at.line;
      at.column = 1;
    }
    i += n;
  }
  return true;
}

// Builds the tree out of yaml-cpp's events. Open collections are held by value on a stack, so that
// nothing points into a vector that grows; a collection joins its parent when it ends.
class Builder : public YAML::EventHandler {
 public:
  explicit Builder(std::string_view text) : lines_(Split(text, '\n')) {}

  std::optional<Node>& root() { return root_; }
  const std::optional<Finding>& second_document() const { return second_; }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (documents_++ == 1)
      second_ = {mark.line + 1, mark.column + 1, kWhole, "second YAML document"};
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Node node = Make(Node::Kind::kNull, mark, "", anchor);
    if (!open_.empty() && open_.back().dashes) LocateEmptyItem(&node);
    Add(std::move(node));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    Node node = Make(Node::Kind::kRefused, mark, "", YAML::NullAnchor);
    node.refusal = "aliases (*name) are not accepted; write the value out";
    Add(std::move(node));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Node node = Make(Node::Kind::kScalar, mark, tag, anchor);
    node.quoted = tag != "?";
    node.scalar = value;
    Add(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override {
    Open(Make(Node::Kind::kSequence, mark, tag, anchor), style != YAML::EmitterStyle::Flow);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(Make(Node::Kind::kMap, mark, tag, anchor), false);
  }
  void OnMapEnd() override { Close(); }

 private:
  struct Frame {
    Node node;
    bool dashes = false;      // A sequence in block style.
    std::optional<Node> key;  // Maps: read, and waiting for its value.
  };

  Node Make(Node::Kind kind, const YAML::Mark& mark, std::string_view tag, YAML::anchor_t anchor) {
    Node node;
    node.kind = kind;
    node.line = mark.line + 1;
    node.column = mark.column + 1;
    if (anchor != YAML::NullAnchor) {
      node.refusal = "anchors (&name) are not accepted";
    } else if ((!tag.empty() && tag != "?" && tag != "!") || CharAt(mark) == '!') {
      // "!" is also what yaml-cpp calls a quoted scalar, hence the look at the text.
      node.refusal = "tags (!name) are not accepted";
    }
    return node;
  }

  char CharAt(const YAML::Mark& mark) const {
    const auto line = static_cast<size_t>(mark.line);
    const auto column = static_cast<size_t>(mark.column);
    return line < lines_.size() && column < lines_[line].size() ? lines_[line][column] : '\0';
  }

  // yaml-cpp places an empty list item at the token that follows it; the dash is further up. No
  // line is looked at twice, for a file of nothing but dashes.
  void LocateEmptyItem(Node* node) {
    const int last = std::min(node->line, static_cast<int>(lines_.size()));
    for (int line = last; line > searched_; --line) {
      std::string_view text = lines_[line - 1];
      if (line == node->line) text = text.substr(0, node->column - 1);
      text = Strip(text.substr(0, text.find('#')));
      if (!text.ends_with('-')) continue;
      node->line = line;
      node->column = static_cast<int>(lines_[line - 1].find_last_of(
                         '-', text.data() + text.size() - 1 - lines_[line - 1].data())) +
                     1;
      break;
    }
    searched_ = std::max(searched_, last - 1);
  }

  void Open(Node node, bool dashes) {
    if (too_deep_ > 0 || open_.size() >= kMaxDepth) {
      if (too_deep_++ == 0) {
        node.kind = Node::Kind::kRefused;
        node.refusal = "nested too deeply";
        Attach(std::move(node));
      }
      return;
    }
    open_.push_back({std::move(node), dashes, std::nullopt});
  }

  void Close() {
    if (too_deep_ > 0) {
      --too_deep_;
      return;
    }
    Node node = std::move(open_.back().node);
    open_.pop_back();
    Attach(std::move(node));
  }

  void Add(Node node) {
    if (too_deep_ == 0) Attach(std::move(node));
  }

  void Attach(Node node) {
    if (documents_ > 1) return;
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& parent = open_.back();
    if (parent.node.kind == Node::Kind::kSequence) {
      parent.node.items.push_back(std::move(node));
    } else if (!parent.key) {
      parent.key = std::move(node);
    } else {
      // An absent value is placed by yaml-cpp at whatever follows.
      if (node.kind == Node::Kind::kNull) {
        node.line = parent.key->line;
        node.column = parent.key->column;
      }
      parent.node.entries.push_back({std::move(*parent.key), std::move(node)});
      parent.key.reset();
    }
  }

  std::vector<std::string_view> lines_;
  std::vector<Frame> open_;
  std::optional<Node> root_;
  std::optional<Finding> second_;
  int too_deep_ = 0;  // Open collections below the deepest that is kept.
  int documents_ = 0;
  int searched_ = 0;  // LocateEmptyItem's progress, a line number.
};

}  // namespace

std::optional<Node> ParseTree(std::string_view text, size_t max_bytes,
                              std::vector<Finding>* errors) {
  if (!CheckText(text, max_bytes, errors)) return std::nullopt;
  Builder builder(text);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    while (!builder.second_document() && parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::DeepRecursion& e) {
    errors->push_back({e.mark.line + 1, e.mark.column + 1, kWhole, "nested too deeply"});
    return std::nullopt;
  } catch (const YAML::Exception& e) {
    const bool placed = !e.mark.is_null();
    errors->push_back({placed ? e.mark.line + 1 : 1, placed ? e.mark.column + 1 : 1, kWhole,
                       Cat("YAML syntax: ", e.msg)});
    return std::nullopt;
  } catch (const std::exception& e) {
    errors->push_back({1, 1, kWhole, Cat("YAML parser: ", e.what())});
    return std::nullopt;
  }
  if (builder.second_document()) errors->push_back(*builder.second_document());
  if (!builder.root()) errors->push_back({1, 1, kWhole, "empty: no configuration in it"});
  return std::move(builder.root());
}

}  // namespace wb::config
