// SPDX-License-Identifier: Apache-2.0
// Field lines of a head or a trailer section (RFC 9112, 5; RFC 9110, 5), and what several kinds of
// message read out of them. Not thread-safe.
#ifndef BOOSTER_HTTP_FIELDS_H_
#define BOOSTER_HTTP_FIELDS_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "booster/http/message.h"
#include "booster/http/names.h"

namespace wb::http {

struct Field {
  std::string_view name;   // as sent
  std::string_view value;  // without white space around it; may have obs-text (RFC 9110, 5.5)
  NameInfo info = {};
  bool connection_named = false;  // Connection names it: not forwarded (RFC 9110, 7.6.1)
};

class Fields {
 public:
  // The first of that name, in any case.
  const Field* Find(std::string_view name) const;
  // The first; counts them when `count` is given.
  const Field* Find(Name id, size_t* count = nullptr) const;

  auto begin() const { return fields_.begin(); }
  auto end() const { return fields_.end(); }
  size_t size() const { return fields_.size(); }
  const Field& operator[](size_t i) const { return fields_[i]; }

 private:
  friend class FieldSection;
  friend class ConnectionOptions;
  std::vector<Field> fields_;
};

// Lines one by one, by their places, since the buffer may move until all are there.
class FieldSection {
 public:
  // A line at `begin` of `buffer`, without CRLF, of text. Refuses what is no field line.
  Refusal Add(std::string_view buffer, size_t begin, size_t end);
  size_t size() const { return places_.size(); }
  // Into `fields`, as views of `buffer`.
  void Finish(std::string_view buffer, Fields& fields) const;
  void Reset() { places_.clear(); }

 private:
  struct Place {
    uint32_t name, name_end, value, value_end;
    NameInfo info;
  };
  std::vector<Place> places_;
};

// Connection (RFC 9110, 7.6.1). Read() marks the fields that it names.
class ConnectionOptions {
 public:
  Refusal Read(Fields& fields, size_t most);
  bool close = false;
  bool keep_alive = false;
  bool upgrade = false;

 private:
  Refusal Option(std::string_view option, Fields& fields);
};

// RFC 9112, 9.3.
bool Persists(const ConnectionOptions& options, int minor);

// RFC 9110, 8.6: one field of at most 18 digits. Lists of equal numbers are refused.
struct ContentLength {
  std::optional<uint64_t> bytes = {};
  Refusal refusal = {};
};
ContentLength ReadContentLength(const Fields& fields);

// RFC 9112, 6.1: absent, or exactly "chunked" and without Content-Length.
struct TransferCoding {
  bool chunked = false;
  Refusal refusal = {};
};
TransferCoding ReadTransferCoding(const Fields& fields, int minor);

// At most 18 digits, nothing else.
std::optional<uint64_t> ReadDecimal(std::string_view text);

}  // namespace wb::http

#endif  // BOOSTER_HTTP_FIELDS_H_
