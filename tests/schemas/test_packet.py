import math

import pytest
from astropy import units
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import BadPacket
from schemas.packet import (
    ab_mag,
    earliest,
    fields,
    identifier,
    mag_error,
    not_negative,
    number,
    record_at,
    records_at,
)

nan = pytest.approx(math.nan, nan_ok=True)


@given(st.floats(1e-6, 1e9))
def test_magnitudes_of_nanojansky_are_ab(flux):
    assert ab_mag(flux) == pytest.approx((flux * units.nJy).to_value(units.ABmag), abs=1e-3)


@given(st.floats(1, 1e6), st.floats(1e-6, 1e-4))
def test_the_error_of_a_magnitude_is_its_slope(flux, relative):
    change = ab_mag(flux * (1 - relative)) - ab_mag(flux)
    assert mag_error(flux, flux * relative) == pytest.approx(change, rel=1e-3)


@pytest.mark.parametrize("flux", [0.0, -1.0, math.nan])
def test_there_is_no_magnitude_of_a_flux_that_is_not_positive(flux):
    assert ab_mag(flux) == nan
    assert mag_error(flux, 1.0) == nan


@pytest.mark.parametrize("value", [None, "1", math.nan, math.inf, -math.inf, 1e39, [], {}])
def test_what_is_no_number(value):
    assert number(value) == nan
    assert not_negative(value) == nan


def test_numbers_are_kept():
    assert (number(-3), number(2.5), not_negative(0), not_negative(0.25)) == (-3.0, 2.5, 0.0, 0.25)
    assert not_negative(-999.0) == nan


def test_a_relative_error_beyond_all_bounds_is_unknown():
    assert mag_error(1e-300, 1e300) == nan


def test_the_earliest_of_what_is_known():
    assert earliest(5.0, None, math.nan, 0.0, -999.0, 4) == 4.0
    assert earliest(None, 0) == nan


def test_an_identifier_is_neither_null_nor_zero():
    assert identifier(None, 0, -5, 7) == -5
    assert identifier(None, 0, "7") is None


def test_records_and_arrays_of_records():
    assert record_at({"a": {"b": 1}}, "a") == {"b": 1}
    assert record_at({"a": None}, "a") == record_at({}, "a") == {}
    assert records_at({"a": [{"b": 1}, None]}, "a") == [{"b": 1}]
    assert records_at({"a": None}, "a") == records_at({}, "a") == []
    with pytest.raises(BadPacket, match="expected a record"):
        record_at({"a": 3}, "a")
    with pytest.raises(BadPacket, match="expected an array"):
        records_at({"a": 3}, "a")


def test_wanted_fields_by_name():
    assert fields("x y", z="u v") == {"x": None, "y": None, "z": {"u": None, "v": None}}
