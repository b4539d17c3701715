"""The harness itself: it must hold what is right, and tell what is not."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from broker.calibration.report import FIRST, Chance, Ranks, report_of_weeks
from tests.broker.calibration.worlds import searches


@pytest.fixture(scope="module")
def honest():
    return report_of_weeks(searches(1, 6000), 4, 1)


def test_what_is_right_by_construction_holds(honest):
    assert honest.triggers == 6000
    assert honest.acceptance["claimed within 5 % of true"]
    assert honest.acceptance["chance probabilities uniform"]
    judged = [one for one in honest.reliability[0].bins if one.is_judged]
    assert len(judged) > 4
    total = honest.reliability[0]
    assert total.expected_true == pytest.approx(total.true, abs=5 * math.sqrt(total.true))


@pytest.mark.parametrize(
    "claim", [lambda p: p**0.6, lambda p: p**2, lambda p: min(1.0, 3 * p)], ids=["bold", "timid", "three times"]
)
def test_posteriors_that_are_wrong_are_told(claim):
    report = report_of_weeks(searches(1, 3000, claim=claim), 4, 1)
    assert not report.acceptance["claimed within 5 % of true"]


@pytest.mark.parametrize("chance", [math.sqrt, lambda p: p * p, lambda p: p / 2], ids=["large", "small", "half"])
def test_chance_probabilities_that_are_wrong_are_told(chance):
    report = report_of_weeks(searches(1, 2000, chance=chance), 4, 1)
    assert not report.acceptance["chance probabilities uniform"]


def test_equal_seeds_give_equal_reports(honest):
    assert report_of_weeks(searches(1, 6000), 4, 1) == honest


def test_the_document_is_json_and_says_what_is_accepted(honest):
    told = json.loads(json.dumps(honest.document(), allow_nan=False))
    assert told["acceptance"] == honest.acceptance
    assert "values" not in told["chance"][0]
    assert told["reliability"][0]["of"] == "all"


def test_only_the_last_look_counts_but_for_the_ages():
    last = searches(3, 200)
    earlier = [replace(one, age_d=1.0, claims=()) for one in last]
    report = report_of_weeks([*earlier, *last], 4, 1)
    alone = report_of_weeks(last, 4, 1)
    assert report.reliability[0] == alone.reliability[0]
    assert [one.of for one in report.reliability] == ["all", "gamma-ray", "0 to 2 d", "2 to 5 d"]


def test_ranks_count_what_is_first_and_what_lies_outside():
    def ranked(number, rank):
        (one,) = searches(number, 1)
        while not one.claims:
            number += 100
            (one,) = searches(number, 1)
        claim = replace(one.claims[0], true=True, rank=rank or 1)
        seen = replace(one.counterpart, in_stream=True)
        return replace(one, counterpart=seen, claims=(claim,) if rank else ())

    told = Ranks.told("x", [ranked(1, 1), ranked(2, FIRST), ranked(3, FIRST + 1), ranked(4, None)])
    assert told == Ranks("x", in_stream=4, outside=1, first=1, among_first=2)
    assert told.fraction == 0.5
    assert told.fraction_of_found == pytest.approx(2 / 3)
    nothing = Ranks.told("x", [])
    assert nothing.fraction is nothing.fraction_of_found is None


def test_counterparts_that_rank_low_are_told():
    def last(one):
        return replace(one, claims=tuple(replace(c, rank=FIRST + 1 if c.true else 1) for c in one.claims))

    report = report_of_weeks([last(one) for one in searches(5, 100)], 4, 1)
    assert not report.acceptance["counterpart among the first three"]


def test_triggers_of_which_nothing_is_expected_tell_nothing_of_chance():
    (one, *_) = searches(1, 1)
    told = Chance.told("x", [replace(one, expected_chance=None)], np.random.default_rng(1))
    assert (told.triggers, told.expected, told.found) == (0, 0.0, 0)
    assert told.holds


def test_found_against_expected_is_counted():
    some = [one for one in searches(7, 1000) if not one.counterpart.in_stream]
    told = Chance.told("x", some, np.random.default_rng(1))
    assert told.found == sum(len(one.claims) for one in some)
    assert told.expected == pytest.approx(told.found, rel=0.1)


def test_completeness_is_of_bursts_by_magnitude_and_area(honest):
    assert sum(share.count for share in honest.by_mag) > 5000
    assert all(share.count >= share.found for share in (*honest.by_mag, *honest.by_area))
