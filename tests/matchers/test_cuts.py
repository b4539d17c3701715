import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError

from matchers.cuts import REASONS, Cuts
from schemas.records import Alerts
from tests.matchers.made import CARRIED, T0, alerts_of

LIMITS = [
    # column, key, passes, fails
    ("reliability", "reliability_above", [0.5500001, 1.0], [0.55, 0.1, np.nan]),
    ("bad_pixels", "bad_pixels_at_most", [0.0], [1.0, np.nan]),
    ("ap_minus_psf_mag", "aperture_minus_psf_mag_below", [0.0999999, -0.0999999, 0.0], [0.1, -0.1, 3.0, np.nan]),
    ("gaia_arcsec", "gaia_at_least_arcsec", [5.0, 50.0, np.nan], [4.999999, 0.0]),
    ("ps1_arcsec", "ps1_at_least_arcsec", [5.0, 50.0, np.nan], [4.999999, 0.0]),
    ("solar_system_arcsec", "solar_system_at_least_arcsec", [5.0, 50.0, np.nan], [4.999999, 0.0]),
]


def one(**columns: float) -> Alerts:
    return alerts_of([{"id": 1, "obj": "a", "t": T0, "ra": 10.0, "dec": 20.0} | columns])


@pytest.mark.parametrize(("reason", "limit"), list(zip(REASONS, LIMITS, strict=True)), ids=REASONS)
def test_each_limit_is_exact_in_single_precision_and_can_be_switched_off(reason, limit):
    column, key, passes, fails = limit
    for value in passes:
        keep, counts = Cuts().apply(one(**{column: value}), CARRIED)
        assert keep.tolist() == [True], value
        assert counts == {}
    for value in fails:
        keep, counts = Cuts().apply(one(**{column: value}), CARRIED)
        assert keep.tolist() == [False], value
        assert counts == {reason: 1}
        for off in (None, False):
            keep, counts = Cuts(**{key: off}).apply(one(**{column: value}), CARRIED)
            assert keep.tolist() == [True]
        assert Cuts(enabled=False).apply(one(**{column: value}), CARRIED)[0].tolist() == [True]


def test_a_cut_applies_only_to_columns_that_the_survey_carries():
    unknown = Alerts.from_columns("x", alert_id=[1], object_id=["a"], ra_deg=[1.0], dec_deg=[2.0])
    assert Cuts().apply(unknown, frozenset())[0].tolist() == [True]
    keep, counts = Cuts().apply(unknown, frozenset({"reliability", "gaia_arcsec"}))
    assert keep.tolist() == [False]
    assert counts == {"reliability": 1}


def test_an_alert_with_many_faults_counts_once_by_the_first():
    bad = one(reliability=0.1, bad_pixels=3, gaia_arcsec=1)
    assert Cuts().apply(bad, CARRIED)[1] == {"reliability": 1}
    assert Cuts(reliability_above=None).apply(bad, CARRIED)[1] == {"bad_pixels": 1}


@given(hnp.arrays(np.float32, (6, 30), elements=st.sampled_from([0.0, 0.05, 0.1, 0.55, 0.6, 4.9, 5.0, 9.0, np.nan])))
def test_the_counts_add_up_to_the_rejected(values):
    columns = dict(zip((column for column, *_ in LIMITS), values, strict=True))
    n = values.shape[1]
    alerts = Alerts.from_columns(
        "ztf", alert_id=range(n), object_id=["a"] * n, ra_deg=[1.0] * n, dec_deg=[2.0] * n, **columns
    )
    keep, counts = Cuts().apply(alerts, CARRIED)
    assert sum(counts.values()) == n - keep.sum()
    alone = [Cuts().apply(alerts.take(slice(row, row + 1)), CARRIED)[0][0] for row in range(n)]
    assert keep.tolist() == alone


@pytest.mark.parametrize(
    "options",
    [{"gaia": 5}, {"gaia_at_least_arcsec": "5"}, {"gaia_at_least_arcsec": True}, {"reliability_above": float("nan")}],
)
def test_what_makes_no_sense_is_refused(options):
    with pytest.raises(ValidationError):
        Cuts(**options)


def test_cuts_survive_being_written_out():
    cuts = Cuts(gaia_at_least_arcsec=False, reliability_above=0.3)
    assert cuts.gaia_at_least_arcsec is None
    assert Cuts.model_validate(cuts.model_dump()) == cuts
