import math

import numpy as np
import pytest

from schemas.catalogue import SchemaCatalogue
from schemas.errors import BadPacket, Reason
from schemas.records import NEVER_US, Message
from schemas.survey import is_survey_schema, quality_columns, read_alerts
from schemas.times import us_from_iso
from tests.survey_packets import ZTF, ZTF_CANDIDATE, ZTF_PREVIOUS, container, maybe, record, ztf_alert


def _read(*alerts, schema=ZTF):
    (found,), rejections = read_alerts(Message(container(schema, alerts), "night/1.avro"), SchemaCatalogue())
    assert rejections == []
    return found


def _one(schema=ZTF, **changes):
    found = _read(ztf_alert(**changes), schema=schema)
    return {name: column[0].item() for name, column in found.columns().items()}


def test_every_column_of_an_alert():
    row = _one()
    assert row.pop("pixel") > 0
    assert math.isnan(row.pop("solar_system_arcsec"))
    assert row == {
        "alert_id": 1_000_000_000_000_000_001,
        "object_id": "ZTF20aaaaaaa",
        "time_us": us_from_iso("2020-01-01T06:00:00"),
        "ra_deg": 150.25,
        "dec_deg": -12.5,
        "mag": 19.5,
        "mag_err": 0.125,
        "band": "r",
        "first_detection_us": us_from_iso("2019-12-23T00:00:00"),
        "last_non_detection_us": NEVER_US,
        "reliability": 0.75,
        "bad_pixels": 0.0,
        "ap_minus_psf_mag": 0.0625,
        "gaia_arcsec": 6.25,
        "ps1_arcsec": 7.5,
        "star_galaxy": 0.25,
        "origin": "night/1.avro",
    }


@pytest.mark.parametrize(("fid", "band"), [(1, "g"), (2, "r"), (3, "i"), (4, ""), (0, "")])
def test_bands(fid, band):
    assert _one(fid=fid)["band"] == band


@pytest.mark.parametrize(
    ("column", "field", "values"),
    [
        ("gaia_arcsec", "neargaia", [-999.0, None]),
        ("ps1_arcsec", "distpsnr1", [-999.0, None]),
        ("star_galaxy", "sgscore1", [-999.0, None]),
        ("solar_system_arcsec", "ssdistnr", [-999.0, None]),
        ("reliability", "rb", [None, -999.0]),
        ("bad_pixels", "nbad", [None, -999]),
        ("ap_minus_psf_mag", "magap", [None, -999.0]),
    ],
)
def test_what_is_none_is_nan(column, field, values):
    assert all(math.isnan(_one(**{field: value})[column]) for value in values)


def test_a_solar_system_object_nearby():
    assert _one(ssdistnr=0.0)["solar_system_arcsec"] == 0.0
    assert _one(ssdistnr=4.5)["solar_system_arcsec"] == 4.5


@pytest.mark.parametrize(
    ("start", "previous", "first"),
    [
        (2458840.5, [], 2458840.5),
        (2458840.5, [{"jd": 2458830.5}], 2458830.5),
        (2458840.5, [{"jd": 2458830.5, "candid": None}], 2458840.5),
        (None, [], 2458849.75),
        (None, [{"jd": 2458848.5}, {"jd": 2458847.5}, {"jd": 2458846.5, "candid": None}], 2458847.5),
        (-999.0, [], 2458849.75),
        (math.nan, [{"jd": math.nan}], 2458849.75),
        (12.0, [], 2458849.75),
        (2458850.0, [{"jd": 2458860.0}], 2458849.75),
    ],
)
def test_the_first_detection_that_the_packet_knows_of(start, previous, first):
    found = _read(ztf_alert(jdstarthist=start, previous=previous))
    assert found.first_detection_us[0] == round((first - 2440587.5) * 86_400e6)


JD = 2458849.75


@pytest.mark.parametrize(
    ("previous", "last"),
    [
        ([], None),
        ([{"jd": JD - 1}], None),
        ([{"jd": JD - 3, "candid": None}, {"jd": JD - 2, "candid": None}, {"jd": JD - 1}], JD - 2),
        ([{"jd": JD - 2, "candid": None}, {"jd": JD, "candid": None}, {"jd": JD + 1, "candid": None}], JD - 2),
        ([{"jd": 5.0, "candid": None}, {"jd": math.nan, "candid": None}], None),
    ],
)
def test_the_last_visit_before_it_that_saw_nothing(previous, last):
    found = _read(ztf_alert(previous=previous, jd=JD))
    assert found.last_non_detection_us[0] == (NEVER_US if last is None else round((last - 2440587.5) * 86_400e6))


def test_a_history_without_identifiers_tells_of_no_upper_limits():
    fields = [field for field in ZTF_PREVIOUS["fields"] if field["name"] != "candid"]
    history = maybe({"type": "array", "items": ZTF_PREVIOUS | {"fields": fields}})
    schema = ZTF | {"fields": [f | {"type": history} if f["name"] == "prv_candidates" else f for f in ZTF["fields"]]}
    assert _read(ztf_alert(previous=[{"jd": JD - 2}]), schema=schema).last_non_detection_us[0] == NEVER_US


def test_what_an_old_version_lacks_is_nan():
    old = record(
        "topLevelRecord",
        objectId="string",
        candidate=record(
            "candidate",
            **{
                field["name"]: field["type"]
                for field in ZTF_CANDIDATE["fields"]
                if field["name"]
                not in {"rb", "nbad", "jdstarthist", "neargaia", "distpsnr1", "sgscore1", "ssdistnr", "magap"}
            },
        ),
    )
    row = _one(schema=old)
    assert row["alert_id"] == 1_000_000_000_000_000_001
    assert row["first_detection_us"] == row["time_us"]
    assert all(math.isnan(row[column]) for column in quality_columns("ztf"))


def test_the_identifier_of_the_candidate_stands_in_for_a_null():
    schema = ZTF | {"fields": [f | {"type": maybe("long")} if f["name"] == "candid" else f for f in ZTF["fields"]]}
    alert = ztf_alert() | {"candid": None}
    assert _read(alert, schema=schema).alert_id[0] == 1_000_000_000_000_000_001


def test_envelopes_with_every_field_optional_and_more_at_the_end():
    def optional(tree):
        return record(
            tree["name"],
            **{
                f["name"]: [f["type"], "null"] if not isinstance(f["type"], list) else f["type"] for f in tree["fields"]
            },
        )

    fields = {f["name"]: f["type"] for f in ZTF["fields"]}
    fields["candidate"] = [optional(ZTF_CANDIDATE), "null"]
    fields["prv_candidates"] = [{"type": "array", "items": [optional(ZTF_PREVIOUS), "null"]}, "null"]
    schema = record(
        "topLevelRecord",
        timestamp=[{"type": "long", "logicalType": "timestamp-micros"}, "null"],
        **fields,
        cdsxmatch="string",
    )
    alerts = [
        ztf_alert(previous=[{"jd": 2458830.5}], candid=n) | {"timestamp": None, "cdsxmatch": "Unknown"}
        for n in (1, 2, 3)
    ]
    found = _read(*alerts, schema=schema)
    assert found.alert_id.tolist() == [1, 2, 3]
    assert np.all(found.first_detection_us == us_from_iso("2019-12-13T00:00:00"))


@pytest.mark.parametrize("path", ["jd", "jdstarthist"])
def test_times_of_32_bits_are_refused(path):
    candidate = record(
        "candidate", **{f["name"]: f["type"] if f["name"] != path else maybe("float") for f in ZTF_CANDIDATE["fields"]}
    )
    schema = record("r", objectId="string", candidate=candidate)
    assert is_survey_schema(schema).name == "ztf"
    with pytest.raises(BadPacket) as caught:
        _read(ztf_alert(), schema=schema)
    assert caught.value.reason is Reason.BAD_TIME
