# SPDX-License-Identifier: Apache-2.0
"""What mutate.py breaks, and who has to notice."""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Judge:
    """What is loaded, who tests it, and tests that pass on the unchanged programs."""
    object: str
    test: str
    smoke: str


# By the first word of a mutation's name; all others are of the splice.
SPLICE = Judge("webbooster", "bpf_test", "*HitIsAnsweredWith*:*QuiescenceTest.Idle*:*RetransmittedRequestGets*")
JUDGES = {
    "thin": Judge("tc_ackthin", "bpf_test", "*QuietLink*"),
    "director": Judge("xdp_director", "director_test", "*ACalmDomains*:*FragmentsFollow*"),
    "bounce": Judge("xdp_bounce", "bpf_bounce_test", "*ASynOfABoosted*:*ComesOutOfItsTunnel*"),
}


@dataclasses.dataclass(frozen=True)
class Mutation:
    name: str
    file: str  # below bpf/
    line: str
    becomes: str
    tests: str  # --gtest_filter

    @property
    def judge(self):
        return JUDGES.get(self.name.split("-")[0], SPLICE)
