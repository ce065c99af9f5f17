// SPDX-License-Identifier: Apache-2.0
// The sending side of TCP for one object, or a part of one, on one connection: fed with ACKs and
// with time, it says which segments to send and when it wants to be called again. It owns no
// packet, socket or clock.
//
//   OnAck(), OnTimer() at NextTimer()  ->  while Next(): send what it says  ->  status()
//
// Loss is found by RACK-TLP (RFC 8985) on a scoreboard of segments (RFC 6675) where the peer has
// SACK, else by duplicate and partial ACKs (RFC 5681, 6582); behind both is the timer of RFC 6298.
// The window is that of RFC 6928, then of CUBIC or Reno (RFC 9438, 5681), reduced by PRR (RFC 6937)
// on loss and on ECN (RFC 3168). Reductions that were for nothing are undone by timestamps (Eifel,
// RFC 3522, 4015), F-RTO (RFC 5682) or D-SACK (RFC 3708). Data waits for the peer's window (RFC
// 9293, 3.8.6).
//
// Its cost is bounded: memory by `max_outstanding`, an ACK by what it newly reports. An ACK beyond
// what was sent, or below what was acknowledged, changes nothing. Not thread-safe.
#ifndef BOOSTER_BULK_TRANSFER_H_
#define BOOSTER_BULK_TRANSFER_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "booster/bulk/congestion.h"
#include "booster/bulk/peer_window.h"
#include "booster/bulk/prr.h"
#include "booster/bulk/rack.h"
#include "booster/bulk/rtt.h"
#include "booster/bulk/scoreboard.h"
#include "booster/bulk/sequence.h"
#include "booster/bulk/types.h"
#include "booster/bulk/window_use.h"

namespace wb::bulk {

class Transfer {
 public:
  // `bytes`: of the object or part. Errors: kInvalidArgument, for what no connection can be.
  static absl::StatusOr<Transfer> Create(const Connection& connection, uint64_t bytes,
                                         const TransferOptions& options, uint64_t now);

  void OnAck(const AckSegment& ack, uint64_t now);
  // Any time; does what is due. May end in kGivenUp.
  void OnTimer(uint64_t now);
  uint64_t NextTimer() const;  // kNever: none

  // Whether Next() would return something.
  bool CanSend() const { return Plan(1).has_value(); }
  // At most `most` segments, which count as sent at `now`.
  std::optional<Send> Next(uint64_t now, uint32_t most);

  Status status() const { return status_; }
  // The connection as it is now; to be used when kDone.
  Connection connection() const;

  uint32_t segments() const { return segments_; }
  uint32_t SegmentBytes(uint32_t segment) const;  // payload
  // TSval of what is sent at `now` (RFC 7323, 4).
  uint32_t Timestamp(uint64_t now) const;

  // For metrics and tests.
  const TransferStats& stats() const { return stats_; }
  const Scoreboard& scoreboard() const { return board_; }
  const RttEstimator& rtt() const { return rtt_; }
  const Rack& rack() const { return rack_; }
  uint32_t cwnd() const;  // segments
  uint32_t ssthresh() const { return congestion_.ssthresh(); }
  int64_t acked_bytes() const { return acked_; }  // negative: replies before are outstanding

 private:
  enum class Phase : uint8_t { kOpen, kCwr, kRecovery, kLoss };
  enum class Frto : uint8_t { kOff, kFirstAck, kSecondAck };
  struct News;  // of one ACK; transfer_ack.cc

  Transfer(const Connection& connection, uint64_t bytes, const TransferOptions& options,
           uint64_t now);

  // transfer.cc
  int64_t EndOf(uint32_t segment) const;     // of its bytes
  uint32_t SegmentAt(int64_t offset) const;  // that is the first one not wholly below it
  int64_t SentEnd() const;                   // SND.NXT, pieces included
  uint32_t Pipe() const;                     // segments, those of earlier replies included
  bool Blocked() const;                      // nothing under way, and no room for a segment
  bool Reducing() const { return phase_ == Phase::kCwr || phase_ == Phase::kRecovery; }
  void Reduce(Phase phase, uint32_t flight);
  void RememberForUndo(Phase phase);
  void Undo();
  void FindLost(uint32_t flight, uint64_t now);

  // transfer_ack.cc
  void ReadArrivals(const AckSegment& ack, News& news, uint64_t now);
  void SampleRtt(const AckSegment& ack, const News& news, uint64_t now);
  void CountDuplicates(News& news);
  void JudgeTailProbe(const AckSegment& ack, const News& news);
  void JudgeReduction(const AckSegment& ack, const News& news);
  void JudgeFrto(const News& news);
  void EndPhase(News& news);
  void FindLostByDuplicates(const News& news);
  void UpdateWindow(const News& news, uint64_t now);

  // transfer_send.cc
  std::optional<Send> Plan(uint32_t most) const;
  std::optional<Send> PlanTailProbe() const;
  std::optional<Send> PlanRetransmission(uint32_t most) const;
  std::optional<Send> PlanNew(uint32_t most) const;
  std::optional<Send> PlanFragment(bool probing) const;
  Send Range(Why why, uint32_t first, uint32_t count) const;
  bool Gathering(uint32_t room) const;
  uint32_t NewRoom(uint32_t most) const;  // segments of new data that window and bounds permit
  void Commit(const Send& send, uint64_t now);

  // transfer_timer.cc
  bool Waiting() const;  // for the peer
  uint64_t GiveUpAt() const;
  void Timeout(uint64_t now);
  void ArmTimers(uint64_t now, bool restart);
  void ArmTailProbe(uint64_t now);
  void ArmPersist(uint64_t now);

  Connection start_;
  TransferOptions options_;
  SequenceSpace space_;
  int64_t bytes_;
  uint32_t segments_;
  Status status_ = Status::kRunning;

  int64_t acked_;             // SND.UNA
  int64_t fragment_end_ = 0;  // of the last piece sent
  PeerWindow window_;
  Scoreboard board_;
  RttEstimator rtt_;
  Rack rack_;
  Congestion congestion_;
  Prr prr_;
  WindowUse use_;
  TransferStats stats_;

  Phase phase_ = Phase::kOpen;
  Frto frto_ = Frto::kOff;
  bool bursting_ = false;        // what was gathered has left only in part
  uint8_t frto_new_ = 0;         // segments that F-RTO may still send
  bool retransmit_now_ = false;  // one lost segment, whatever the window
  bool cwr_due_ = false;
  bool tail_probe_due_ = false;
  bool window_probe_due_ = false;
  bool tail_probe_repeats_ = false;  // the probe was the last segment again
  uint32_t tail_probe_end_ = 0;      // TLP.end_seq, 0: none
  uint32_t recover_ = 0;             // the phase ends when all below is acknowledged
  uint32_t duplicates_ = 0;          // duplicate ACKs, of a peer without SACK
  uint32_t persist_backoff_ = 0;
  uint64_t reduced_order_ = 0;  // what was sent before says nothing more against the window

  // The last reduction, while it may be undone.
  std::optional<Congestion> undo_;
  uint32_t undo_recover_ = 0;
  bool undo_cwr_due_ = false;
  Phase undo_phase_ = Phase::kOpen;  // that it began
  LostSegments undo_retransmitted_;  // and not yet found to be in vain
  uint32_t undo_segment_ = 0;        // the first one sent again
  uint32_t undo_timestamp_ = 0;      // of that
  bool undo_sent_ = false;
  uint32_t undone_early_ = 0;  // NXT when a reduction was undone before anything was sent again

  uint64_t rto_at_ = kNever;
  uint64_t tail_probe_at_ = kNever;
  uint64_t reorder_at_ = kNever;
  uint64_t persist_at_ = kNever;
  int64_t timeout_acked_ = INT64_MIN;  // SND.UNA at the last timeout
  uint64_t heard_ns_;                  // last ACK, or when waiting began
  uint64_t progress_ns_;               // last byte acknowledged, or when waiting began
};

}  // namespace wb::bulk

#endif  // BOOSTER_BULK_TRANSFER_H_
