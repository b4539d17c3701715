import pytest

from bridges.simulator import NightPlan
from schemas.times import us_from_iso


def test_scaling_multiplies_contaminants_and_nothing_else():
    plan, more = NightPlan(), NightPlan().scaled(2.5)
    assert more.asteroids == round(2.5 * plan.asteroids)
    assert (more.bursts_seen, more.nights, more.start) == (plan.bursts_seen, plan.nights, plan.start)


def test_the_span_begins_at_noon_in_california():
    assert NightPlan(start="2026-10-05").start_us == us_from_iso("2026-10-05T20:00:00Z")


@pytest.mark.parametrize(
    "wrong", [{"nights": 0}, {"cadence_nights": 0}, {"history_d": -1.0}, {"zone_deg": 0.0}, {"start": "tomorrow"}]
)
def test_impossible_plans_are_refused(wrong):
    with pytest.raises(ValueError, match=r"plan|ISO 8601"):
        NightPlan(**wrong)
