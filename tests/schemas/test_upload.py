"""Uploads as messages: what was said comes back, and what does not follow the format is refused by its place."""

import base64
import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.catalogue import SchemaCatalogue
from schemas.errors import BadNotice, Reason
from schemas.localisation import Annuli, Annulus, Cone, Ellipse, InlineMap, Systematics
from schemas.reading import read_message
from schemas.records import Kind, Message, Messenger, Role
from schemas.times import us_from_iso
from schemas.upload import (
    TOPIC,
    ConeDocument,
    EllipseDocument,
    SearchDocument,
    UploadDocument,
    calls_itself_upload,
    read_upload,
    search_of,
    trigger_id_of,
    upload_bytes,
)
from tests.schemas.maps import blob, flat

CONE = Cone(150.0, -12.0, 3.0, 0.9, Systematics.INCLUDED)
ELLIPSE = Ellipse(150.0, -12.0, 3.0, 1.0, 30.0, 0.5, Systematics.INCLUDED)
RING = Annulus(90.0, -12.0, 58.56, 2.0, 0.9)
GIVEN = {
    "id": "0123456789abcdef",
    "serial": 3,
    "kind": "update",
    "issued_utc": "2020-01-01T06:00:00Z",
    "owner": "ada",
    "private": True,
    "name": "S1",
    "messenger": "neutrino",
    "trigger_utc": "2020-01-01T05:00:00Z",
    "search": {"before_s": 60.0, "after_d": 3.0, "level": 0.5, "new_object": False},
    "cone": ConeDocument.of(CONE).model_dump(),
}


def message(topic=TOPIC, **changes):
    record = {name: value for name, value in (GIVEN | changes).items() if value is not None}
    return Message(json.dumps(record).encode(), "upload/x.3", topic)


def test_what_was_said_comes_back():
    document = UploadDocument.model_validate(GIVEN)
    notice = read_upload(Message(upload_bytes(document), "upload/x.3", TOPIC))
    assert notice.trigger_id == trigger_id_of(document.id) == "upload:0123456789abcdef"
    assert (notice.mission, notice.instrument, notice.private_to) == ("upload", "ada", "ada")
    assert (notice.kind, notice.serial, notice.role) == (Kind.UPDATE, 3, Role.OBSERVATION)
    assert notice.messenger is Messenger.NEUTRINO
    assert notice.trigger_time_us == us_from_iso("2020-01-01T05:00:00Z")
    assert notice.issued_us == us_from_iso("2020-01-01T06:00:00Z")
    assert (notice.names, notice.localisation) == (("S1",), CONE)
    assert search_of(notice.params) == document.search
    assert calls_itself_upload(notice)


@pytest.mark.parametrize(
    ("change", "localisation"),
    [
        ({}, CONE),
        ({"cone": None, "ellipse": EllipseDocument.of(ELLIPSE).model_dump()}, ELLIPSE),
        ({"cone": None, "annuli": [asdict(RING), asdict(RING)]}, Annuli((RING, RING))),
        ({"cone": None, "map_base64": base64.b64encode(b"a map").decode()}, InlineMap(b"a map")),
        ({"cone": None, "kind": "retraction"}, None),
    ],
)
def test_positions(change, localisation):
    assert read_upload(message(**change)).localisation == localisation


def test_what_is_public_is_everybodys_and_a_name_is_not_needed():
    notice = read_upload(message(private=False, name=""))
    assert (notice.private_to, notice.instrument, notice.names) == ("", "ada", ())
    nobodys = read_upload(message(private=False, owner=""))
    assert nobodys.private_to == nobodys.instrument == ""


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": "x"}, Reason.WRONG_TYPE),
        ({"id": "../../etc/passwd"}, Reason.WRONG_TYPE),
        ({"serial": 0}, Reason.WRONG_TYPE),
        ({"serial": 2**31}, Reason.WRONG_TYPE),
        ({"owner": ""}, Reason.WRONG_TYPE),
        ({"owner": "a\nb"}, Reason.WRONG_TYPE),
        ({"cone": None}, Reason.WRONG_TYPE),
        ({"kind": "retraction"}, Reason.WRONG_TYPE),
        ({"map_base64": "AAAA"}, Reason.WRONG_TYPE),
        ({"cone": None, "annuli": []}, Reason.WRONG_TYPE),
        ({"cone": None, "annuli": [asdict(RING)] * 11}, Reason.WRONG_TYPE),
        ({"version": 2}, Reason.WRONG_TYPE),
        ({"format": "other"}, Reason.WRONG_TYPE),
        ({"more": 1}, Reason.WRONG_TYPE),
        ({"trigger_utc": "yesterday"}, Reason.BAD_TIME),
        ({"issued_utc": ""}, Reason.BAD_TIME),
        ({"cone": None, "map_base64": "not base64!"}, Reason.MALFORMED),
        ({"search": {"after_d": 1e9}}, Reason.WRONG_TYPE),
    ],
)
def test_what_does_not_follow_the_format_is_refused(change, reason):
    with pytest.raises(BadNotice) as refused:
        read_upload(message(**change))
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"a":' * 50, b"\xff", json.dumps({"x": list(range(1000))}).encode()]
)
def test_what_is_no_json_of_ours_is_refused(body):
    with pytest.raises(BadNotice):
        read_upload(Message(body, "x", TOPIC))


def test_only_what_came_as_an_upload_is_one():
    (notice,) = read_message(message(), SchemaCatalogue()).notices
    assert notice.mission == "upload"
    for topic in ("", "starcross", "starcross.uploads", "STARCROSS.UPLOAD"):
        reading = read_message(message(topic=topic), SchemaCatalogue())
        assert not any(calls_itself_upload(notice) for notice in reading.notices)


@pytest.mark.parametrize("mission", ["upload", "Upload", "UPLOAD"])
def test_what_calls_itself_an_upload_is_refused(mission):
    record = {
        "$schema": f"https://gcn.nasa.gov/schema/v6.1.0/gcn/notices/{mission}/alert.schema.json",
        "mission": mission, "id": ["0123456789abcdef"], "trigger_time": "2020-01-01T05:00:00Z",
        "alert_datetime": "2020-01-01T05:01:00Z", "ra": 10, "dec": 10, "ra_dec_error": 1,
    }  # fmt: skip
    reading = read_message(Message(json.dumps(record).encode(), "x"), SchemaCatalogue())
    assert reading.notices == ()
    (rejection,) = reading.rejections
    assert rejection.reason is Reason.UNSUPPORTED


@given(
    st.builds(SearchDocument, before_s=st.floats(0, 1e6), after_d=st.floats(0.001, 366), level=st.floats(0.001, 0.999))
)
def test_how_it_is_searched_survives_as_text(search):
    params = {name: str(value) for name, value in search.model_dump().items()}
    assert search_of(params) == search


@pytest.mark.parametrize(
    ("ra_deg", "dec_deg", "radius_deg"), [(float("nan"), 0, 1), (0, 91, 1), (0, 0, 0), (361, 0, 1)]
)
def test_cones_have_a_place_on_the_sky(ra_deg, dec_deg, radius_deg):
    with pytest.raises(ValidationError):
        ConeDocument(ra_deg=ra_deg, dec_deg=dec_deg, radius_deg=radius_deg)


def test_no_map_is_shown_in_what_is_logged():
    document = UploadDocument.model_validate(
        {**GIVEN, "cone": None, "map_base64": base64.b64encode(flat(blob(1))).decode()}
    )
    assert len(repr(document)) < 1000
