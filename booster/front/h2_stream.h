// SPDX-License-Identifier: Apache-2.0
// A stream of HTTP/2: one request of a client and its response (RFC 9113, 8.1). Flow control goes
// from end to end: the client may send as much of a body as the origin has taken, and an origin is
// not read while its client gives no window.
#ifndef BOOSTER_FRONT_H2_STREAM_H_
#define BOOSTER_FRONT_H2_STREAM_H_

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "booster/front/transaction.h"
#include "booster/http/request_builder.h"
#include "booster/link/exchange.h"

namespace wb::front {

class H2Session;

class H2Stream final : private link::Client {
 public:
  H2Stream(H2Session& session, int32_t id);
  H2Stream(const H2Stream&) = delete;
  H2Stream& operator=(const H2Stream&) = delete;
  ~H2Stream();  // cancels what is under way

  // What the client sends.
  bool head_done() const { return head_done_; }
  bool AddField(std::string_view name, std::string_view value);  // false: reset the stream
  void HeadDone(bool end);
  void Data(std::string_view payload);
  void RequestEnded();
  void Upload();  // hands on what has come

  // What it is sent: as nghttp2_data_source_read_callback; and what that promised.
  ssize_t NextData(size_t most, uint32_t* flags);
  bool WriteData(size_t size);  // false: no more for now
  void EndSent();               // END_STREAM is written
  void HeadFailed();            // HEADERS could not be

  // When the client will be too late; max: we do not wait for it.
  net::Clock::time_point Due() const;
  void Late();

 private:
  // link::Client
  void OnHead(const http::ResponseHead& head) override;
  void OnBody(std::string_view payload) override;
  void OnEnd(std::span<const http::Field> trailers) override;
  void OnFailure(http::Refusal refusal) override;
  void OnRoom() override;

  void Refuse(http::Refusal refusal);
  void Reset(uint32_t code);
  void Respond(std::vector<nghttp2_nv>& fields, bool body);
  void Resume();
  void CancelExchange();
  void DropUpload();
  void DropDownload();
  std::string_view Waiting() const { return std::string_view(down_).substr(down_begin_); }

  H2Session& session_;
  const int32_t id_;
  http::RequestBuilder builder_;
  Transaction transaction_;
  link::Exchange* exchange_ = nullptr;
  net::Clock::time_point begun_;
  net::Clock::time_point received_;  // the last of the request
  net::Clock::time_point sent_;      // the last of the response, or since when there is some
  uint64_t received_bytes_ = 0;      // of the body
  size_t trailer_bytes_ = 0;         // of the request
  std::string up_;                   // of the request's body, what the origin has not taken
  size_t up_begin_ = 0;
  std::string down_;  // of the response's body, what the client has not taken
  size_t down_begin_ = 0;
  std::vector<std::pair<std::string, std::string>> sent_trailers_;  // of the request
  std::vector<std::pair<std::string, std::string>> trailers_;       // of the response
  bool head_done_ = false;                                          // of the request
  bool request_ended_ = false;                                      // END_STREAM has come
  bool upload_ended_ = true;   // the origin has, or wants, no more of the body
  bool upload_later_ = false;  // the session was told
  bool uploading_ = false;     // in Upload()
  http::Refusal held_;         // to be sent later
  bool continue_due_ = false;  // the client waits for 100
  bool response_begun_ = false;
  bool response_ended_ = false;  // all of it is in down_ and trailers_
  bool deferred_ = false;        // nghttp2 was told to wait for more
  bool paused_ = false;          // the exchange
  bool reset_ = false;           // by us
};

}  // namespace wb::front

#endif  // BOOSTER_FRONT_H2_STREAM_H_
