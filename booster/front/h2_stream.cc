// SPDX-License-Identifier: Apache-2.0
#include "booster/front/h2_stream.h"

#include <array>
#include <charconv>

#include "booster/front/h2_session.h"

namespace wb::front {
namespace {

constexpr auto kNever = net::Clock::time_point::max();
constexpr size_t kKeptBytes = 16 << 10;  // of an empty buffer
constexpr http::Refusal kSlow = {408, "the request did not come in time"};
constexpr http::Refusal kTooLong = {413, "body is too long"};

uint8_t* Bytes(std::string_view text) {
  return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
}

// nghttp2 copies all when it is told, and makes names lower case.
void Add(std::vector<nghttp2_nv>& fields, std::string_view name, std::string_view value) {
  fields.push_back({.name = Bytes(name),
                    .value = Bytes(value),
                    .namelen = name.size(),
                    .valuelen = value.size(),
                    .flags = NGHTTP2_NV_FLAG_NONE});
}

// A number as text.
class Digits {
 public:
  explicit Digits(uint64_t value)
      : size_(static_cast<size_t>(
            std::to_chars(text_.data(), text_.data() + text_.size(), value).ptr - text_.data())) {}
  std::string_view text() const { return {text_.data(), size_}; }

 private:
  std::array<char, 20> text_;
  size_t size_;
};

ssize_t ReadData(nghttp2_session*, int32_t id, uint8_t*, size_t most, uint32_t* flags,
                 nghttp2_data_source* source, void*) {
  H2Stream* stream = static_cast<H2Session*>(source->ptr)->Find(id);
  return stream ? stream->NextData(most, flags) : static_cast<ssize_t>(NGHTTP2_ERR_DEFERRED);
}

}  // namespace

H2Stream::H2Stream(H2Session& session, int32_t id)
    : session_(session),
      id_(id),
      builder_(session.snapshot().limits),
      transaction_(session.services(), session.peer()),
      begun_(session.now()),
      received_(begun_),
      sent_(begun_) {}

H2Stream::~H2Stream() {
  CancelExchange();
  DropUpload();
  DropDownload();
}

bool H2Stream::AddField(std::string_view name, std::string_view value) {
  if (!head_done_) return builder_.Add(name, value);
  const http::Limits& limits = session_.snapshot().limits;
  trailer_bytes_ += name.size() + value.size() + 32;
  if (trailer_bytes_ > limits.trailer_bytes || http::CheckField(name, value)) return false;
  if (http::MayBeTrailer(http::Classify(name))) {
    if (sent_trailers_.size() == limits.trailer_fields) return false;
    sent_trailers_.emplace_back(name, value);
  }
  return true;
}

void H2Stream::HeadDone(bool end) {
  head_done_ = true;
  request_ended_ = end;
  received_ = session_.now();
  if (const http::Refusal refusal = builder_.Finish(!end)) {
    session_.services().counters.unrouted.Add();
    return Refuse(refusal);
  }
  const http::RequestHead& head = builder_.head();
  upload_ended_ = head.framing == http::Framing::kNone ||
                  (head.framing == http::Framing::kLength && head.content_length == 0);
  continue_due_ = head.expect_continue && !upload_ended_;
  if (const http::Refusal refusal = transaction_.Begin(head, "HTTP/2.0")) {
    if (transaction_.hold().count() == 0) return Refuse(refusal);
    held_ = refusal;
    return session_.LookBy(Due());
  }
  exchange_ = session_.services().upstream.Start(transaction_.ask(), *this);
  Upload();
}

void H2Stream::Data(std::string_view payload) {
  received_ = session_.now();
  received_bytes_ += payload.size();
  if (!exchange_ || upload_ended_) {
    nghttp2_session_consume_connection(session_.h2(), payload.size());
    return session_.FlushLater();
  }
  up_.append(payload);
  transaction_.RequestBytes(payload.size());
  if (received_bytes_ > session_.snapshot().limits.body_bytes) {
    CancelExchange();
    return response_begun_ ? Reset(NGHTTP2_CANCEL) : Refuse(kTooLong);
  }
  if (!std::exchange(upload_later_, true)) session_.UploadLater(id_);
}

void H2Stream::RequestEnded() {
  request_ended_ = true;
  if (!std::exchange(upload_later_, true)) session_.UploadLater(id_);
}

void H2Stream::OnRoom() { Upload(); }

// As much of the request's body as the origin takes, which is what the client may send anew.
void H2Stream::Upload() {
  upload_later_ = false;
  // A link that has taken some may have room for more at once, and says so.
  if (std::exchange(uploading_, true)) return;
  size_t taken = 0;
  while (exchange_ && !upload_ended_) {
    const size_t room = exchange_->Room();
    if (room == 0) break;
    const std::string_view part = std::string_view(up_).substr(up_begin_, room);
    up_begin_ += part.size();
    upload_ended_ = request_ended_ && up_begin_ == up_.size();
    if (part.empty() && !upload_ended_) {
      if (std::exchange(continue_due_, false) && received_bytes_ == 0 && !response_begun_) {
        std::vector<nghttp2_nv> fields;
        Add(fields, ":status", "100");
        nghttp2_submit_headers(session_.h2(), NGHTTP2_FLAG_NONE, id_, nullptr, fields.data(),
                               fields.size(), nullptr);
        session_.FlushLater();
      }
      break;
    }
    taken += part.size();
    std::vector<http::Field> trailers;
    if (upload_ended_) {
      for (const auto& [name, value] : sent_trailers_) trailers.push_back({name, value});
    }
    exchange_->SetTrailers(trailers);
    exchange_->SendBody(part, upload_ended_);
  }
  uploading_ = false;
  if (up_begin_ >= up_.size()) {
    if (up_.capacity() > kKeptBytes) std::string().swap(up_);
    up_.clear();
    up_begin_ = 0;
  }
  if (taken == 0) return;
  nghttp2_session_consume(session_.h2(), id_, taken);
  session_.FlushLater();
}

void H2Stream::OnHead(const http::ResponseHead& head) {
  if (head.status == 100) return;  // ours has been sent
  std::vector<nghttp2_nv> fields;
  fields.reserve(head.fields.size() + 4);
  const Digits status(static_cast<uint64_t>(head.status));
  Add(fields, ":status", status.text());
  const bool trailers = head.framing == http::Framing::kChunked && builder_.head().te_trailers;
  bool date = false;
  for (const http::Field& field : head.fields) {
    if (field.connection_named) continue;
    if (field.info.flags & http::kHopByHop &&
        !(field.info.id == http::Name::kTrailer && trailers)) {
      continue;
    }
    date = date || field.info.id == http::Name::kDate;
    Add(fields, field.name, field.value);
  }
  const std::string& via = session_.snapshot().routes->via;
  const std::string received = via.empty() ? "" : (head.minor == 0 ? "1.0 " : "1.1 ") + via;
  if (!via.empty()) Add(fields, "via", received);
  if (head.interim()) {
    nghttp2_submit_headers(session_.h2(), NGHTTP2_FLAG_NONE, id_, nullptr, fields.data(),
                           fields.size(), nullptr);
    return session_.FlushLater();
  }
  const Digits length(head.content_length.value_or(0));
  if (!date) Add(fields, "date", session_.services().Date());
  if (head.content_length) Add(fields, "content-length", length.text());
  transaction_.Status(head.status);
  Respond(fields, head.framing != http::Framing::kNone &&
                      !(head.framing == http::Framing::kLength && head.content_length == 0));
}

void H2Stream::Respond(std::vector<nghttp2_nv>& fields, bool body) {
  response_begun_ = true;
  sent_ = session_.now();
  const nghttp2_data_provider provider = {.source = {.ptr = &session_}, .read_callback = ReadData};
  nghttp2_submit_response(session_.h2(), id_, fields.data(), fields.size(),
                          body ? &provider : nullptr);
  session_.FlushLater();
}

void H2Stream::OnBody(std::string_view payload) {
  transaction_.ResponseBytes(payload.size());
  if (Waiting().empty()) sent_ = session_.now();
  if (down_begin_ > down_.size() / 2) {
    down_.erase(0, down_begin_);
    down_begin_ = 0;
  }
  down_.append(payload);
  session_.Buffered(payload.size());
  Resume();
  if (exchange_ && !paused_ && Waiting().size() > session_.Share()) {
    paused_ = true;
    exchange_->Pause(true);
  }
}

void H2Stream::OnEnd(std::span<const http::Field> trailers) {
  exchange_ = nullptr;
  response_ended_ = true;
  if (builder_.head().te_trailers) {
    for (const http::Field& field : trailers) trailers_.emplace_back(field.name, field.value);
  }
  DropUpload();
  Resume();
}

void H2Stream::Resume() {
  if (std::exchange(deferred_, false)) nghttp2_session_resume_data(session_.h2(), id_);
  session_.FlushLater();
}

void H2Stream::OnFailure(http::Refusal refusal) {
  exchange_ = nullptr;
  if (!response_begun_) return Refuse(refusal);
  transaction_.Refused(Cause::kCut);
  Reset(NGHTTP2_INTERNAL_ERROR);
}

// A response of our own.
void H2Stream::Refuse(http::Refusal refusal) {
  DropUpload();
  const OwnResponse own = Answer(refusal, transaction_);
  std::vector<nghttp2_nv> fields;
  const Digits status(static_cast<uint64_t>(refusal.status));
  const Digits length(own.body.size());
  Add(fields, ":status", status.text());
  for (const auto& [name, value] : own.fields) Add(fields, name, value);
  Add(fields, "date", session_.services().Date());
  Add(fields, "content-length", length.text());
  transaction_.Status(refusal.status);
  response_ended_ = true;
  const bool body = !own.body.empty() && builder_.head().method != "HEAD";
  if (body) {
    down_ = own.body;
    session_.Buffered(down_.size());
  }
  Respond(fields, body);
}

void H2Stream::Reset(uint32_t code) {
  if (std::exchange(reset_, true)) return;
  CancelExchange();
  DropUpload();
  DropDownload();
  nghttp2_submit_rst_stream(session_.h2(), NGHTTP2_FLAG_NONE, id_, code);
  session_.FlushLater();
}

ssize_t H2Stream::NextData(size_t most, uint32_t* flags) {
  const size_t n = std::min(Waiting().size(), most);
  if (reset_ || (n == 0 && !response_ended_)) {
    deferred_ = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (n < Waiting().size() || !response_ended_) return static_cast<ssize_t>(n);
  *flags |= NGHTTP2_DATA_FLAG_EOF;
  if (!trailers_.empty()) {
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    std::vector<nghttp2_nv> fields;
    for (const auto& [name, value] : trailers_) Add(fields, name, value);
    nghttp2_submit_trailer(session_.h2(), id_, fields.data(), fields.size());
  }
  return static_cast<ssize_t>(n);
}

bool H2Stream::WriteData(size_t size) {
  const std::string_view part = Waiting().substr(0, size);
  session_.Emit(reinterpret_cast<const uint8_t*>(part.data()), part.size());
  session_.Unbuffered(part.size());
  const bool more = session_.DataSent(part.size());
  sent_ = session_.now();
  down_begin_ += part.size();
  if (down_begin_ == down_.size()) {
    if (down_.capacity() > kKeptBytes) std::string().swap(down_);
    down_.clear();
    down_begin_ = 0;
  }
  if (paused_ && exchange_ && Waiting().size() <= session_.Share() / 2) {
    paused_ = false;
    exchange_->Pause(false);
  }
  return more;
}

// A request that is answered needs no more of its body (RFC 9113, 8.1).
void H2Stream::EndSent() {
  if (!request_ended_) nghttp2_submit_rst_stream(session_.h2(), 0, id_, NGHTTP2_NO_ERROR);
}

void H2Stream::HeadFailed() { Reset(NGHTTP2_INTERNAL_ERROR); }

net::Clock::time_point H2Stream::Due() const {
  const Timeouts& timeouts = session_.snapshot().config.timeouts;
  if (!head_done_) return begun_ + timeouts.head;
  if (reset_) return kNever;
  if (held_) return received_ + transaction_.hold();
  auto due = kNever;
  // The client's turn: the origin has taken all that came.
  if (!request_ended_ && !upload_ended_ && exchange_ && up_.empty() && exchange_->Room() > 0) {
    due = received_ + timeouts.body;
  }
  if (Waiting().empty()) return due;
  if (nghttp2_session_get_stream_remote_window_size(session_.h2(), id_) <= 0) {
    due = std::min(due, sent_ + timeouts.write);
  } else if (nghttp2_session_get_remote_window_size(session_.h2()) <= 0) {
    // Other streams may have used the connection's window up meanwhile.
    due = std::min(due, std::max(sent_, session_.data_sent()) + timeouts.write);
  }
  return due;
}

void H2Stream::Late() {
  if (held_) return Refuse(std::exchange(held_, {}));
  CancelExchange();
  if (response_begun_) return Reset(NGHTTP2_CANCEL);
  Refuse(kSlow);
}

void H2Stream::CancelExchange() {
  if (link::Exchange* exchange = std::exchange(exchange_, nullptr)) exchange->Cancel();
}

void H2Stream::DropUpload() {
  upload_ended_ = true;
  const size_t left = up_.size() - up_begin_;
  // The window of the connection serves other streams.
  if (left > 0) nghttp2_session_consume_connection(session_.h2(), left);
  up_begin_ = up_.size();
}

void H2Stream::DropDownload() {
  session_.Unbuffered(Waiting().size());
  down_.clear();
  down_begin_ = 0;
}

}  // namespace wb::front
