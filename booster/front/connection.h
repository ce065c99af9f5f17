// SPDX-License-Identifier: Apache-2.0
// A client's connection: bytes in and out, deadlines and the end of it, whatever protocol is spoken
// on it. Begins with a PROXY header where the listener wants one, then TLS, then a Session.
#ifndef BOOSTER_FRONT_CONNECTION_H_
#define BOOSTER_FRONT_CONNECTION_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "booster/front/services.h"
#include "booster/front/transaction.h"
#include "booster/net/event_loop.h"
#include "booster/net/stream.h"

namespace wb::front {

class Connection;

// The protocol. Within any of its calls it may end the connection by Finish() or Abort(), which
// destroys both at the end of the loop's turn, and calls nothing more of the session.
class Session {
 public:
  virtual ~Session() = default;
  virtual void OnInput() = 0;     // there may be something to read
  virtual void OnOutput() = 0;    // what was queued has become less
  virtual void OnDeadline() = 0;  // see Connection::SetDeadline()
  virtual void OnDrain() = 0;     // no further requests are wanted
};

class ConnectionOwner {
 public:
  virtual void ConnectionEnded(Connection& connection) = 0;  // destroy it at the end of the turn

 protected:
  ~ConnectionOwner() = default;
};

class Connection final : private net::Watcher {
 public:
  // `place`: the client's among its connections. `proxied`: it begins with a PROXY header.
  Connection(Services& services, ConnectionOwner& owner, std::unique_ptr<net::Stream> stream,
             Peer peer, ClientTable::Place place, bool proxied);
  ~Connection();

  void Begin();
  void Drain();  // no further requests

  // For the session.
  Services& services() { return services_; }
  const Peer& peer() const { return peer_; }
  // As Stream::Read(). -EAGAIN: OnInput() comes when there is more.
  ssize_t Read(char* to, size_t most);
  bool readable() const { return readable_ || stream_->HasPending(); }
  // Queues what the socket does not take at once. Nothing when the connection is over.
  void Write(std::span<const iovec> pieces);
  void Write(std::string_view text);
  size_t queued() const { return out_.size() - out_begin_; }
  // OnDeadline() then, unless it is set anew before; never with `delay` 0.
  void SetDeadline(std::chrono::milliseconds delay);
  // In order: FIN behind what is queued; what the client still sends is read for a while, lest a
  // reset overtakes the response (RFC 9112, 9.6).
  void Finish(End why);
  // At once. The client is to see that something is missing: reset.
  void Abort(End why);
  bool over() const { return over_; }

  size_t place = 0;  // of its owner's

 private:
  enum class Phase : uint8_t { kProxy, kHandshake, kSession, kLinger };

  void OnEvents(uint32_t events) override;
  void Advance();
  void ReadProxyHeader();
  void Handshake();
  void StartSession();
  void Flush();
  void Late();
  void Arm(net::Clock::time_point when);
  void Linger();
  void End(front::End why);

  Services& services_;
  ConnectionOwner& owner_;
  std::unique_ptr<net::Stream> stream_;
  Peer peer_;
  const ClientTable::Place place_;
  Phase phase_;
  std::unique_ptr<Session> session_;
  net::Timer timer_;
  net::Clock::time_point armed_for_;
  net::Clock::time_point deadline_;  // of the session, or of the phase; none: max
  net::Clock::time_point stalled_;   // since when the client takes nothing
  std::string out_;
  size_t out_begin_ = 0;
  size_t lingered_ = 0;
  front::End why_ = front::End::kClient;
  bool readable_ = true;
  bool ending_ = false;  // the client has ended its side
  bool finishing_ = false;
  bool over_ = false;
};

}  // namespace wb::front

#endif  // BOOSTER_FRONT_CONNECTION_H_
