import json
import math

import numpy as np
import pytest
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalogue import SchemaCatalogue
from schemas.errors import BadPacket, Reason
from schemas.lsst import BAD_FLAGS
from schemas.records import NEVER_US, Message
from schemas.survey import quality_columns, read_alerts
from schemas.times import us_from_astropy
from tests.survey_packets import LSST_SOURCE, LSST_WHOLE, LSST_WITH_LIMITS, container, framed, lsst_alert, maybe, record

CATALOGUE = SchemaCatalogue()
CATALOGUE.add(1000, json.dumps(LSST_WHOLE).encode())


def _read(alert, schema=None):
    body = framed(1000, LSST_WHOLE, alert) if schema is None else container(schema, [alert])
    (found,), rejections = read_alerts(Message(body, "lsst[0]@1"), CATALOGUE)
    assert rejections == []
    assert (found.survey, len(found)) == ("lsst", 1)
    return found


def _one(schema=None, **changes):
    return {name: column[0].item() for name, column in _read(lsst_alert(**changes), schema).columns().items()}


def _us(mjd):
    return int(us_from_astropy(Time(mjd, format="mjd", scale="tai")))


def test_every_column_of_an_alert():
    row = _one()
    assert row.pop("pixel") > 0
    assert math.isnan(row.pop("gaia_arcsec"))
    assert math.isnan(row.pop("ps1_arcsec"))
    assert math.isnan(row.pop("star_galaxy"))
    assert math.isnan(row.pop("solar_system_arcsec"))
    assert row == {
        "alert_id": 170_000_000_000_000_001,
        "object_id": "170000000000000000",
        "time_us": _us(61041.25),
        "ra_deg": 51.5,
        "dec_deg": -29.25,
        "mag": pytest.approx(23.9),
        "mag_err": pytest.approx(0.0542868, rel=1e-5),
        "band": "i",
        "first_detection_us": _us(61041.25),
        "last_non_detection_us": NEVER_US,
        "reliability": 0.875,
        "bad_pixels": 0.0,
        "ap_minus_psf_mag": 0.0,
        "origin": "lsst[0]@1",
    }


def test_times_are_tai():
    assert _us(61041.25) == round((61041.25 - 40587) * 86_400e6) - 37_000_000 == _one()["time_us"]


@given(st.floats(47893, 88068))
def test_any_time_is_converted_as_astropy_converts_it(mjd):
    assert _read(lsst_alert(midpointMjdTai=mjd)).time_us[0] == pytest.approx(_us(mjd), abs=2)


def test_a_source_that_fades_has_no_magnitude():
    row = _one(psfFlux=-1230.0, apFlux=-230.0)
    assert all(math.isnan(row[column]) for column in ("mag", "mag_err", "ap_minus_psf_mag"))


def test_what_is_null_is_nan():
    row = _one(psfFlux=None, psfFluxErr=None, apFlux=None, reliability=None, band=None)
    assert all(math.isnan(row[column]) for column in ("mag", "mag_err", "ap_minus_psf_mag", "reliability"))
    assert row["band"] == ""


def test_flags_are_counted():
    assert _one(pixelFlags_saturatedCenter=True)["bad_pixels"] == 1.0
    assert _one(pixelFlags_saturatedCenter=True, pixelFlags_bad=True)["bad_pixels"] == 2.0
    assert _one(pixelFlags_cr=True)["bad_pixels"] == 0.0
    assert _one(pixelFlags_saturatedCenter=None)["bad_pixels"] == 0.0
    unknown = dict.fromkeys(("pixelFlags_saturatedCenter", "pixelFlags_bad", "pixelFlags_cr"))
    assert math.isnan(_one(**unknown)["bad_pixels"])


def test_all_flags_that_count_are_decoded():
    source = record(
        "lsst.v10_0.diaSource",
        **{f["name"]: f["type"] for f in LSST_SOURCE["fields"]} | dict.fromkeys(BAD_FLAGS, maybe("boolean")),
    )
    schema = record("lsst.v10_0.alert", diaSource=source)
    for raised in BAD_FLAGS:
        row = _one(schema, **(dict.fromkeys(BAD_FLAGS, False) | {raised: True}))
        assert row["bad_pixels"] == 1.0


@pytest.mark.parametrize(
    ("changes", "object_id", "distance"),
    [
        (
            {"diaObjectId": None, "static": {"diaObjectId": 5, "firstDiaSourceMjdTai": None, "nDiaSources": 2}},
            "5",
            math.nan,
        ),
        ({"diaObjectId": 0, "ssObjectId": 21163633118754629, "static": None}, "21163633118754629", 0.0),
        ({"diaObjectId": None, "ssObjectId": None, "static": None, "moving": 77}, "77", 0.0),
        ({"diaObjectId": 9, "ssObjectId": 77, "static": None, "moving": 77}, "9", 0.0),
        ({"diaObjectId": 9, "ssObjectId": None, "static": None}, "9", math.nan),
    ],
)
def test_objects_at_rest_and_of_the_solar_system(changes, object_id, distance):
    if moving := changes.pop("moving", None):
        changes["moving"] = {"diaSourceId": 1, "ssObjectId": moving, "ephOffset": 0.1}
    row = _one(**changes)
    assert row["object_id"] == object_id
    assert row["solar_system_arcsec"] == pytest.approx(distance, nan_ok=True)


@pytest.mark.parametrize(
    ("first", "previous", "expected"),
    [
        (None, [], 61041.25),
        (math.nan, [], 61041.25),
        (None, [61040.5, 61030.5, 61035.5], 61030.5),
        (61020.5, [61040.5], 61020.5),
        (61045.0, [61040.5], 61040.5),
        (0.0, [math.nan], 61041.25),
    ],
)
def test_the_first_detection_that_the_packet_knows_of(first, previous, expected):
    static = {"diaObjectId": 4, "firstDiaSourceMjdTai": first, "nDiaSources": 1}
    found = _read(lsst_alert(static=static, previous=[{"midpointMjdTai": mjd} for mjd in previous]))
    assert found.first_detection_us[0] == _us(expected)


@pytest.mark.parametrize(
    ("limits", "last"),
    [(None, None), ([], None), ([61040.0, 61041.0, 61030.5], 61041.0), ([61040.0, 61041.25, 61042.0], 61040.0)],
)
def test_the_last_visit_before_it_that_saw_nothing(limits, last):
    found = _read(lsst_alert(limits=limits), LSST_WITH_LIMITS)
    assert found.last_non_detection_us[0] == (NEVER_US if last is None else _us(last))


def test_times_of_visits_of_32_bits_are_refused():
    limit = {"type": "array", "items": record("limit", midpointMjdTai="float")}
    field = {"name": "prvDiaNondetectionLimits", "type": limit}
    body = container(LSST_WHOLE | {"fields": [*LSST_WHOLE["fields"], field]}, [lsst_alert(limits=[61040.0])])
    with pytest.raises(BadPacket, match="prvDiaNondetectionLimits") as caught:
        read_alerts(Message(body, "lsst[0]@1"), CATALOGUE)
    assert caught.value.reason is Reason.BAD_TIME


def test_the_names_of_the_first_versions():
    source = record(
        "lsst.v3_0.diaSource", diaSourceId="long", diaObjectId="long", midPointTai="double", filterName="string",
        ra="double", decl="double", apFlux="float", psFlux="float", psFluxErr="float", flags="long",
    )  # fmt: skip
    schema = record(
        "lsst.v3_0.alert",
        alertId="long",
        diaSource=source,
        prvDiaSources=maybe({"type": "array", "items": "lsst.v3_0.diaSource"}),
    )
    values = {
        "diaSourceId": 2,
        "diaObjectId": 1,
        "midPointTai": 58849.5,
        "filterName": "g",
        "ra": 1.0,
        "decl": -2.0,
        "apFlux": 1000.0,
        "psFlux": 1000.0,
        "psFluxErr": 10.0,
        "flags": 3,
    }
    found = _read({"alertId": 1, "diaSource": values, "prvDiaSources": [values | {"midPointTai": 58840.5}]}, schema)
    assert (found.dec_deg[0], found.band[0], found.time_us[0]) == (-2.0, "g", _us(58849.5))
    assert found.first_detection_us[0] == _us(58840.5)
    assert found.mag[0] == pytest.approx(23.9)
    assert np.isnan(found.bad_pixels[0])


def test_gaia_and_ps1_are_not_among_the_quality_columns():
    assert quality_columns("lsst") == {"reliability", "bad_pixels", "ap_minus_psf_mag", "solar_system_arcsec"}
