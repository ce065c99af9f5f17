/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Why a packet was treated as it was: one list makes the enum, the metric labels and the texts of `wbctl reasons`.
 * Numbers are append-only. HOOK: in (XDP ingress), seg (fan-out), out (TC egress), sock (sockops), timer, tap
 * (copies of packets). */
#ifndef WEBBOOSTER_ABI_REASONS_H_
#define WEBBOOSTER_ABI_REASONS_H_

/* X(NAME, label, hook, text) */
#define WB_REASONS(X)                                                                                      \
  X(HIT, "hit", "in", "answered from the cache")                                                           \
  X(HIT_KEYED, "hit_keyed", "in", "packet of keyed booster requests answered")                             \
  X(NOT_IP, "not_ip", "in", "neither IPv4 nor IPv6, or VLAN-tagged")                                       \
  X(FRAGMENT, "fragment", "in", "IP fragment")                                                             \
  X(NOT_TCP, "not_tcp", "in", "not TCP")                                                                   \
  X(SHORT, "short", "in", "headers are cut off or lengths disagree")                                       \
  X(UNKNOWN_CONN, "unknown_connection", "in", "connection is not followed since it was established")       \
  X(PURE_ACK, "ack_passed", "in", "acknowledgment that concerns the kernel")                               \
  X(ACK_CONSUMED, "ack_consumed", "in", "acknowledgment of replies that the kernel never sent")            \
  X(CONTROL, "control", "in", "SYN, FIN, RST or URG")                                                      \
  X(IP_OPTIONS, "ip_options", "in", "request with IP options or extension headers")                        \
  X(TCP_OPTIONS, "tcp_options", "in", "request with TCP options other than timestamps")                    \
  X(CHECKSUM, "checksum", "in", "request with a bad TCP checksum")                                         \
  X(ECN, "ecn", "in", "congestion mark on the request")                                                    \
  X(PAWS, "paws", "in", "timestamp older than the last one")                                               \
  X(NO_SERVE, "not_serving", "in", "draining, disabled, or the connection is closing")                     \
  X(UNSYNCED, "unsynced", "in", "end of an earlier kernel response is not known on this connection")       \
  X(OUT_OF_ORDER, "out_of_order", "in", "request does not begin at the next byte expected")                \
  X(BUSY, "kernel_busy", "in", "the kernel's response is under way or awaited")                            \
  X(UNACKED, "kernel_unacked", "in", "the kernel has not seen all its data acknowledged")                  \
  X(BAD_ACK, "bad_ack", "in", "acknowledges what was never sent, or is older than any window")             \
  X(WINDOW, "window", "in", "reply exceeds the peer's receive window")                                     \
  X(CWND, "cwnd", "in", "reply exceeds the congestion window")                                             \
  X(FLIGHTS, "flights", "in", "too many replies unacknowledged")                                           \
  X(FANOUT, "fanout", "in", "reply needs more segments than one fan-out has")                              \
  X(ROUTE, "route", "in", "reply would not leave by the way the request came")                             \
  X(INTERFACE, "interface", "in", "packet came by another interface than the connection's")                \
  X(MSS, "mss", "in", "peer's MSS is below the smallest segment class")                                    \
  X(LEASE, "lease", "in", "accelerd's heartbeat is older than the lease")                                  \
  X(CLOCK, "clock", "in", "no Date text for this second")                                                  \
  X(REFRESH, "keepalive_refresh", "in", "let through to feed the web server's keep-alive timer")           \
  X(REQ_LENGTH, "request_length", "in", "request is too long, incomplete, or not alone in its packet")     \
  X(REQ_METHOD, "request_method", "in", "method other than GET and HEAD")                                  \
  X(REQ_LINE, "request_line", "in", "unusual request line")                                                \
  X(REQ_FIELD, "request_field", "in", "header field outside the positive list, or unusual")                \
  X(REQ_HOST, "request_host", "in", "host is not an accelerated domain")                                   \
  X(REQ_ENCODING, "request_encoding", "in", "Accept-Encoding is not among the configured values")          \
  X(REQ_COOKIE, "request_cookie", "in", "request carries a cookie")                                        \
  X(REQ_QUERY, "request_query", "in", "target has a query and the domain passes those")                    \
  X(CONDITION, "condition", "in", "conditional request that only the web server can judge")                \
  X(MISS, "miss", "in", "object is not in the cache")                                                      \
  X(UNCACHEABLE, "uncacheable", "in", "object is known to be uncacheable")                                 \
  X(STALE, "stale", "in", "object was purged or has expired")                                              \
  X(KEY_FIELD, "key_field", "in", "malformed key field on a booster link")                                 \
  X(KEY_UNKNOWN, "key_unknown", "in", "key is not in the cache")                                           \
  X(RESERVED, "reserved_request", "in", "retransmitted request: reply sent again")                         \
  X(DUPLICATE, "duplicate_request", "in", "duplicate of a request just answered: dropped")                 \
  X(REPAIR_SACK, "repair_sack", "in", "missing segments sent again on duplicate ACK or SACK")              \
  X(REPAIR_GONE, "repair_gone", "in", "reply to repair is no longer in the cache: connection reset")       \
  X(TRUNCATED_FRAME, "no_room", "in", "frame too small to carry the fan-out mark")                         \
  X(RETRANSLATED, "translated", "in", "passed with sequence numbers translated")                           \
  X(SEG_SENT, "segment_sent", "seg", "segment built and sent")                                             \
  X(SEG_SPARE, "segment_spare", "seg", "original frame of a fan-out, not needed")                          \
  X(SEG_UNMARKED, "segment_unmarked", "seg", "frame without our mark in the fan-out")                      \
  X(SEG_FAILED, "segment_failed", "seg", "segment could not be built")                                     \
  X(OUT_TRANSLATED, "out_translated", "out", "kernel packet translated")                                   \
  X(OUT_STRADDLE, "out_straddle", "out", "kernel retransmission from before a hit: withheld, peer has it") \
  X(OUT_UNSYNCED, "out_unsynced", "out", "end of the kernel's response cannot be followed")                \
  X(OUT_UNSEEN, "out_unseen", "out", "kernel acknowledged data that XDP did not see")                      \
  X(SOCK_OPENED, "opened", "sock", "connection followed")                                                  \
  X(SOCK_CLOSED, "closed", "sock", "connection closed")                                                    \
  X(SOCK_REFUSED, "refused", "sock", "connection left alone: TCP feature that cannot be spliced, or link-local")          \
  X(SOCK_FULL, "table_full", "sock", "connection left alone: table is full")                               \
  X(TIMER_RESENT, "timer_resent", "timer", "segments sent again by the timer")                             \
  X(TIMER_STALE, "timer_stale", "timer", "nothing left to send again")                                     \
  X(EVENT_LOST, "event_lost", "in", "miss not reported: ring buffer is full")                              \
  X(HIT_LATE, "hit_late", "in", "answered by way of TC: the request brought the kernel an acknowledgment") \
  X(SEG_ACK, "segment_ack", "seg", "spare frame of a fan-out sent as an acknowledgment, to make the device send") \
  X(PATH_MTU, "path_mtu", "in", "ICMP: a packet of the connection was too big for its path")                 \
  X(PATH_MTU_ODD, "path_mtu_odd", "in", "ICMP: too big, but quotes nothing that is unacknowledged")          \
  X(PATH_MTU_LESS, "path_mtu_less", "in", "segments of the connection made smaller as ICMP told")            \
  X(TIMER_LESS, "timer_less", "timer", "segments of the connection made smaller: nothing arrives in three tries") \
  X(SHADOW, "shadow", "in", "would have been answered, were the interface not in shadow mode")               \
  X(LOG_LOST, "log_lost", "in", "answered, but not in the access log: its ring buffer is full")              \
  X(TAP_LOST, "tap_lost", "tap", "packet not copied for wbctl tap: its buffer is full")                       \
  X(BULK, "bulk", "in", "request given to the bulk sender")                                                   \
  X(BULK_OFF, "bulk_off", "in", "object is for the bulk sender, which this interface does not use or which does not run") \
  X(BULK_FULL, "bulk_full", "in", "object is for the bulk sender, whose ring buffer is too full")             \
  X(BULK_BUSY, "bulk_busy", "in", "a bulk reply is under way on this connection")                             \
  X(BULK_HEARD, "bulk_heard", "in", "acknowledgment given to the bulk sender")                                \
  X(BULK_LOST, "bulk_lost", "in", "bulk sender not told: its ring buffer is full")                             \
  X(BULK_RANGE, "bulk_range", "in", "request for a range given to the bulk sender: 206")                      \
  X(REQ_RANGE, "request_range", "in", "range that only the web server answers: of a small object, several, conditional, unusual, or not to be had")

enum wb_reason {
#define WB_X(name, label, hook, text) WB_R_##name,
  WB_REASONS(WB_X)
#undef WB_X
      WB_R_COUNT
};

#endif
