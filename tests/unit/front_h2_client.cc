// SPDX-License-Identifier: Apache-2.0
// nghttp2's client of front_h2_fixture.h.
#include <algorithm>
#include <cstring>

#include "tests/unit/front_h2_fixture.h"
#include "webbooster/base/check.h"

namespace wb::front {
namespace {

std::vector<nghttp2_nv> Values(const Pairs& fields) {
  std::vector<nghttp2_nv> values;
  const auto bytes = [](const std::string& text) {
    return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
  };
  for (const auto& [name, value] : fields) {
    values.push_back({bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE});
  }
  return values;
}

}  // namespace

std::string Reply::Value(std::string_view name) const {
  std::string all;
  for (const auto& [n, value] : fields) {
    if (n == name) all += (all.empty() ? "" : "|") + value;
  }
  return all;
}

struct ClientCallbacks {
  static H2Client& Of(void* user) { return *static_cast<H2Client*>(user); }

  static int Header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name,
                    size_t name_size, const uint8_t* value, size_t value_size, uint8_t,
                    void* user) {
    Reply& reply = Of(user).replies[frame->hd.stream_id];
    const std::string n(reinterpret_cast<const char*>(name), name_size);
    const std::string v(reinterpret_cast<const char*>(value), value_size);
    if (n == ":status" && v[0] == '1') {
      reply.interim.push_back(std::stoi(v));
    } else if (n == ":status") {
      reply.status = std::stoi(v);
    } else if (reply.status == 0) {
      reply.trailers.emplace_back("interim " + n, v);
    } else if (frame->headers.cat == NGHTTP2_HCAT_HEADERS && reply.status != 0 &&
               (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) && !reply.fields.empty()) {
      reply.trailers.emplace_back(n, v);
    } else {
      reply.fields.emplace_back(n, v);
    }
    return 0;
  }

  static int Data(nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t size,
                  void* user) {
    Of(user).replies[id].body.append(reinterpret_cast<const char*>(data), size);
    return 0;
  }

  static int Received(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    H2Client& client = Of(user);
    const bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) && end) {
      client.replies[frame->hd.stream_id].ended = true;
    } else if (frame->hd.type == NGHTTP2_RST_STREAM) {
      client.replies[frame->hd.stream_id].error = frame->rst_stream.error_code;
    } else if (frame->hd.type == NGHTTP2_GOAWAY) {
      client.goaways.push_back(frame->goaway.error_code);
      client.goaway_streams.push_back(frame->goaway.last_stream_id);
    } else if (frame->hd.type == NGHTTP2_SETTINGS) {
      for (size_t i = 0; i < frame->settings.niv; ++i) {
        const nghttp2_settings_entry& entry = frame->settings.iv[i];
        client.settings[static_cast<uint32_t>(entry.settings_id)] = entry.value;
      }
    }
    return 0;
  }

  static int Closed(nghttp2_session*, int32_t id, uint32_t, void* user) {
    Of(user).replies[id].closed = true;
    return 0;
  }

  static ssize_t Read(nghttp2_session*, int32_t, uint8_t* to, size_t most, uint32_t* flags,
                      nghttp2_data_source* source, void*) {
    auto& upload = *static_cast<H2Client::Upload*>(source->ptr);
    const size_t n = std::min(most, upload.body.size() - upload.sent);
    std::memcpy(to, upload.body.data() + upload.sent, n);
    upload.sent += n;
    if (upload.sent == upload.body.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(n);
  }
};

H2Client::H2Client(Front& front, const Options& options) : front_(front), options_(options) {
  nghttp2_session_callbacks* callbacks = nullptr;
  WB_CHECK(nghttp2_session_callbacks_new(&callbacks) == 0, "memory");
  nghttp2_session_callbacks_set_on_header_callback(callbacks, ClientCallbacks::Header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, ClientCallbacks::Data);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, ClientCallbacks::Received);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, ClientCallbacks::Closed);
  nghttp2_option* option = nullptr;
  WB_CHECK(nghttp2_option_new(&option) == 0, "memory");
  nghttp2_option_set_no_auto_window_update(option, options.give_window ? 0 : 1);
  WB_CHECK(nghttp2_session_client_new2(&h2_, callbacks, this, option) == 0, "memory");
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options.window}};
  nghttp2_submit_settings(h2_, NGHTTP2_FLAG_NONE, settings, 1);
  Run();
}

H2Client::~H2Client() { nghttp2_session_del(h2_); }

int32_t H2Client::Ask(const std::string& method, const std::string& path, const Pairs& more,
                      std::optional<std::string> body) {
  Pairs fields = Get(more);
  fields[0].second = method;
  fields[3].second = path;
  const std::vector<nghttp2_nv> values = Values(fields);
  if (!body) {
    return nghttp2_submit_request(h2_, nullptr, values.data(), values.size(), nullptr, nullptr);
  }
  auto [at, made] = uploads_.emplace(static_cast<int32_t>(nghttp2_session_get_next_stream_id(h2_)),
                                     Upload{*std::move(body)});
  WB_CHECK(made, "a new stream");
  const nghttp2_data_provider provider = {{.ptr = &at->second}, ClientCallbacks::Read};
  return nghttp2_submit_request(h2_, nullptr, values.data(), values.size(), &provider, nullptr);
}

int32_t H2Client::AskWith(const Pairs& fields, bool open) {
  const std::vector<nghttp2_nv> values = Values(fields);
  return nghttp2_submit_headers(h2_, open ? NGHTTP2_FLAG_NONE : NGHTTP2_FLAG_END_STREAM, -1,
                                nullptr, values.data(), values.size(), nullptr);
}

void H2Client::Trailers(int32_t id, const Pairs& fields) {
  const std::vector<nghttp2_nv> values = Values(fields);
  nghttp2_submit_headers(h2_, NGHTTP2_FLAG_END_STREAM, id, nullptr, values.data(), values.size(),
                         nullptr);
}

void H2Client::Reset(int32_t id, uint32_t code) {
  nghttp2_submit_rst_stream(h2_, NGHTTP2_FLAG_NONE, id, code);
}

void H2Client::Widen(int32_t id, int32_t by) {
  nghttp2_submit_window_update(h2_, NGHTTP2_FLAG_NONE, id, by);
}

void H2Client::Run() {
  for (bool moved = true; moved;) {
    moved = false;
    std::string sent;
    const uint8_t* data = nullptr;
    for (ssize_t n; (n = nghttp2_session_mem_send(h2_, &data)) > 0;) {
      sent.append(reinterpret_cast<const char*>(data), static_cast<size_t>(n));
    }
    moved = !sent.empty();
    const size_t piece = options_.piece > 0 ? options_.piece : sent.size();
    for (size_t i = 0; i < sent.size(); i += piece) front_.Send(sent.substr(i, piece));
    front_.Turn();
    const std::string& out = front_.open() ? front_.stream->out : front_.out;
    if (out.size() == taken_) continue;
    moved = true;
    const std::string got = out.substr(taken_);
    taken_ = out.size();
    WB_CHECK(nghttp2_session_mem_recv(h2_, reinterpret_cast<const uint8_t*>(got.data()),
                                      got.size()) == static_cast<ssize_t>(got.size()),
             "frames that a client understands");
  }
}

}  // namespace wb::front
