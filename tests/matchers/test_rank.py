import math
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matchers.rank import by_nearness, overlap, rank
from schemas.records import State
from tests.coincidences import COINCIDENCE


def test_the_overlap_of_a_point_with_a_small_circle_is_the_closed_form():
    s = math.radians(0.1)
    assert overlap(1 / (2 * math.pi * s**2)) == pytest.approx(2 / s**2)
    assert overlap(1 / (4 * math.pi)) == pytest.approx(1.0)


def test_the_best_comes_first():
    best = replace(COINCIDENCE, id="z", state=State.PROPOSED, overlap=50.0, credible_level=0.1, delta_t_s=-9.0)
    told = [
        best,
        replace(best, id="a", overlap=40.0, credible_level=0.0),
        replace(best, id="b", overlap=40.0, credible_level=0.2, delta_t_s=5.0),
        replace(best, id="c", overlap=40.0, credible_level=0.2, delta_t_s=-6.0),
        replace(best, id="d", overlap=40.0, credible_level=0.2, delta_t_s=-6.0),
        replace(best, id="e", state=State.WITHDRAWN, overlap=1e9),
    ]
    for seed in range(5):
        assert rank(Random(seed).sample(told, len(told))) == told


def test_what_is_more_probably_the_counterpart_comes_before_what_is_nearer():
    told = COINCIDENCE.statistics
    assert told is not None
    worth = [replace(told, posterior=posterior) for posterior in (0.9, 0.2, 0.2)]
    best, second, third = (
        replace(COINCIDENCE, id=name, state=State.PROPOSED, overlap=overlap_, statistics=statistics)
        for name, overlap_, statistics in zip("abc", (1.0, 3.0, 2.0), worth, strict=True)
    )
    unknown = replace(best, id="d", overlap=1e9, statistics=None)
    assert rank([unknown, third, second, best]) == [best, second, third, unknown]
    assert by_nearness([third, second, best], np.array([0.5, 0.5, 0.9])).tolist() == [2, 1, 0]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3), st.floats(0, 2)), unique_by=lambda t: t[:2]),
    st.randoms(),
)
def test_the_order_is_total(some, random):
    told = [replace(COINCIDENCE, id=name, revision=revision, overlap=value) for name, revision, value in some]
    assert rank(random.sample(told, len(told))) == rank(told)
