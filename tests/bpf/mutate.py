#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Breaks the line that keeps an invariant of the splice, one at a time, and requires that a test fails.

Usage: mutate.py --source DIR --tests DIR [--jobs N] [NAME...]
Each mutation names a line of bpf/ (its whole text, which must be there exactly once), what takes its place, and the
tests that must notice; those of the redirection are in mutations_redirection.py. The programs are built in a temporary
folder (those that the line concerns; the others are built once) and given to the test program in WB_BPF_OBJECT. That the
tests pass on the unchanged programs is the test program's own business; some must pass here, too. Exit: 0 all noticed,
1 something was not, 2 the list does not fit the tree.
"""
import argparse
import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import mutations_redirection
from mutation import JUDGES, SPLICE, Mutation

ACK = "lib/ingress_ack.h"
DATA = "lib/ingress_data.h"
JUDGE = "lib/ingress_judge.h"
RANGE = "lib/range.h"
SOCKOPS = "sockops_follow.bpf.c"
THIN = "lib/ackthin.h"
THIN_ENTRY = "tc_ackthin.bpf.c"
OURS_ALONE = "return flights && !(st->flags & (WB_CF_PROBE_ACK | WB_CF_UNSYNCED | WB_CF_CLOSING)) && !st->resp_pending &&"
MUTATIONS = [
    # Invariant 1: only known connections.
    Mutation("gone", "lib/connection.h",
             "if (!r->st || r->st->id != r->id || (r->st->flags & WB_CF_GONE)) return -WB_R_UNKNOWN_CONN;",
             "if (!r->st || r->st->id != r->id) return -WB_R_UNKNOWN_CONN;", "*SynAckForgets*"),
    Mutation("md5", SOCKOPS, "if (bpf_core_field_exists(tp->md5sig_info) && BPF_CORE_READ(tp, md5sig_info)) return 1;", "",
             "*Md5AndMultipath*"),
    Mutation("multipath", SOCKOPS,
             "if (bpf_core_field_exists(tp->is_mptcp) && BPF_CORE_READ_BITFIELD_PROBED(tp, is_mptcp)) return 1;", "",
             "*Md5AndMultipath*"),
    Mutation("route", SOCKOPS, "if (!if_slot) return WB_R_ROUTE;", "__u32 none = 0; if (!if_slot) if_slot = &none;",
             "*ConnectionOfAnotherInterface*"),
    Mutation("ack-lag", ACK, "return ingress__pure(p) && !connection__spliced(st) && !st->flight_count && p->ack - st->snd_una < WB_ACK_LAG;",
             "return ingress__pure(p) && !connection__spliced(st) && !st->flight_count;", "*MoreThan2GiBBefore*"),
    Mutation("ack-of-spliced", ACK,
             "return ingress__pure(p) && !connection__spliced(st) && !st->flight_count && p->ack - st->snd_una < WB_ACK_LAG;",
             "return ingress__pure(p) && !st->flight_count && p->ack - st->snd_una < WB_ACK_LAG;", "*WindowThatAResponse*"),
    # Coherence: what was purged is not answered.
    Mutation("generation", "lib/fanout.h", "if (!value || (__u32)*value != v->generation[i].value) return 1;",
             "if (!value) return 1;", "*AnyRaisedGeneration*:*RaisedGenerationOfOne*"),
    Mutation("generations-all", "lib/fanout.h", "__u32 n = v->generation_n;", "__u32 n = v->generation_n ? 1 : 0;",
             "*AnyRaisedGeneration*"),
    # Invariant 2: quiescence of the kernel.
    Mutation("response-awaited", DATA, "if (st->resp_pending || st->req_left) return -WB_R_BUSY;", "", "*NoHitBeforeTheEnd*"),
    Mutation("kernel-acked", DATA,
             "if (late ? p->ack != connection__wire_snd_nxt(st) : st->k_snd_una != st->k_snd_nxt || !(st->flags & WB_CF_ARMED))",
             "if (late ? p->ack != connection__wire_snd_nxt(st) : !(st->flags & WB_CF_ARMED))", "*RequestWithTheFirstAck*"),
    Mutation("armed", DATA,
             "if (late ? p->ack != connection__wire_snd_nxt(st) : st->k_snd_una != st->k_snd_nxt || !(st->flags & WB_CF_ARMED))",
             "if (late ? p->ack != connection__wire_snd_nxt(st) : st->k_snd_una != st->k_snd_nxt)", "*NoHitWhileTheKernelsSocket*"),
    Mutation("late-acks-all", DATA,
             "if (late ? p->ack != connection__wire_snd_nxt(st) : st->k_snd_una != st->k_snd_nxt || !(st->flags & WB_CF_ARMED))",
             "if (!late && (st->k_snd_una != st->k_snd_nxt || !(st->flags & WB_CF_ARMED)))", "*AcknowledgesOnlyPart*"),
    Mutation("body-left", DATA, "st->req_left = q->body_left;", "", "*RequestBodyThatSpans*"),
    Mutation("kernel-read-all", "lib/quiescence.h",
             "if (tp->write_seq == tp->snd_nxt && tp->rcv_nxt == tp->copied_seq && tp->snd_nxt == st->k_snd_nxt &&",
             "if (tp->write_seq == tp->snd_nxt && tp->snd_nxt == st->k_snd_nxt &&", "*QuiescenceTest*"),
    Mutation("begins-at-rcv-nxt", DATA,
             "if (p->seq != connection__wire_rcv_nxt(st) || st->k_passed_end != st->k_rcv_nxt) return -WB_R_OUT_OF_ORDER;",
             "", "*NoHitBetween*"),
    Mutation("fin-of-peer", ACK, "st->flags = (st->flags | WB_CF_CLOSING) & ~WB_CF_ASKED;", "", "*FinAndRstOfThePeer*"),
    Mutation("fin-of-kernel", "tc_egress.bpf.c",
             "if (p->flags & (WB_TCP_FIN | WB_TCP_RST)) st->flags |= WB_CF_CLOSING;", "", "*FinAndRstOfTheKernels*"),
    Mutation("unsynced", "tc_egress.bpf.c", "if (f->lost) st->flags |= WB_CF_UNSYNCED;", "", "*ResponseOfUnknownEnd*"),
    Mutation("peer-window", DATA, "if (out > st->peer_wnd) return -WB_R_WINDOW;", "", "*ThePeersWindow*"),
    Mutation("ack-clamped", "lib/translate.h", "x->ack = st->k_snd_una;", "", "*MissBehindAnUnacked*"),
    Mutation("straddle-withheld", "tc_egress.bpf.c",
             "if (p->payload_len && connection__spliced(st) && seq__lt(p->seq, st->k_floor)) {", "if (0) {",
             "*KernelRetransmissionFromBefore*"),
    Mutation("floor-follows", "lib/translate.h",
             "if (seq__lt(st->k_floor + WB_FLOOR_LAG, x->ack)) st->k_floor = x->ack - WB_FLOOR_LAG;", "", "*MoreThan4GiB*"),
    Mutation("floor-never-back", "lib/translate.h",
             "if (seq__lt(st->k_floor + WB_FLOOR_LAG, x->ack)) st->k_floor = x->ack - WB_FLOOR_LAG;",
             "if (x->ack - st->k_floor > WB_FLOOR_LAG) st->k_floor = x->ack - WB_FLOOR_LAG;", "*PartOfAReplyAcknowledged*"),
    Mutation("sent-again", "tc_egress.bpf.c", "if (p->payload_len && seq__lt(p->seq, st->k_snd_una)) st->k_snd_una = p->seq;",
             "", "*AcknowledgmentThatTheKernelLost*"),
    Mutation("kernel-probes", "tc_egress.bpf.c", "st->flags = (st->flags | WB_CF_PROBE_ACK) & ~WB_CF_ARMED;", "",
             "*StaleWindow*"),
    # An acknowledgment is consumed only when the kernel can have no use for it.
    Mutation("acks-of-replies", ACK, OURS_ALONE, OURS_ALONE.replace("flights && ", ""), "*AnswerToAProbe*"),
    Mutation("acks-of-probes", ACK, OURS_ALONE, OURS_ALONE.replace("WB_CF_PROBE_ACK | ", ""), "*StaleWindow*"),
    Mutation("acks-unsynced", ACK, OURS_ALONE, OURS_ALONE.replace("WB_CF_UNSYNCED | ", ""), "*OfAnUnsyncedConnection*"),
    Mutation("acks-of-responses", ACK, OURS_ALONE, OURS_ALONE.replace("&& !st->resp_pending &&", "&&"),
             "*WindowThatAResponse*"),
    # What the kernel would not take changes nothing.
    Mutation("control-in-window", ACK, "if ((p->flags & WB_TCP_ACK) && connection__acceptable(st, p->seq, p->payload_len))",
             "if (p->flags & WB_TCP_ACK)", "*ControlBitsOutside*:*AcknowledgmentOutside*"),
    Mutation("rst-exact", ACK,
             "if (at <= st->k_passed_end - st->k_rcv_nxt) st->flags |= WB_CF_CLOSING | WB_CF_RST;",
             "if (at != 1u << 31) st->flags |= WB_CF_CLOSING | WB_CF_RST;", "*OnlyTheExactRst*"),
    Mutation("data-in-window", DATA, "if (connection__acceptable(st, in->w->p.seq, in->w->p.payload_len))", "",
             "*DataOutsideTheWindow*"),
    Mutation("data-with-bad-ack", DATA, "if (acked < 0) return;", "", "*DataThatAcknowledgesWhatWasNeverSent*"),
    Mutation("old-data", DATA, "(st->flight_count && seq__leq(oldest->req_end - oldest->req_len, in->w->p.seq)))",
             "(st->flight_count && seq__leq(oldest->req_end - oldest->req_len, in->w->p.seq + (1u << 20))))",
             "*OldDataOfNoReply*"),
    Mutation("early-elsewhere", SOCKOPS, "if (early && note.seq == st->k_rcv_nxt) { "
             "/* else a stray's: what the kernel has unseen shows in its acknowledgments */", "if (early) {",
             "*NoteOfTheFirstRequest*"),
    # accelerd fetches only what the web server gave to a client.
    Mutation("report-granted", "lib/response.h",
             "f->asked = s->status == 200 || s->status == 206 || s->status == 304 ? WB_ASKED_GRANTED : WB_ASKED_DENIED;",
             "f->asked = WB_ASKED_GRANTED;", "*WhatTheServerDenies*"),
    Mutation("report-same", DATA, "if (seq__lt(st->k_rcv_nxt, end)) st->flags &= ~WB_CF_ASKED; "
             "/* what the response answers may be either's bytes */", "", "*MayHaveReplaced*"),
    Mutation("report-next", DATA, "q->report = q->report && proved;", "", "*MoreThanXdpSaw*"),
    Mutation("report-checksum", JUDGE, "q->report = q->report && sum; "
             "/* another request may take the place of one that the kernel drops */", "", "*MayHaveReplaced*"),
    Mutation("floor-moves", DATA, "st->k_floor = st->k_snd_nxt;", "", "*KernelRetransmissionFromBefore*"),
    # Invariant 3: the last segment acknowledges; repair with the same bytes only.
    Mutation("last-segment-acks", "lib/segment.h", "tcp->ack_seq = bpf_htonl(last ? job->ack_new : job->ack_old);",
             "tcp->ack_seq = bpf_htonl(job->ack_new);", "*HitIsAnsweredWith*"),
    Mutation("cut-response", "lib/response.h", "f->cut = n;", "f->cut = 0;", "*ResponseCutAnywhere*"),
    Mutation("same-generation", "lib/repair.h", "if (!v || v->gen != f->variant_gen) return -WB_R_REPAIR_GONE;",
             "if (!v) return -WB_R_REPAIR_GONE;", "*ReplyWhoseBytesAreGone*"),
    Mutation("date-kept", "lib/repair.h", "job->second = f->second;", "job->second = f->second + 1;", "*RepairKeepsTheDate*"),
    Mutation("timer-acked", "xdp_timer.bpf.c", "if (connection__same(&t->r) && seq__leq(st->snd_una, t->order.wire_seq)) {",
             "if (connection__same(&t->r)) {", "*TimerSendsWhatItIsOrdered*"),
    Mutation("timer-same", "xdp_timer.bpf.c",
             "if (connection__find(&t->order.key, &t->r) || t->r.id != t->order.id) return -WB_R_TIMER_STALE;",
             "if (connection__find(&t->order.key, &t->r)) return -WB_R_TIMER_STALE;", "*TimerOfAnother*"),
    Mutation("black-hole", "xdp_timer.bpf.c",
             "if (t->order.smaller && !(st->flags & WB_CF_BOOSTER)) less = connection__smaller(st, cls);",
             "if (cls == 99) less = 1;", "*TimerThatHeardNothing*"),
    Mutation("links-stay", "xdp_timer.bpf.c",
             "if (t->order.smaller && !(st->flags & WB_CF_BOOSTER)) less = connection__smaller(st, cls);",
             "if (t->order.smaller) less = connection__smaller(st, cls);", "*TimerLeavesTheSegmentsOfBoosterLinks*"),
    Mutation("hole-not-twice", "lib/repair.h", "from = st->rtx_high;", ";", "*SackHole*"),
    # Invariant 4: doubt goes to the kernel.
    Mutation("fragment", "lib/packet.h", "if (ip->frag_off & bpf_htons(0x3fff)) return -WB_R_FRAGMENT;", "",
             "*OddLowerLayers*"),
    Mutation("ip-options", JUDGE, "if (p->ip_odd) return -WB_R_IP_OPTIONS;", "", "*OddLowerLayers*"),
    Mutation("ecn", JUDGE, "if (p->ce || (p->flags & (WB_TCP_ECE | WB_TCP_CWR))) return -WB_R_ECN;", "",
             "*CongestionMarks*"),
    Mutation("tcp-options", JUDGE,
             "if (in->o->odd || in->o->sack_n || !!(st->flags & WB_CF_TS) != in->o->has_ts) return -WB_R_TCP_OPTIONS;", "",
             "*OddTcpOptions*"),
    Mutation("paws", JUDGE, "if (in->o->has_ts && (__s32)(in->o->ts_val - st->ts_recent) < 0) return -WB_R_PAWS;", "",
             "*OddTcpOptions*"),
    Mutation("class", SOCKOPS,
             "if (c == WB_CLASSES && wb_settings.seg_size[i] && wb_settings.seg_size[i] <= mss) c = i;",
             "if (c == WB_CLASSES && wb_settings.seg_size[i] && wb_settings.seg_size[i] <= mss + 52) c = i;",
             "*EstablishedConnection*"),
    Mutation("class-uncut", "lib/fanout.h", "if (!n) return -WB_R_FANOUT;", "", "*SizeClassCannotCarry*"),
    Mutation("path-mtu-outstanding", "lib/pmtu.h",
             "} else if (connection__same(&in->r) && seq - st->snd_una < connection__wire_snd_nxt(st) - st->snd_una) {",
             "} else if (connection__same(&in->r)) {", "*WhatIsNotOutstanding*"),
    Mutation("path-mtu-before-hits", "lib/pmtu.h", "if (connection__same(&in->r) && !connection__spliced(st)) {",
             "if (0) {", "*BeforeTheFirstHit*"),
    Mutation("path-mtu-translated", "lib/pmtu.h",
             "kernel = seq__lt(seq, una_wire) ? st->k_snd_una : seq - st->d_out;",
             "kernel = seq__lt(seq, una_wire) ? st->k_snd_una : seq;", "*QuotedDataOfTheKernels*"),
    Mutation("late-options", "lib/late.h", "if (p->doff_bytes > sizeof(*tcp)) sum += translate__options_sum(in->o); "
             "/* else raw is another packet's */", "sum += translate__options_sum(in->o);", "*RequestWithTheFirstAckIsAnswered*"),
    Mutation("checksum", JUDGE, "if (!err && (!sum || (sum == 2 && !q->bulk && !fanout__table(in->r.st->if_slot, job->nseg)))) err = -WB_R_CHECKSUM;", "",
             "*ChecksumMustHold*"),
    Mutation("checksum-generic", JUDGE,
             "if (!err && (!sum || (sum == 2 && !q->bulk && !fanout__table(in->r.st->if_slot, job->nseg)))) err = -WB_R_CHECKSUM;",
             "if (!err && !sum) err = -WB_R_CHECKSUM;", "*ChecksumMustHold*"),
    Mutation("forwarded-of-anybody", "lib/request.h", "if (!booster) return 0;", "", "*WhatABoosterAdds*"),
    Mutation("field-twice", "lib/request.h", "if (s->seen & (1u << field)) return request__odd(s);", "",
             "*OddFields*"),
    Mutation("control-characters", "lib/scan.h",
             "wb_inline __u64 scan__lower(__u64 w) { return w | ((w & WB_ONES * 0x40) >> 1); }",
             "wb_inline __u64 scan__lower(__u64 w) { return w | WB_ONES * 0x20; }", "*MutatedRequests*"),
    Mutation("folded-response", "lib/response.h", "if ((w & 0xff) <= ' ') return 1; /* a folded line (RFC 9112, 5.2) */", "",
             "*ResponseOfUnknownEnd*"),
    Mutation("sack-blanked", "lib/translate.h", "if (low) v = 0x01010101; /* NOP */", "", "*SackBlocksOfReplies*"),
    # Invariant 5: congestion, and acknowledgments of what was never sent.
    Mutation("initial-window", SOCKOPS,
             "st->cwnd = wb_settings.initial_window * tcp_mss < least ? wb_settings.initial_window * tcp_mss : least; /* RFC 6928 */",
             "st->cwnd = wb_settings.initial_window * tcp_mss + 0 * least;", "*LargeSegmentsGet*"),
    Mutation("cwnd", DATA, "if (out > st->cwnd) return -WB_R_CWND;", "", "*CongestionWindowWhich*"),
    Mutation("ack-beyond", "lib/connection.h", "if (seq__lt(connection__sent(st), ack) || connection__too_old(st, st->snd_una, ack)) return -1;",
             "if (connection__too_old(st, st->snd_una, ack)) return -1;",
             "*AckBeyond*"),
    # Invariant 6: leaving is safe.
    Mutation("lease", "lib/fanout.h", "if (!leased && !(v->flags & WB_VF_OWN_FRESHNESS)) return -WB_R_LEASE;", "",
             "*WithoutHeartbeat*"),
    Mutation("drain", JUDGE,
             "if (c->mode != WB_MODE_SERVE || c->drain[WB_MASK(st->if_slot, WB_IFS_MAX - 1)]) return -WB_R_NO_SERVE;", "",
             "*DrainingAnswers*"),
    # Invariant 7: under the lock, only what is still the same connection's.
    Mutation("same", "lib/connection.h",
             "wb_inline int connection__same(const struct wb_ref *r) { return r->conn->id == r->id && r->st->id == r->id; }",
             "wb_inline int connection__same(const struct wb_ref *r) { return r->id != 0; }", "*AnotherConnectionsState*"),
    # What may be seen of it, and the shadow mode.
    Mutation("shadow", DATA, "if (!err && q->shadow) err = -WB_R_SHADOW;", "", "*ShadowPasses*"),
    Mutation("shadow-of-all-it-reads", DATA, "if (!err && q->shadow) err = -WB_R_SHADOW;", "if (q->shadow) err = -WB_R_SHADOW;",
             "*ShadowOfAnother*"),
    Mutation("log-off", "lib/hit_log.h", "if (!c || !c->log_sample) return;", "if (!c) return;", "*TapCopies*"),
    Mutation("tap-lease", "lib/tap.h", "if (!c || now >= c->tap.until_ns) return 0;", "if (!c) return 0;", "*TapThatNobody*"),
    # Bulk replies.
    Mutation("bulk-optimist", "lib/connection.h", "if (told >> 32 != serial) return st->bulk.start;",
             "if (told >> 32 != serial) return all;", "*AcknowledgmentOfWhatWasNotSent*"),
    Mutation("bulk-sent", "lib/connection.h", "return (__u32)told == st->bulk.end ? all : (__u32)told;", "return all;",
             "*AcknowledgmentOfWhatWasNotSent*"),
    Mutation("bulk-end", "lib/connection.h",
             "if ((st->flags & WB_CF_BULK) && seq__leq(st->bulk.end, ack)) st->flags &= ~WB_CF_BULK;", "",
             "*EndsWithTheLastByte*"),
    Mutation("bulk-under-way", DATA, "if (connection__bulk(st)) return -WB_R_BULK_BUSY;", "",
             "*RequestsMeanwhileAreTheWebServers*"),
    Mutation("bulk-outstanding", DATA,
             "if (in->w->q.bulk) return st->flight_count || out != bytes ? -WB_R_FLIGHTS : 0; /* the sender knows of no others */",
             "if (in->w->q.bulk) return 0;", "*OutstandingRepliesAreWaitedFor*"),
    Mutation("bulk-too-old", "lib/translate.h",
             "if (connection__too_old(st, una_wire, p->ack) && !(connection__bulk(st) && acked >= 0)) return;",
             "if (connection__too_old(st, una_wire, p->ack)) return;", "*WindowSmallerThanTheReply*"),
    Mutation("bulk-bare-ack", "tc_egress.bpf.c",
             "if (e->bulk && !p->payload_len && !(p->flags & (WB_TCP_FIN | WB_TCP_RST))) "
             "e->d_out = connection__sent(st) - st->k_snd_nxt;", "", "*BareAcknowledgmentOfTheKernel*"),
    Mutation("bulk-beat", "lib/bulk.h",
             "if (!c->bulk[WB_MASK(if_slot, WB_IFS_MAX - 1)] || (now > beat && now - beat >= c->lease_ns)) return -WB_R_BULK_OFF;",
             "if (!c->bulk[WB_MASK(if_slot, WB_IFS_MAX - 1)] || now < beat / 2) return -WB_R_BULK_OFF;",
             "*WebServerAnswersWhatNobody*"),
    Mutation("bulk-full", "lib/bulk.h",
             "if (bpf_ringbuf_query(&wb_bulk_events, BPF_RB_AVAIL_DATA) > WB_BULK_RING_BYTES / 2) return -WB_R_BULK_FULL;", "",
             "*FullRingIsNoPlace*"),
    # Ranges of them.
    Mutation("range-unit", RANGE, "if ((scan__load(s, v.off) & 0xffffffffffffull) != WB_RANGE_UNIT) return -1;", "",
             "*OddRanges*"),
    Mutation("range-odd", RANGE, "if (c != '-' || r->second) r->odd = 1;", "", "*OddRanges*"),
    Mutation("range-hyphen", RANGE,
             "if (r->odd || !r->second || r->digits[0] > WB_RANGE_DIGITS || r->digits[1] > WB_RANGE_DIGITS) return -1;",
             "if (r->odd || r->digits[0] > WB_RANGE_DIGITS || r->digits[1] > WB_RANGE_DIGITS) return -1;", "*OddRanges*"),
    Mutation("range-digits", RANGE,
             "if (r->odd || !r->second || r->digits[0] > WB_RANGE_DIGITS || r->digits[1] > WB_RANGE_DIGITS) return -1;",
             "if (r->odd || !r->second) return -1;", "*OddRanges*"),
    Mutation("range-condition", RANGE,
             "if (!s || s->head || s->seen & (1u << WB_F_IF_NONE_MATCH | 1u << WB_F_IF_MODIFIED_SINCE)) return -1;",
             "if (!s) return -1;", "*ConditionsMethods*"),
    Mutation("range-end", RANGE, "if (last >= size) last = size - 1;", "", "*RangesAreTaken*"),
    Mutation("range-beyond", RANGE, "if (from > last) return 0;", "", "*NotToBeHad*"),
    Mutation("range-suffix", RANGE, "from = last < size ? size - last : 0;", "from = size - last;", "*RangesAreTaken*"),
    Mutation("range-template", "lib/serve.h", "if (!q->bulk || !v->range_header_len) return -WB_R_REQ_RANGE;",
             "if (!q->bulk) return -WB_R_REQ_RANGE;", "*WithoutATemplate*"),
    Mutation("range-header", "lib/serve.h",
             "piece->header_len = v->range_header_len + range__digits(first) + range__digits(first + bytes - 1) + range__digits(bytes);",
             "piece->header_len = v->range_header_len + 3;", "*RangesAreTaken*"),
    Mutation("range-told", "lib/ingress_bulk.h", "b->bytes = in->w->q.range;", "b->bytes = 0;", "*RangesAreTaken*"),
    Mutation("range-twice", "lib/request.h", "request__leave(s, WB_R_REQ_RANGE);", "", "*FieldTwice*:*OddRanges*"),
    Mutation("range-alone", "lib/request.h", "if (s->field != WB_F_RANGE) return request__fail(s, WB_R_REQ_FIELD);", "",
             "*OddFieldsPass*"),
    Mutation("range-miss", "lib/response.h",
             "f->asked = s->status == 200 || s->status == 206 || s->status == 304 ? WB_ASKED_GRANTED : WB_ASKED_DENIED;",
             "f->asked = s->status == 200 || s->status == 304 ? WB_ASKED_GRANTED : WB_ASKED_DENIED;", "*RangeThatIsAMiss*"),
    # ACKs of booster links: only those are withheld that nobody misses.
    Mutation("thin-flags", THIN, "if (p->flags != WB_TCP_ACK && !p->payload_len) return WB_T_CONTROL;", "",
             "*EveryOtherFlagPasses*"),
    Mutation("thin-reserved", THIN,
             "if (((const __u8 *)tcp)[12] & 15) return WB_T_CONTROL; /* accurate ECN, or a flag yet unknown */", "",
             "*EveryOtherFlagPasses*"),
    Mutation("thin-data", THIN, "if (p->payload_len) return WB_T_DATA;", "", "*UntilARequestCarriesThem*"),
    Mutation("thin-options", THIN, "*option == bpf_htonl(0x0101080a);", "1;", "*SackAndOptions*"),
    Mutation("thin-ip-options", THIN, "if (p->ip_odd) return 0;", "", "*OddIpHeadersPass*"),
    Mutation("thin-unknown", THIN, "if (!(e->flags & WB_TF_KNOWN)) return WB_T_SLOW_START;", "", "*TheFirstPacket*"),
    Mutation("thin-duplicate", THIN, "if (!seq__lt(e->seen, p->ack)) return WB_T_DUPLICATE;", "", "*NothingNewPasses*"),
    Mutation("thin-window", THIN, "if (ackthin__window(e, bpf_ntohs(p->window_be16)) >= 2 * left) return WB_T_WINDOW;",
             "if (left > 1u << 31) return WB_T_WINDOW;", "*AWindowThatOpens*"),
    Mutation("thin-slow-start", THIN, "if (e->slow_left) return WB_T_SLOW_START;", "", "*OneByOne*"),
    Mutation("thin-quiet", THIN, "if (!(e->flags & WB_TF_BUSY)) return WB_T_QUIET;", "", "*QuietLink*"),
    Mutation("thin-bytes", THIN, "if (waits >= wb_thin_settings.most_bytes || waits >= known / 4) return WB_T_BYTES;",
             "if (waits >= known / 4) return WB_T_BYTES;", "*NoMoreIsWithheld*"),
    Mutation("thin-quarter", THIN, "if (waits >= wb_thin_settings.most_bytes || waits >= known / 4) return WB_T_BYTES;",
             "if (waits >= wb_thin_settings.most_bytes) return WB_T_BYTES;", "*AQuarterOfTheWindow*"),
    Mutation("thin-late", THIN,
             "if ((e->flags & WB_TF_HELD) && now - e->held_ns >= wb_thin_settings.hold_ns) return WB_T_LATE;", "",
             "*WaitedTooLong*"),
    Mutation("thin-followed", THIN,
             "int followed = (e->flags & WB_TF_HELD) || now - e->ack_ns < wb_thin_settings.hold_ns;", "int followed = 1;",
             "*IsReleasedPasses*:*QuietLink*"),
    Mutation("thin-released", THIN, "if (reason == WB_T_RELEASED) e->flags &= ~WB_TF_BUSY;", "",
             "*IsReleasedPasses*"),
    Mutation("thin-loss", THIN, "if (!(e->flags & WB_TF_KNOWN) || reason == WB_T_DUPLICATE || reason == WB_T_OPTIONS)",
             "if (!(e->flags & WB_TF_KNOWN))", "*SackAndOptions*"),
    Mutation("thin-loss-duplicate", THIN,
             "if (!(e->flags & WB_TF_KNOWN) || reason == WB_T_DUPLICATE || reason == WB_T_OPTIONS)",
             "if (!(e->flags & WB_TF_KNOWN) || reason == WB_T_OPTIONS)", "*NothingNewPasses*"),
    Mutation("thin-new", THIN, "if (!(e->flags & WB_TF_KNOWN) || reason == WB_T_DUPLICATE || reason == WB_T_OPTIONS)",
             "if (reason == WB_T_DUPLICATE || reason == WB_T_OPTIONS)", "*TheFirstPacket*:*OneByOne*"),
    Mutation("thin-overtaken", THIN,
             "if ((e->flags & WB_TF_KNOWN) && seq__lt(p->ack, e->seen)) return; /* released, and overtaken */",
             "", "*WasOvertaken*"),
    Mutation("thin-seen", THIN, "if ((e->flags & WB_TF_KNOWN) && !seq__lt(e->seen, p->ack)) return;", "", "*NothingNewPasses*"),
    Mutation("thin-mark", THIN_ENTRY, "if (reason == WB_T_WITHHELD && skb->mark == WB_THIN_MARK) reason = WB_T_RELEASED;", "",
             "*IsReleasedPasses*"),
    Mutation("thin-end", THIN_ENTRY, "bpf_map_delete_elem(&wb_thin_links, &p.key);", "", "*EndsTheEntry*"),
    Mutation("thin-no-congestion", THIN_ENTRY, "return reason == WB_T_WITHHELD ? bpf_redirect(0, 0) : TC_ACT_UNSPEC;",
             "return reason == WB_T_WITHHELD ? TC_ACT_SHOT : TC_ACT_UNSPEC;", "*UntilARequestCarriesThem*"),
    Mutation("thin-since", THIN_ENTRY, "if (!(e->flags & WB_TF_HELD)) e->held_ns = now;", "e->held_ns = now;",
             "*FromTheFirstThat*"),
    Mutation("thin-kept", THIN_ENTRY, "__builtin_memcpy(e->frame, f->bytes, sizeof(e->frame));", "", "*TheNewestIsKept*"),
    *mutations_redirection.MUTATIONS,
]


def mutated(source, mutation):
    """Returns the mutated file's text."""
    lines = (source / "bpf" / mutation.file).read_text().split("\n")
    found = [i for i, text in enumerate(lines) if text.strip() == mutation.line]
    if len(found) != 1:
        raise LookupError(f"{mutation.name}: {mutation.file} has {len(found)} times the line: {mutation.line}")
    lines[found[0]] = mutation.becomes
    return "\n".join(lines)


def build(source, judge, folder, mutation=None, built=None):
    """Builds the programs of `source`, mutated, below `folder`, with the objects in `built` that the mutated file has no
    part in; returns the object's path."""
    for part in ("bpf", "include"):
        shutil.copytree(source / part, folder / part)
    shutil.copy(source / "Makefile.bpf", folder)
    out = folder / "out"
    out.mkdir()
    if mutation:
        (folder / "bpf" / mutation.file).write_text(mutated(source, mutation))
        for rules in built.glob("*.bpf.d"):
            if f"bpf/{mutation.file}" not in rules.read_text():
                shutil.copyfile(rules.with_suffix(".o"), out / rules.with_suffix(".o").name)
    wanted = out / f"{judge.object}.bpf.o"
    make = subprocess.run(["make", "-s", "-f", "Makefile.bpf", f"OUT={out}", str(wanted)], cwd=folder,
                          capture_output=True, text=True)
    if make.returncode:
        raise LookupError(f"{mutation and mutation.name}: does not compile:\n{make.stderr[-2000:]}")
    return wanted


def run(folder, judge, program, tests):
    """Returns (exit status of the tests, the tail of what they said)."""
    done = subprocess.run([folder / judge.test, f"--gtest_filter={tests}", "--gtest_brief=1"], capture_output=True,
                          text=True, env={**os.environ, "WB_BPF_OBJECT": str(program)})
    if " 0 tests from" in done.stdout:
        raise LookupError(f"{tests}: no such test")
    return done.returncode, (done.stdout + done.stderr)[-3000:]


def run_mutated(args, mutation, built):
    with tempfile.TemporaryDirectory(prefix="wb-mutate-") as folder:
        program = build(args.source, mutation.judge, pathlib.Path(folder), mutation, built)
        return run(args.tests, mutation.judge, program, mutation.tests)


def unchanged(args, judge, folder):
    """Returns the folder of the objects; raises RuntimeError if the tests that have to pass do not."""
    folder.mkdir()
    program = build(args.source, judge, folder)
    status, said = run(args.tests, judge, program, judge.smoke)
    if status:
        raise RuntimeError(f"{judge.smoke} fail on the unchanged programs:\n{said}")
    return program.parent


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", type=pathlib.Path, required=True)
    parser.add_argument("--tests", type=pathlib.Path, required=True)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    chosen = [m for m in MUTATIONS if not args.names or m.name in args.names]
    if not chosen or not set(args.names) <= {m.name for m in MUTATIONS}:
        print("no such mutation", file=sys.stderr)
        return 2
    unnoticed = []
    try:
        for m in MUTATIONS:
            mutated(args.source, m)
        with tempfile.TemporaryDirectory(prefix="wb-mutate-") as folder, \
                concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
            built = {judge: unchanged(args, judge, pathlib.Path(folder, judge.object))
                     for judge in (SPLICE, *JUDGES.values()) if any(m.judge == judge for m in chosen)}
            runs = {m.name: pool.submit(run_mutated, args, m, built[m.judge]) for m in chosen}
            for name, pending in runs.items():
                status, said = pending.result()
                # 1: a test failed. Anything else (2: not loaded, a signal) proves nothing.
                print(f"{name}: {'noticed' if status == 1 else 'NOT NOTICED'}", flush=True)
                if status != 1:
                    unnoticed.append(f"{name} (exit {status}):\n{said}")
    except LookupError as error:
        print(error, file=sys.stderr)
        return 2
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    for text in unnoticed:
        print(text, file=sys.stderr)
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
