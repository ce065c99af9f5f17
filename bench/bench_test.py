#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks judge by, with labs made up: hit ratio, the 95 % gate and the time limit of quick, how booster
reads a log, and what mirror.py finds different.
"""

import contextlib
import io
import os
import pathlib
import tempfile
import types
import unittest
from unittest import mock

import booster
import mirror
import origin
import quick


class FakeLab(origin.Lab):
    """accelerd counts `hits` and `misses` more after the load than before."""

    def __init__(self, hits, misses):
        super().__init__("none")
        self.statuses = [{"hits_total": 5, "misses_total": 7}, {"hits_total": 5 + hits, "misses_total": 7 + misses}]

    def status(self):
        return self.statuses.pop(0)

    def reasons(self):
        return {"in.unknown_connection": len(self.statuses)}


class BoosterTest(unittest.TestCase):
    LOG = ["1000\t200\t500\n", "1200\t200\t100\n", "1900\t200\t101\n", "100\t200\t899\n"]

    def test_requests_count_where_they_end(self):
        self.assertEqual(booster.read_log(self.LOG, 1000, 2000), ([100, 500], 4))

    def test_a_failed_request_spoils_the_figures(self):
        with self.assertRaises(origin.BenchError):
            booster.read_log([*self.LOG, "5000\t503\t1\n"], 1000, 2000)

    def test_percentiles_are_those_of_the_nearest_rank(self):
        ordered = list(range(1, 101))
        self.assertEqual([booster.percentile(ordered, part) for part in (0.5, 0.99, 1)], [51, 100, 100])

    def test_a_process_that_ended_makes_its_time_shrink(self):
        self.assertLess(booster.run_time_ns([str(1 << 30)]), 0)


class HitRatioTest(unittest.TestCase):
    def ratio(self, hits, misses, answered):
        return FakeLab(hits, misses).hits(lambda: {"requests": answered // 2, "answered": answered})["hit_ratio"]

    def test_requests_that_no_program_read_are_no_hits(self):
        self.assertEqual(self.ratio(40, 0, 100), 0.4)

    def test_warm_up_counts_on_both_sides(self):
        self.assertEqual(self.ratio(100, 0, 100), 1.0)

    def test_replies_under_way_at_the_end_do_not_exceed_one(self):
        self.assertEqual(self.ratio(104, 0, 100), 1.0)

    def test_nothing_asked(self):
        self.assertEqual(origin.ratio_of(0, 0), 0.0)


class QuickTest(unittest.TestCase):
    def run_quick(self, ratio=1.0, limit_s=quick.LIMIT_S, own_times=False):
        def run_mtu(self, mtu):
            for name in quick.SIZES:
                for config in quick.CONFIGS:
                    result = {"us_per_request": 2.0, **({"hit_ratio": ratio} if config in ("accel", "keyed") else {})}
                    for tso in ("off", "on") if config in ("close", "keep") else (None,):
                        self.add(mtu, tso, name, config, result)
        args = types.SimpleNamespace(seconds=0.5, rounds=1, connections=24, budget=46, json=None, own_times=own_times)
        with mock.patch.object(quick.Quick, "run_mtu", run_mtu), mock.patch.object(quick, "LIMIT_S", limit_s), \
                contextlib.redirect_stdout(io.StringIO()) as out:
            return quick.main(args), out.getvalue()

    def test_passes(self):
        self.assertEqual(self.run_quick()[0], 0)

    def test_fails_below_95_percent_hits(self):
        code, text = self.run_quick(ratio=0.94)
        self.assertEqual(code, 1)
        self.assertIn("only 94.0%", text)

    def test_fails_beyond_its_time(self):
        code, text = self.run_quick(limit_s=0)
        self.assertEqual(code, 1)
        self.assertIn("not under 0 s", text)

    def test_takes_the_time_it_is_told_to_take(self):
        self.assertEqual(self.run_quick(limit_s=0, own_times=True)[0], 0)

    def test_its_time_is_three_minutes(self):
        self.assertEqual(quick.LIMIT_S, 180)


class MirrorTest(unittest.TestCase):
    """differences() of two trees that wget is said to have left."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()  # pylint: disable=consider-using-with
        self.addCleanup(scratch.cleanup)
        self.root = pathlib.Path(scratch.name)
        self.reference, self.mirror = self.tree("reference"), self.tree("mirror")

    def tree(self, name):
        (self.root / name).mkdir()
        one = mirror.Mirror.__new__(mirror.Mirror)
        one.directory, one.answers, one.retried = str(self.root / name), {"200": 2, "404": 1}, []
        for file in ("a.html", "b.html"):
            (self.root / name / file).write_text(file, encoding="ascii")
            os.utime(self.root / name / file, (1700000000, 1700000000))
        return one

    def found(self, conditional=False):
        return mirror.differences(self.reference, self.mirror, conditional)

    def test_alike(self):
        self.assertEqual(self.found(), [])

    def test_other_bytes_of_the_same_size(self):
        (self.root / "mirror" / "a.html").write_text("A.html", encoding="ascii")
        os.utime(self.root / "mirror" / "a.html", (1700000000, 1700000000))
        self.assertIn("a.html", self.found()[0])

    def test_other_date(self):
        os.utime(self.root / "mirror" / "b.html", (1700000001, 1700000001))
        self.assertEqual(self.found(), ["size or Last-Modified differ: b.html"])

    def test_file_missing_or_more(self):
        (self.root / "mirror" / "a.html").rename(self.root / "mirror" / "c.html")
        self.assertEqual(len(self.found()), 2)

    def test_other_answers(self):
        self.mirror.answers = {"200": 2, "404": 1, "500": 1}
        self.assertEqual(len(self.found()), 1)

    def test_asked_again(self):
        self.mirror.retried = ["Retrying."]
        self.assertEqual(len(self.found()), 1)

    def test_conditional_wants_304(self):
        self.assertEqual(len(self.found(conditional=True)), 1)
        self.mirror.answers = {"200": 1, "304": 1}
        self.assertEqual(len(self.found(conditional=True)), 1)
        self.mirror.answers = {"304": 2}
        self.assertEqual(self.found(conditional=True), [])


if __name__ == "__main__":
    unittest.main()
