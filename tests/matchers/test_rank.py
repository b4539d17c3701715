import math
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matchers.rank import overlap, rank
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


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3), st.floats(0, 2)), unique_by=lambda t: t[:2]),
    st.randoms(),
)
def test_the_order_is_total(some, random):
    told = [replace(COINCIDENCE, id=name, revision=revision, overlap=value) for name, revision, value in some]
    assert rank(random.sample(told, len(told))) == rank(told)
