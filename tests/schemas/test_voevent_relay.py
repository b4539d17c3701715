import importlib.util
import json
import re
from dataclasses import replace
from importlib import resources
from typing import Any

import pytest
from astropy import units
from astropy.io.votable.ucd import parse_ucd
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from schemas.errors import BadNotice, Reason
from schemas.gcn import content_ivorn, read_gcn_json
from schemas.localisation import Annulus, Cone, Ellipse, InlineMap, Systematics
from schemas.lvk import read_lvk_avro, read_lvk_json
from schemas.records import Citation, Kind, Message, Messenger, Notice, Role
from schemas.times import us_from_iso
from schemas.voevent_notice import read_voevent
from schemas.voevent_out import VoeventAuthor, is_ivorn
from schemas.voevent_relay import conversion_ivorn, convert_notice, is_convertible
from tests.schemas.gcn_notices import FITS, T0_US, read, read_superevent
from tests.schemas.voevent_packets import packet

AUTHOR = VoeventAuthor("org.example.starcross", "notices", "Example")
XSD = etree.XMLSchema(etree.parse(str(resources.files("comet") / "schema" / "VOEvent-v2.0.xsd")))
"""IVOA's schema, as Comet brings it."""

CONE = Cone(223.768, -11.374, 0.05137775, 0.9)
NOTICE = Notice(
    message=Message(b"{}", "gcn.notices.einstein_probe.wxt.alert[0]@7", "gcn.notices.einstein_probe.wxt.alert"),
    notice_type="einstein_probe.wxt.alert",
    ivorn=content_ivorn("einstein_probe.wxt.alert", b"{}"),
    trigger_id="einstein-probe:01709260362",
    messenger=Messenger.X_RAY,
    mission="Einstein Probe",
    instrument="WXT",
    role=Role.OBSERVATION,
    kind=Kind.INITIAL,
    stage=10,
    serial=2,
    issued_us=us_from_iso("2026-04-21T20:53:00Z"),
    trigger_time_us=us_from_iso("2026-04-21T20:52:02.749Z"),
    trigger_time_error_s=0.5,
    localisation=CONE,
    names=("EP260421a", "GRB 260421A"),
    astrophysical=True,
    classification={"GRB": 0.75, "TDE": 0.25},
    significance=8.7,
    significance_unit="sigma",
    far_hz=1.5e-9,
    links={"lightcurve": "https://example.org/ep?a=1&b=2", "odd": "https://example.org/a b"},
    params={"image_snr": "8.7", "trigger_time": "2026-04-21T20:52:02.749Z"},
)
OWN = conversion_ivorn(NOTICE, AUTHOR)


def _root(notice: Notice = NOTICE, previous: str | None = None) -> etree._Element:
    root = etree.fromstring(convert_notice(notice, AUTHOR, previous, software="starcross 0.1.0"))
    XSD.assertValid(root)
    return root


def _back(notice: Notice, previous: str | None = None) -> Notice:
    body = convert_notice(notice, AUTHOR, previous)
    XSD.assertValid(etree.fromstring(body))
    return read_voevent(Message(body, "own.xml"))


def _params(root: etree._Element, group: str) -> dict[str, tuple[str | None, str | None]]:
    found = root.findall(f"What/Group[@name='{group}']/Param")
    return {str(param.get("name")): (param.get("value"), param.get("unit")) for param in found}


def _cited(root: etree._Element) -> list[tuple[str | None, str | None]]:
    return [(element.text, element.get("cite")) for element in root.findall("Citations/EventIVORN")]


def _said(notice: Notice) -> dict[str, Any]:
    """What must be the same in the conversion; a map that came inside is not passed on, nor aliases that are not made
    of the names alone."""
    place = notice.localisation
    return {
        "trigger_id": notice.trigger_id,
        "notice_type": notice.notice_type,
        "mission": notice.mission,
        "instrument": notice.instrument,
        "messenger": notice.messenger,
        "role": notice.role,
        "kind": notice.kind,
        "order": (notice.stage, notice.serial, notice.issued_us),
        "time": (notice.trigger_time_us, notice.trigger_time_error_s),
        "place": place if isinstance(place, Cone | Ellipse) else None,
        "skymap_url": notice.skymap_url,
        "astrophysical": notice.astrophysical,
        "significance": (notice.significance, notice.significance_unit),
        "far_hz": notice.far_hz,
        "classification": dict(notice.classification),
        "names": notice.names,
        "aliases": tuple(alias for alias in notice.aliases if alias.startswith("fermi-gbm:")),
        "related": notice.related,
    }


def test_head_time_and_place() -> None:
    root = _root()
    assert root.get("ivorn") == OWN
    assert re.fullmatch(r"ivo://org\.example\.starcross/notices#einstein_probe\.wxt\.alert-[0-9a-f]{16}", OWN)
    assert is_ivorn(OWN)
    assert (root.get("role"), root.get("version")) == ("observation", "2.0")
    assert root.findtext("Who/AuthorIVORN") == "ivo://org.example.starcross"
    assert root.findtext("Who/Date") == "2026-04-21T20:53:00.000000Z"
    location = root.find("WhereWhen/ObsDataLocation")
    assert location is not None
    assert location.find("ObservatoryLocation").get("id") == "Einstein Probe"  # type: ignore[union-attr]
    coords = location.find("ObservationLocation/AstroCoords")
    assert coords is not None
    assert coords.findtext("Time/TimeInstant/ISOTime") == "2026-04-21T20:52:02.749000"
    assert coords.findtext("Time/Error") == "0.5"
    place = [coords.findtext(f"Position2D/{tag}") for tag in ("Value2/C1", "Value2/C2", "Error2Radius")]
    assert place == ["223.768", "-11.374", "0.05137775"]


def test_it_says_that_it_is_a_conversion_and_by_whom() -> None:
    root = _root()
    said = "converted by starcross 0.1.0 from gcn.notices.einstein_probe.wxt.alert"
    assert _params(root, "notice")["conversion"] == (said, None)
    assert said in str(root.findtext("How/Description"))
    assert "not by the observatory" in str(root.findtext("How/Description"))
    assert root.findtext("Description") == f"einstein_probe.wxt.alert about einstein-probe:01709260362, {said}."
    untold = replace(NOTICE, trigger_id=None, message=Message(b"{}", "one.json"))
    assert _root(untold).findtext("Description") == (
        "einstein_probe.wxt.alert, converted by starcross 0.1.0 from einstein_probe.wxt.alert."
    )


def test_params_links_and_names() -> None:
    root = _root()
    known = _params(root, "notice")
    assert known["far_hz"] == ("1.5e-09", "Hz")
    assert known["astrophysical"] == ("true", None)
    assert known["containment"] == ("0.9", None)
    assert _params(root, "classification") == {"GRB": ("0.75", None), "TDE": ("0.25", None)}
    assert _params(root, "original") == {name: (value, None) for name, value in NOTICE.params.items()}
    assert [one.get("uri") for one in root.findall("What/Reference")] == ["https://example.org/ep?a=1&b=2"]
    assert [name.text for name in root.findall("Why/Inference/Name")] == ["EP260421a", "GRB 260421A"]
    bare = replace(NOTICE, names=(), messenger=Messenger.GRAVITATIONAL_WAVE, params={}, links={}, classification={})
    assert [element.tag for element in _root(bare)] == ["Who", "What", "WhereWhen", "How", "Description"]
    assert [group.get("name") for group in _root(bare).findall("What/Group")] == ["notice"]


@pytest.mark.parametrize("where", [CONE, Ellipse(10.0, 20.0, 2.0, 1.0, 45.0, 0.9)])
def test_own_params_have_ucds_and_units_that_exist(where: Any) -> None:
    for messenger in Messenger:
        notice = replace(NOTICE, localisation=where, skymap_url="https://example.org/map.fits", messenger=messenger)
        for param in _root(notice).findall("What/Group[@name='notice']/Param"):
            parse_ucd(param.get("ucd"), check_controlled_vocabulary=True)
            assert param.findtext("Description")
            if param.get("unit"):
                units.Unit(param.get("unit"), format="cds")


def test_without_time_and_place_there_is_no_where_and_when() -> None:
    bare = replace(NOTICE, trigger_time_us=None, localisation=None, kind=Kind.RETRACTION, issued_us=None)
    root = _root(bare)
    assert root.find("WhereWhen") is None
    assert root.find("Who/Date") is None
    only_place = _root(replace(NOTICE, trigger_time_us=None, kind=Kind.UPDATE))
    assert only_place.find("WhereWhen//Time") is None
    assert only_place.find("WhereWhen//Position2D") is not None


@pytest.mark.parametrize("where", [InlineMap(FITS), Annulus(10.0, 20.0, 30.0, 1.0, 0.9), None])
def test_what_is_no_circle_or_ellipse_has_no_position(where: Any) -> None:
    body = convert_notice(replace(NOTICE, localisation=where), AUTHOR)
    assert b"Position2D" not in body
    assert b"SIMPLE" not in body
    assert read_voevent(Message(body, "own.xml")).localisation is None


@pytest.mark.parametrize(
    ("kind", "messenger", "relation"),
    [
        (Kind.INITIAL, Messenger.X_RAY, "followup"),
        (Kind.UPDATE, Messenger.X_RAY, "supersedes"),
        (Kind.RETRACTION, Messenger.X_RAY, "retraction"),
        (Kind.INITIAL, Messenger.GRAVITATIONAL_WAVE, "supersedes"),
        (Kind.RETRACTION, Messenger.GRAVITATIONAL_WAVE, "retraction"),
    ],
)
def test_the_conversion_before_is_cited(kind: Kind, messenger: Messenger, relation: str) -> None:
    before = "ivo://org.example.starcross/notices#einstein_probe.wxt.alert-0000000000000000"
    assert _cited(_root(replace(NOTICE, kind=kind, messenger=messenger), before)) == [(before, relation)]


def test_ivorns_that_the_notice_names_are_cited_and_nothing_is_that_is_none_or_its_own() -> None:
    citations = (Citation("S230518h", "followup"), Citation("ivo://nasa.gsfc.gcn/SWIFT#a-1", "associated"))
    assert _cited(_root(replace(NOTICE, citations=citations), OWN)) == [("ivo://nasa.gsfc.gcn/SWIFT#a-1", "followup")]
    assert _root(NOTICE, OWN).find("Citations") is None


def test_the_same_notice_is_the_same_packet_and_other_content_has_another_ivorn() -> None:
    assert convert_notice(NOTICE, AUTHOR) == convert_notice(replace(NOTICE), AUTHOR)
    other = replace(NOTICE, ivorn=content_ivorn("einstein_probe.wxt.alert", b"{ }"))
    assert conversion_ivorn(other, AUTHOR) != OWN


def test_only_what_came_without_an_ivorn_is_to_be_converted() -> None:
    assert is_convertible(NOTICE)
    assert is_convertible(read(mission="Einstein Probe", instrument="WXT"))
    assert is_convertible(read_superevent())
    assert not is_convertible(read_voevent(Message(convert_notice(NOTICE, AUTHOR), "own.xml")))


def test_a_packet_is_never_larger_than_brokers_take() -> None:
    worst = "&\U0001f30c" * 500
    notice = replace(
        NOTICE,
        notice_type=worst,
        mission=worst,
        instrument=worst,
        significance_unit=worst,
        skymap_url="https://example.org/" + "&" * 980,
        localisation=Ellipse(1.2345678901234567, 2.345678901234567, 3.0, 1.0, 4.0, 0.9),
        names=tuple(f"{n}{worst}"[:100] for n in range(100)),
        classification={f"{n}{worst}": 0.1 for n in range(100)},
        links={str(n): f"https://example.org/{n}" + "/&" * 485 for n in range(50)},
        params={f"{n}{worst}": worst for n in range(500)},
        citations=tuple(Citation(f"ivo://example.org/{n}#" + "&" * 185, "followup") for n in range(100)),
    )
    root = _root(notice)
    assert len(root.findall("What/Reference")) == 2
    assert len(_cited(root)) == 10
    assert 80_000 < len(convert_notice(notice, AUTHOR, OWN, software=worst)) < 100_000
    short = replace(notice, params={str(n): "x" for n in range(500)}, links={str(n): "http://a" for n in range(50)})
    root = _root(short)
    assert len(_params(root, "original")) == 100
    assert len(root.findall("What/Reference")) == 20


_WORD = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"]), max_size=40).map(str.strip)
_ID = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=1, max_size=40)
_US = st.integers(us_from_iso("1990-01-01T00:00:00Z"), us_from_iso("2099-01-01T00:00:00Z"))
_SIZE = st.floats(1e-9, 90)
_PLACES = {
    "ra_deg": st.floats(0, 360, exclude_max=True),
    "dec_deg": st.floats(-90, 90),
    "containment": st.floats(0.01, 0.99),
    "systematics": st.sampled_from(Systematics),
}
_ELLIPSES = st.builds(
    lambda sizes, **rest: Ellipse(semi_major_deg=max(sizes), semi_minor_deg=min(sizes), **rest),
    st.tuples(_SIZE, _SIZE),
    position_angle_deg=st.floats(0, 180),
    **_PLACES,
)
_FINITE = st.none() | st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def notices(draw: st.DrawFn, text: st.SearchStrategy[str] = _WORD) -> Notice:
    """A notice as it may have come as JSON."""
    role, kind = draw(st.sampled_from(Role)), draw(st.sampled_from(Kind))
    names = draw(st.lists(text, max_size=4, unique=True))
    place = draw(st.none() | st.builds(Cone, radius_deg=_SIZE, **_PLACES) | _ELLIPSES | st.just(InlineMap(FITS)))
    return Notice(
        message=Message(b"{}", "one.json", draw(text)),
        notice_type=draw(text),
        ivorn=content_ivorn(draw(text), draw(st.binary(max_size=3))),
        trigger_id=None if role in {Role.UTILITY, Role.PREDICTION} else f"einstein-probe:{draw(_ID)}",
        messenger=draw(st.sampled_from(Messenger)),
        mission=draw(text),
        instrument=draw(text),
        role=role,
        kind=kind,
        stage=draw(st.integers(0, 90)),
        serial=draw(st.integers(0, 2**31 - 1)),
        issued_us=draw(st.none() | _US),
        trigger_time_us=draw(_US if kind is Kind.INITIAL else st.none() | _US),
        trigger_time_error_s=draw(st.none() | st.floats(1e-9, 1e9)),
        localisation=None if kind is Kind.RETRACTION else place,
        skymap_url=draw(st.sampled_from([None, "https://example.org/map.fits", "http://a/b c"])),
        names=tuple(name for name in names if name),
        astrophysical=draw(st.sampled_from([None, True, False])),
        classification=draw(st.dictionaries(text, st.floats(0, 1), max_size=3)),
        significance=draw(_FINITE),
        significance_unit=draw(text),
        far_hz=draw(st.none() | st.floats(0, 1e9)),
        links=draw(st.dictionaries(text, text.map(lambda path: f"https://example.org/{path}"), max_size=3)),
        citations=tuple(Citation(ivorn, "followup") for ivorn in draw(st.lists(text, max_size=2))),
        related=tuple(draw(st.lists(st.sampled_from(["lvk:S230518h", "fermi-gbm:bn240812094"]), max_size=2))),
        params=draw(
            st.dictionaries(
                text | st.sampled_from(["Test", "Retraction", "NonGRB", "kind", "ra"]),
                text | st.sampled_from(["true", "1"]),
                max_size=4,
            )
        ),
    )


@given(notices(), st.none() | st.just("ivo://org.example.starcross/notices#a-1"))
def test_our_own_reader_finds_what_was_said(notice: Notice, previous: str | None) -> None:
    found, said = _said(_back(notice, previous)), _said(notice)
    if notice.trigger_time_us is None and said["place"] is None:
        said["time"] = (None, None)
    elif notice.trigger_time_us is None:
        said["time"] = (None, found["time"][1])
    assert found == said


@given(notices(st.text(st.characters(codec=None), max_size=15)))
def test_any_text_makes_a_valid_packet(notice: Notice) -> None:
    assert _back(notice).role is notice.role
    assert is_ivorn(conversion_ivorn(notice, AUTHOR))


def test_a_mock_is_a_test_to_others_and_a_mock_to_us() -> None:
    mock = replace(NOTICE, role=Role.MOCK)
    assert _root(mock).get("role") == "test"
    assert _back(mock).role is Role.MOCK


def _changed(old: bytes, new: bytes, notice: Notice = NOTICE) -> Notice:
    body = convert_notice(notice, AUTHOR)
    assert old in body
    return read_voevent(Message(body.replace(old, new), "changed.xml"))


def test_what_is_a_test_in_one_place_is_no_observation() -> None:
    assert _changed(b'role="observation"', b'role="test"').role is Role.TEST
    assert _changed(b'name="role" value="observation"', b'name="role" value="mock"').trigger_id != NOTICE.trigger_id


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"<C1>223.768</C1>", b"<C1>400</C1>"),
        (b"<C2>-11.374</C2>", b"<C2>-91</C2>"),
        (b"<C2>-11.374</C2>", b""),
        (b"<Error2Radius>0.05137775</Error2Radius>", b"<Error2Radius>-1</Error2Radius>"),
        (b"<Error2Radius>0.05137775</Error2Radius>", b"<Error2Radius>91</Error2Radius>"),
        (b'name="containment" value="0.9"', b'name="containment" value="1.0"'),
        (b'name="containment" value="0.9"', b'name="held" value="0.9"'),
    ],
)
def test_numbers_that_are_no_position_are_none(old: bytes, new: bytes) -> None:
    assert _changed(old, new).localisation is None


def test_odd_values_of_strangers_are_unknown() -> None:
    assert _changed(b'name="stage" value="10"', b'name="stage" value="-1e99"').stage == 0
    assert _changed(b'name="serial" value="2"', b'name="serial" value="1e300"').serial == 2**31 - 1
    assert _changed(b'name="messenger" value="x-ray"', b'name="messenger" value="?"').messenger is Messenger.UNKNOWN
    assert _changed(b'name="GRB" value="0.75"', b'name="GRB" value="7"').classification == {"TDE": 0.25}
    assert _changed(b'name="far_hz" value="1.5e-09"', b'name="far_hz" value="-1"').far_hz is None
    assert _changed(b"einstein-probe:01709260362", b"Einstein Probe 01709260362").trigger_id is None
    with pytest.raises(BadNotice) as caught:
        _changed(b"<ISOTime>2026", b"<ISOTime>x")
    assert caught.value.reason is Reason.BAD_TIME


@pytest.mark.parametrize(
    "said",
    [
        {"trigger_id": "lvk:S1"},
        {"trigger_id": "lvk:S1", "role": "observation", "kind": "initial"},
        {"trigger_id": "lvk:S1", "conversion": "x", "role": "observation", "kind": "odd"},
        {"trigger_id": "lvk:S1", "conversion": "x", "role": "odd", "kind": "initial"},
    ],
)
def test_other_packets_are_none_of_ours(said: dict[str, str]) -> None:
    assert read_voevent(Message(packet(groups={"notice": said}), "x.xml")).trigger_id is None


def test_every_real_notice_survives_its_conversion(data_dir: Any) -> None:
    folder = data_dir / "gcn-kafka"
    paths = [
        path
        for path in (*folder.glob("gcn-schema/notices/**/*.example.json"), *folder.glob("gcn-notice-parser*/**/*.json"))
        if path.parent.name != "core"
    ]
    found = [read_gcn_json(Message(path.read_bytes(), path.relative_to(data_dir).as_posix())) for path in paths]
    waves = [
        *(folder / "lvk-userguide").glob("*.json"),
        data_dir / "fink-mm/VODB/lvk/initial.txt",
        data_dir / "voevent/voevent2dict/igwn.gwalert.json",
    ]
    found += [read_lvk_json(Message(path.read_bytes(), path.name, "igwn.gwalert")) for path in waves]
    for path in (folder / "lvk-userguide").glob("*.avro"):
        found += read_lvk_avro(Message(path.read_bytes(), path.name))
    assert len(found) > 50
    previous: dict[str, str] = {}
    for notice in found:
        before = previous.get(notice.trigger_id or "")
        body = convert_notice(notice, AUTHOR, before)
        XSD.assertValid(etree.fromstring(body))
        assert len(body) < 100_000
        assert _said(_back(notice, before)) == _said(notice) | {"names": tuple(dict.fromkeys(notice.names))}
        previous[notice.trigger_id or ""] = conversion_ivorn(notice, AUTHOR)


@pytest.mark.skipif(
    importlib.util.find_spec("voeventparse") is None,
    reason="voevent-parse does not build on Python 3.12 and later",
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_voevent_parse_reads_it() -> None:
    import voeventparse  # noqa: PLC0415 - it is not there on every version of Python

    event = voeventparse.loads(convert_notice(NOTICE, AUTHOR, "ivo://org.example.starcross/notices#a-1"))
    voeventparse.assert_valid_as_v2_0(event)
    position = voeventparse.get_event_position(event)
    assert (position.ra, position.dec, position.err) == (223.768, -11.374, 0.05137775)
    time = voeventparse.get_event_time_as_utc(event)
    assert time.isoformat() == "2026-04-21T20:52:02.749000+00:00"


def test_a_notice_read_from_json_is_converted() -> None:
    notice = read("einstein_probe/wxt/alert", ra=10.5, dec=-20.25, ra_dec_error=0.05, id=["01709"])
    back = _back(notice)
    assert (back.trigger_id, back.trigger_time_us) == (notice.trigger_id, T0_US)
    assert back.params["ra"] == json.dumps(10.5)


def test_the_other_ids_of_gbms_triggers_are_known_again_and_no_false_ones() -> None:
    notice = read("fermi/gbm/trigger", id=["745121685", "bn240812094"], subtype="GROUND_POSITION")
    assert _back(notice).aliases == notice.aliases == ("fermi-gbm:bn240812094",)
    false = read("fermi/gbm/trigger", id=["745121685", "bn170817529"], subtype="GROUND_POSITION")
    assert _back(false).aliases == false.aliases == ()
    body = convert_notice(read("swift/bat/guano", follow_up_event="Fermi 694215970"), AUTHOR)
    assert read_voevent(Message(body, "")).related == ("fermi-gbm:694215970",)
    changed = body.replace(b"fermi-gbm:694215970", b"fermi-gbm 694215970")
    assert read_voevent(Message(changed, "")).related == ()
