// SPDX-License-Identifier: Apache-2.0
// YAML text to a plain tree with positions; yaml-cpp is not seen outside tree.cc. Only its event
// interface is used: its own node graph drops duplicate keys, follows aliases and forgets the
// positions of keys. Private to ctl/config.
#ifndef CTL_CONFIG_TREE_H_
#define CTL_CONFIG_TREE_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ctl/config/load.h"

namespace wb::config {

struct Entry;

struct Node {
  enum class Kind { kNull, kScalar, kSequence, kMap, kRefused };
  Kind kind = Kind::kNull;
  bool quoted = false;  // Scalars: written in quotes or as a block, so never a number or a boolean.
  int line = 1;         // From 1.
  int column = 1;       // From 1, in bytes.
  std::string scalar;
  std::string refusal;  // Not empty: why this node cannot be accepted (anchor, alias, tag, depth).
  std::vector<Node> items;     // Sequences.
  std::vector<Entry> entries;  // Maps, in the order of the file; duplicate keys are all there.
};

struct Entry {
  Node key;
  Node value;
};

// Nodes deeper than this are refused; the schema needs 4 levels.
inline constexpr size_t kMaxDepth = 8;

// The one document in `text`. Nothing, and a finding, when it is not UTF-8, not YAML, empty, or
// larger than `max_bytes`. A second document is a finding too.
std::optional<Node> ParseTree(std::string_view text, size_t max_bytes,
                              std::vector<Finding>* errors);

}  // namespace wb::config

#endif  // CTL_CONFIG_TREE_H_
