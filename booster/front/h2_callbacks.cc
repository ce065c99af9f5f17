// SPDX-License-Identifier: Apache-2.0
// What nghttp2 calls, and how it is set up. nghttp2 keeps the states of streams (RFC 9113, 5.1),
// windows and HPACK, and resets malformed requests before we see them.
#include <array>
#include <string_view>

#include "booster/front/h2_session.h"
#include "webbooster/base/check.h"

namespace wb::front {
namespace {

constexpr size_t kMostAcks = 200;       // of PING and SETTINGS that wait to be sent
constexpr size_t kLeastWindow = 65535;  // of every connection (RFC 9113, 6.9.2)

H2Session& Of(void* user) { return *static_cast<H2Session*>(user); }

std::string_view View(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// A client that costs more than it is worth.
int SendAway(H2Session& session) {
  session.End(End::kRefused, NGHTTP2_ENHANCE_YOUR_CALM);
  return NGHTTP2_ERR_CALLBACK_FAILURE;
}

int OnBeginFrame(nghttp2_session*, const nghttp2_frame_hd* head, void* user) {
  H2Session& session = Of(user);
  switch (head->type) {
    case NGHTTP2_HEADERS:
      return 0;  // bounded by streams
    case NGHTTP2_DATA:
      if (head->length > 0 || (head->flags & NGHTTP2_FLAG_END_STREAM)) return 0;
      break;
    case NGHTTP2_RST_STREAM:
      return session.guard().TakeReset(session.now()) ? 0 : SendAway(session);
    default:
      break;
  }
  return session.guard().TakeFrame(session.now()) ? 0 : SendAway(session);
}

int OnBeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* user) {
  if (frame->headers.cat == NGHTTP2_HCAT_REQUEST && !Of(user).ending()) {
    Of(user).Open(frame->hd.stream_id);
  }
  return 0;
}

int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
             const uint8_t* value, size_t value_size, uint8_t, void* user) {
  H2Stream* stream = Of(user).Find(frame->hd.stream_id);
  if (!stream || stream->AddField(View(name, name_size), View(value, value_size))) return 0;
  return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
  H2Session& session = Of(user);
  const bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
  if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK)) session.Ponged();
  if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
  // Padding alone.
  if (frame->hd.type == NGHTTP2_DATA && !end && frame->data.padlen > 0 &&
      frame->hd.length == frame->data.padlen && !session.guard().TakeFrame(session.now())) {
    return SendAway(session);
  }
  H2Stream* stream = session.Find(frame->hd.stream_id);
  if (!stream) return 0;
  if (!stream->head_done()) {
    stream->HeadDone(end);
  } else if (end) {
    stream->RequestEnded();
  }
  return 0;
}

int OnData(nghttp2_session* h2, uint8_t, int32_t id, const uint8_t* data, size_t size, void* user) {
  if (H2Stream* stream = Of(user).Find(id)) {
    stream->Data(View(data, size));
  } else {
    nghttp2_session_consume_connection(h2, size);
  }
  return 0;
}

int OnFrameSent(nghttp2_session*, const nghttp2_frame* frame, void* user) {
  H2Session& session = Of(user);
  switch (frame->hd.type) {
    case NGHTTP2_GOAWAY:
      session.WentAway(frame->goaway.error_code);
      return 0;
    case NGHTTP2_RST_STREAM:
      // A client can make us reset streams as well as reset them itself.
      if (frame->rst_stream.error_code != NGHTTP2_NO_ERROR &&
          !session.guard().TakeReset(session.now())) {
        session.End(End::kRefused, NGHTTP2_ENHANCE_YOUR_CALM);
      }
      return 0;
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
      if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
      if (H2Stream* stream = session.Find(frame->hd.stream_id)) stream->EndSent();
      return 0;
    default:
      return 0;
  }
}

int OnFrameNotSent(nghttp2_session*, const nghttp2_frame* frame, int, void* user) {
  H2Stream* stream = Of(user).Find(frame->hd.stream_id);
  if (stream && frame->hd.type == NGHTTP2_HEADERS) stream->HeadFailed();
  return 0;
}

int OnSendData(nghttp2_session*, nghttp2_frame* frame, const uint8_t* head, size_t size,
               nghttp2_data_source*, void* user) {
  H2Stream* stream = Of(user).Find(frame->hd.stream_id);
  if (!stream) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  constexpr size_t kHeadBytes = 9;
  Of(user).Emit(head, kHeadBytes);
  return stream->WriteData(size) ? 0 : NGHTTP2_ERR_PAUSE;
}

int OnStreamClosed(nghttp2_session*, int32_t id, uint32_t, void* user) {
  Of(user).StreamClosed(id);
  return 0;
}

struct Free {
  void operator()(nghttp2_option* p) const { nghttp2_option_del(p); }
  void operator()(nghttp2_session_callbacks* p) const { nghttp2_session_callbacks_del(p); }
};

const nghttp2_session_callbacks* Callbacks() {
  static const nghttp2_session_callbacks* const kCallbacks = [] {
    nghttp2_session_callbacks* made = nullptr;
    WB_CHECK(nghttp2_session_callbacks_new(&made) == 0, "memory");
    nghttp2_session_callbacks_set_on_begin_frame_callback(made, OnBeginFrame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(made, OnBeginHeaders);
    nghttp2_session_callbacks_set_on_header_callback(made, OnHeader);
    nghttp2_session_callbacks_set_on_frame_recv_callback(made, OnFrame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, OnData);
    nghttp2_session_callbacks_set_on_frame_send_callback(made, OnFrameSent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(made, OnFrameNotSent);
    nghttp2_session_callbacks_set_send_data_callback(made, OnSendData);
    nghttp2_session_callbacks_set_on_stream_close_callback(made, OnStreamClosed);
    return made;
  }();
  return kCallbacks;
}

}  // namespace

H2 MakeH2(H2Session& session) {
  const Limits& limits = session.snapshot().config.limits;
  nghttp2_option* made_option = nullptr;
  WB_CHECK(nghttp2_option_new(&made_option) == 0, "memory");
  const std::unique_ptr<nghttp2_option, Free> option(made_option);
  nghttp2_option_set_no_auto_window_update(option.get(), 1);
  nghttp2_option_set_max_outbound_ack(option.get(), kMostAcks);
  // A head of limits.head in frames of the usual 16 KiB, and some more.
  nghttp2_option_set_max_continuations(option.get(), 8 + limits.head_bytes / 16384);
  nghttp2_session* made = nullptr;
  WB_CHECK(nghttp2_session_server_new2(&made, Callbacks(), &session, option.get()) == 0, "memory");
  H2 h2(made);
  const size_t window = std::max(kLeastWindow, static_cast<size_t>(limits.buffer_bytes));
  const std::array settings = {
      nghttp2_settings_entry{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.h2_streams},
      nghttp2_settings_entry{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
                             static_cast<uint32_t>(std::max(kLeastWindow, window / 2))},
      nghttp2_settings_entry{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
                             static_cast<uint32_t>(limits.head_bytes)},
      // By RFC 9218 instead: no tree for the client to build.
      nghttp2_settings_entry{NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
  };
  nghttp2_submit_settings(h2.get(), NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(h2.get(), NGHTTP2_FLAG_NONE, 0,
                                        static_cast<int32_t>(window));
  return h2;
}

}  // namespace wb::front
