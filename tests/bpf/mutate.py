#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Breaks the line that keeps an invariant of the splice, one at a time, and requires that a test fails.

Usage: mutate.py --source DIR --test BINARY [--all] [--jobs N] [NAME...]
Each mutation names a line of bpf/ (its whole text, which must be there exactly once), what takes its place, and the
tests that must notice. The programs are built in a temporary folder and given to the test program in WB_BPF_OBJECT. The
same tests must pass on the unchanged programs. Exit: 0 all noticed, 1 something was not, 2 the list does not fit the
tree. Without --all only those marked quick run.
"""
import argparse
import concurrent.futures
import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile


@dataclasses.dataclass
class Mutation:
    name: str
    file: str  # below bpf/
    line: str
    becomes: str
    tests: str  # --gtest_filter
    quick: bool = False


DATA = "lib/ingress_data.h"
JUDGE = "lib/ingress_judge.h"
MUTATIONS = [
    # Invariant 1: only known connections.
    Mutation("gone", "lib/connection.h",
             "if (!r->st || r->st->id != r->id || (r->st->flags & WB_CF_GONE)) return -WB_R_UNKNOWN_CONN;",
             "if (!r->st || r->st->id != r->id) return -WB_R_UNKNOWN_CONN;", "*SynAckForgets*", True),
    # Invariant 2: quiescence of the kernel.
    Mutation("response-awaited", DATA, "if (st->resp_pending || st->req_left) return -WB_R_BUSY;", "", "*NoHitBeforeTheEnd*", True),
    Mutation("kernel-acked", DATA,
             "if (late ? p->ack != connection__wire_snd_nxt(st) : st->k_snd_una != st->k_snd_nxt || !(st->flags & WB_CF_ARMED))",
             "if (late ? p->ack != connection__wire_snd_nxt(st) : !(st->flags & WB_CF_ARMED))", "*RequestWithTheFirstAck*", True),
    Mutation("armed", DATA,
             "if (late ? p->ack != connection__wire_snd_nxt(st) : st->k_snd_una != st->k_snd_nxt || !(st->flags & WB_CF_ARMED))",
             "if (late ? p->ack != connection__wire_snd_nxt(st) : st->k_snd_una != st->k_snd_nxt)", "*NoHitWhileTheKernelsSocket*"),
    Mutation("late-acks-all", DATA,
             "if (late ? p->ack != connection__wire_snd_nxt(st) : st->k_snd_una != st->k_snd_nxt || !(st->flags & WB_CF_ARMED))",
             "if (!late && (st->k_snd_una != st->k_snd_nxt || !(st->flags & WB_CF_ARMED)))", "*AcknowledgesOnlyPart*"),
    Mutation("body-left", DATA, "st->req_left = q->body_left;", "", "*RequestBodyThatSpans*"),
    Mutation("kernel-read-all", "lib/quiescence.h",
             "if (tp->write_seq == tp->snd_nxt && tp->rcv_nxt == tp->copied_seq && tp->snd_nxt == st->k_snd_nxt &&",
             "if (tp->write_seq == tp->snd_nxt && tp->snd_nxt == st->k_snd_nxt &&", "*QuiescenceTest*", True),
    Mutation("begins-at-rcv-nxt", DATA,
             "if (p->seq != connection__wire_rcv_nxt(st) || st->k_passed_end != st->k_rcv_nxt) return -WB_R_OUT_OF_ORDER;",
             "", "*NoHitBetween*"),
    Mutation("fin-of-peer", "lib/ingress_ack.h", "st->flags |= WB_CF_CLOSING;", "", "*FinAndRstOfThePeer*", True),
    Mutation("fin-of-kernel", "tc_egress.bpf.c",
             "if (p->flags & (WB_TCP_FIN | WB_TCP_RST)) st->flags |= WB_CF_CLOSING;", "", "*FinAndRstOfTheKernels*"),
    Mutation("unsynced", "tc_egress.bpf.c", "if (f->lost) st->flags |= WB_CF_UNSYNCED;", "", "*ResponseOfUnknownEnd*", True),
    Mutation("peer-window", DATA, "if (out > st->peer_wnd) return -WB_R_WINDOW;", "", "*ThePeersWindow*", True),
    Mutation("ack-clamped", "lib/translate.h", "x->ack = st->k_snd_una;", "", "*MissBehindAnUnacked*", True),
    Mutation("straddle-withheld", "tc_egress.bpf.c",
             "if (p->payload_len && connection__spliced(st) && seq__lt(p->seq, st->k_floor)) {", "if (0) {",
             "*KernelRetransmissionFromBefore*", True),
    Mutation("floor-moves", DATA, "st->k_floor = st->k_snd_nxt;", "", "*KernelRetransmissionFromBefore*"),
    # Invariant 3: the last segment acknowledges; repair with the same bytes only.
    Mutation("last-segment-acks", "lib/segment.h", "tcp->ack_seq = bpf_htonl(last ? job->ack_new : job->ack_old);",
             "tcp->ack_seq = bpf_htonl(job->ack_new);", "*HitIsAnsweredWith*", True),
    Mutation("cut-response", "lib/response.h", "f->cut = n;", "f->cut = 0;", "*ResponseCutAnywhere*", True),
    Mutation("same-generation", "lib/repair.h", "if (!v || v->gen != f->variant_gen) return -WB_R_REPAIR_GONE;",
             "if (!v) return -WB_R_REPAIR_GONE;", "*ReplyWhoseBytesAreGone*", True),
    Mutation("date-kept", "lib/repair.h", "job->second = f->second;", "job->second = f->second + 1;", "*RepairKeepsTheDate*"),
    Mutation("hole-not-twice", "lib/repair.h", "from = st->rtx_high;", ";", "*SackHole*"),
    # Invariant 4: doubt goes to the kernel.
    Mutation("checksum", JUDGE, "if (!sum) err = -WB_R_CHECKSUM;", "",
             "*ChecksumMustHold*"),
    Mutation("field-twice", "lib/request.h", "if (s->seen & (1u << field)) return request__fail(s, WB_R_REQ_FIELD);", "",
             "*OddFields*"),
    Mutation("control-characters", "lib/scan.h",
             "wb_inline __u64 scan__lower(__u64 w) { return w | ((w & WB_ONES * 0x40) >> 1); }",
             "wb_inline __u64 scan__lower(__u64 w) { return w | WB_ONES * 0x20; }", "*MutatedRequests*", True),
    Mutation("folded-response", "lib/response.h", "if ((w & 0xff) <= ' ') return 1; /* a folded line (RFC 9112, 5.2) */", "",
             "*ResponseOfUnknownEnd*", True),
    Mutation("sack-blanked", "lib/translate.h", "if (low) v = 0x01010101; /* NOP */", "", "*SackBlocksOfReplies*"),
    # Invariant 5: congestion, and acknowledgments of what was never sent.
    Mutation("cwnd", DATA, "if (out > st->cwnd) return -WB_R_CWND;", "", "*CongestionWindowWhich*"),
    Mutation("ack-beyond", "lib/connection.h", "if (seq__lt(connection__wire_snd_nxt(st), ack)) return -1;", "",
             "*AckBeyond*"),
    # Invariant 6: leaving is safe.
    Mutation("lease", "lib/fanout.h", "if (!leased && !(v->flags & WB_VF_OWN_FRESHNESS)) return -WB_R_LEASE;", "",
             "*WithoutHeartbeat*", True),
    Mutation("drain", JUDGE,
             "if (c->mode != WB_MODE_SERVE || c->drain[WB_MASK(st->if_slot, WB_IFS_MAX - 1)]) return -WB_R_NO_SERVE;", "",
             "*DrainingAnswers*"),
]


def mutated(source, mutation):
    """Returns the mutated file's text."""
    lines = (source / "bpf" / mutation.file).read_text().split("\n")
    found = [i for i, text in enumerate(lines) if text.strip() == mutation.line]
    if len(found) != 1:
        raise LookupError(f"{mutation.name}: {mutation.file} has {len(found)} times the line: {mutation.line}")
    lines[found[0]] = mutation.becomes
    return "\n".join(lines)


def build(source, mutation, folder):
    """Builds the programs of `source`, mutated, below `folder`; returns the object's path."""
    for part in ("bpf", "include"):
        shutil.copytree(source / part, folder / part)
    shutil.copy(source / "Makefile.bpf", folder)
    if mutation:
        (folder / "bpf" / mutation.file).write_text(mutated(source, mutation))
    out = folder / "out"
    make = subprocess.run(["make", "-s", "-f", "Makefile.bpf", f"OUT={out}", f"{out}/webbooster.bpf.o"], cwd=folder,
                          capture_output=True, text=True)
    if make.returncode:
        raise LookupError(f"{mutation and mutation.name}: does not compile:\n{make.stderr[-2000:]}")
    return out / "webbooster.bpf.o"


def run(source, test, mutation, tests):
    """Returns (exit status of the tests, the tail of what they said)."""
    with tempfile.TemporaryDirectory(prefix="wb-mutate-") as folder:
        program = build(source, mutation, pathlib.Path(folder))
        done = subprocess.run([test, f"--gtest_filter={tests}", "--gtest_brief=1"], capture_output=True, text=True,
                              env={**os.environ, "WB_BPF_OBJECT": str(program)})
    if " 0 tests from" in done.stdout:
        raise LookupError(f"{tests}: no such test")
    return done.returncode, (done.stdout + done.stderr)[-3000:]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", type=pathlib.Path, required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    chosen = [m for m in MUTATIONS if (m.name in args.names if args.names else args.all or m.quick)]
    if not chosen or not set(args.names) <= {m.name for m in MUTATIONS}:
        print("no such mutation", file=sys.stderr)
        return 2
    unnoticed = []
    try:
        for m in MUTATIONS:
            mutated(args.source, m)
        status, said = run(args.source, args.test, None, ":".join(m.tests for m in chosen))
        if status:
            print(f"the tests fail on the unchanged programs:\n{said}", file=sys.stderr)
            return 1
        with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
            runs = {m.name: pool.submit(run, args.source, args.test, m, m.tests) for m in chosen}
            for name, pending in runs.items():
                status, said = pending.result()
                # 1: a test failed. Anything else (2: not loaded, a signal) proves nothing.
                print(f"{name}: {'noticed' if status == 1 else 'NOT NOTICED'}", flush=True)
                if status != 1:
                    unnoticed.append(f"{name} (exit {status}):\n{said}")
    except LookupError as error:
        print(error, file=sys.stderr)
        return 2
    for text in unnoticed:
        print(text, file=sys.stderr)
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
