import importlib.util
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

from schemas.annotations import Annotation, Answer
from schemas.coincidence_documents import (
    AnnotationDocument,
    CoincidenceDocument,
    EvidenceDocument,
    LinkDocument,
    MeasurementDocument,
    ObjectDocument,
    RateDocument,
    StatisticsDocument,
    TriggerDocument,
)
from schemas.errors import ConfigurationError
from schemas.localisation import Cone
from schemas.records import Coincidence, Measurement, Message, Provenance, Role, State
from schemas.times import us_from_iso
from schemas.voevent_notice import read_voevent
from schemas.voevent_out import MAX_PACKET_BYTES, NAMESPACE, VoeventAuthor, is_ivorn, ivorn_of, voevent_bytes
from schemas.voevent_what import UCDS
from tests.coincidences import COINCIDENCE, as_of_version, changed, coincidences

AUTHOR = VoeventAuthor("org.example.starcross", "nights/coincidences", "Example", "A. Person", "person@example.org")
WITHDRAWN = replace(COINCIDENCE, revision=3, state=State.WITHDRAWN, reason="retracted")
XSD = etree.XMLSchema(etree.parse(str(resources.files("comet") / "schema" / "VOEvent-v2.0.xsd")))
"""IVOA's schema, as Comet brings it."""
UNPRINTABLE = st.text(st.characters(codec=None), max_size=15)


def _root(coincidence: Coincidence, author: VoeventAuthor = AUTHOR) -> etree._Element:
    return etree.fromstring(voevent_bytes(coincidence, author))


def _text(root: etree._Element, path: str) -> str | None:
    (found,) = root.findall(path)
    return found.text


def _params(root: etree._Element, path: str) -> dict[str, tuple[str | None, str | None, str | None]]:
    return {
        str(p.get("name")): (p.get("value"), p.get("unit"), p.get("dataType")) for p in root.findall(f"{path}/Param")
    }


def _cited(root: etree._Element) -> list[tuple[str | None, str | None]]:
    return [(element.text, element.get("cite")) for element in root.findall("Citations/EventIVORN")]


def test_head_and_author() -> None:
    root = _root(COINCIDENCE)
    assert root.tag == f"{{{NAMESPACE}}}VOEvent"
    assert (root.get("version"), root.get("role")) == ("2.0", "observation")
    assert root.get("ivorn") == "ivo://org.example.starcross/nights/coincidences#grb-5b0f7c2a9d1e4f36.r2"
    assert _text(root, "Who/AuthorIVORN") == "ivo://org.example.starcross"
    assert _text(root, "Who/Date") == "2020-01-09T03:10:59.999999Z"
    assert [(e.tag, e.text) for e in root.findall("Who/Author/*")] == [
        ("title", "Example"),
        ("contactName", "A. Person"),
        ("contactEmail", "person@example.org"),
    ]
    assert [e.tag for e in _root(COINCIDENCE, VoeventAuthor()).findall("Who/Author/*")] == ["title"]
    assert _root(COINCIDENCE, VoeventAuthor(title="")).find("Who/Author") is None


def test_a_test_trigger_makes_a_test_packet() -> None:
    assert _root(changed(trigger={"test": True})).get("role") == "test"


def test_where_and_when_is_the_first_matching_detection() -> None:
    root = _root(COINCIDENCE)
    place = "WhereWhen/ObsDataLocation"
    (observatory,) = root.findall(f"{place}/ObservatoryLocation")
    assert "Palomar" in str(observatory.get("id"))
    coords = f"{place}/ObservationLocation/AstroCoords"
    assert root.find(coords).get("coord_system_id") == "UTC-ICRS-TOPO"  # type: ignore[union-attr]
    assert _text(root, f"{coords}/Time/TimeInstant/ISOTime") == "2020-01-08T03:22:10.500000"
    assert _text(root, f"{coords}/Position2D/Value2/C1") == "37.6801234"
    assert _text(root, f"{coords}/Position2D/Value2/C2") == "-8.4412345"
    assert float(str(_text(root, f"{coords}/Position2D/Error2Radius"))) == pytest.approx(1 / 3600, rel=1e-4)
    known = _params(root, "What/Group[@name='object']")
    assert known["position_error_radius"] == ("1.0", "arcsec", "float")
    assert known["position_error_containment"] == ("0.99", None, "float")
    assert known["position_error_kind"] == ("statistical and systematic", None, "string")


def test_an_unknown_survey_is_somewhere_on_the_ground() -> None:
    root = _root(changed(object={"survey": "elasticc"}))
    (observatory,) = root.findall("WhereWhen/ObsDataLocation/ObservatoryLocation")
    assert observatory.get("id") == "GEOSURFACE"


def test_what_has_trigger_object_statistics_and_provenance() -> None:
    root = _root(COINCIDENCE)
    assert [(g.get("name"), g.get("type")) for g in root.findall("What/Group")] == [
        *((name, name) for name in ("trigger", "object", "statistics", "evidence", "provenance", "classification")),
        ("linked:lvk:S200107x", "linked"),
        ("rate:g", "rate"),
        ("rate:r", "rate"),
        ("annotation:gaia", "annotation"),
        ("annotation:galaxies", "annotation"),
        ("annotation:skybot", "annotation"),
        ("links", "links"),
    ]
    assert _params(root, "What")["state"] == ("updated", None, "string")
    assert _params(root, "What")["revision"] == ("2", None, "int")
    trigger = _params(root, "What/Group[@name='trigger']")
    assert trigger["id"] == ("fermi-gbm:600117987", None, "string")
    assert trigger["names"] == ("bn200107045, GRB 200107A", None, "string")
    assert trigger["far_hz"] == ("1.5e-09", "Hz", "float")
    assert trigger["test"] == ("false", None, "string")
    assert _params(root, "What/Group[@name='links']")["lightcurve"][0] == COINCIDENCE.trigger.links["lightcurve"]
    source = _params(root, "What/Group[@name='object']")
    assert source["alert_ids"] == ("1102244560015015009, 1103244560015015011", None, "string")
    assert source["mag"] == ("19.125", "mag", "float")
    assert _params(root, "What/Group[@name='statistics']") == {
        "delta_t_s": ("94648.25", "s", "float"),
        "separation_deg": ("2.75", "deg", "float"),
        "credible_level": ("0.3125", None, "float"),
        "probability_density_per_sr": ("12.5", "sr-1", "float"),
        "overlap": ("157.07963267948966", None, "float"),
        "area_90_deg2": ("201.5", "deg2", "float"),
        "background_per_deg2_night": ("0.03125", "deg-2", "float"),
        "background_model": ("412 objects in 96 nights, galactic latitude 30 to 45 deg", None, "string"),
        "observed_fraction": ("0.75", None, "float"),
        "expected_chance": ("6.25", None, "float"),
        "chance_probability": ("0.109375", None, "float"),
        "far_per_year": ("25.5", "yr-1", "float"),
        "weight": ("8.5", None, "float"),
        "posterior": ("0.625", None, "float"),
        "posterior_none": ("0.25", None, "float"),
        "rank": ("1", None, "int"),
        "host_distance_mpc": ("20.5", "Mpc", "float"),
        "credible_level_3d": ("0.4375", None, "float"),
        "posterior_afterglow": ("0.5", None, "float"),
        "posterior_kilonova": ("0.09375", None, "float"),
        "posterior_supernova": ("0.03125", None, "float"),
    }
    assert _params(root, "What/Group[@name='evidence']") == {
        "decay_index": ("1.25", None, "float"),
        "decay_index_err": ("0.375", None, "float"),
        "colour_mag": ("0.375", "mag", "float"),
        "colour_err_mag": ("0.140625", "mag", "float"),
        "colour_bands": ("g-r", None, "string"),
        "onset_after_s": ("-78282.25", "s", "float"),
        "onset_before_s": ("94648.25", "s", "float"),
        "log_likelihood_ratio_afterglow": ("2.5", None, "float"),
        "log_likelihood_ratio_kilonova": ("0.5", None, "float"),
        "log_likelihood_ratio_supernova": ("-1.0", None, "float"),
    }
    assert _params(root, "What/Group[@name='provenance']")["input_count"] == ("2", None, "int")


def test_details_have_a_group_each() -> None:
    root = _root(COINCIDENCE)
    assert _params(root, "What")["changed"] == ("level, light_curve", None, "string")
    assert _params(root, "What/Group[@name='classification']")["GRB"] == ("0.875", None, "float")
    linked = _params(root, "What/Group[@type='linked']")
    assert linked["id"] == ("lvk:S200107x", None, "string")
    assert linked["names"] == ("MS200107x", None, "string")
    assert linked["far_per_year"] == ("0.0625", "yr-1", "float")
    assert _params(root, "What/Group[@name='rate:g']") == {
        "band": ("g", None, "string"),
        "mag_per_d": ("0.5", "mag.d-1", "float"),
        "mag_per_d_err": ("0.125", "mag.d-1", "float"),
        "points": ("3", None, "int"),
        "span_d": ("1.5", "d", "float"),
    }
    assert _params(root, "What/Group[@name='annotation:gaia']") == {
        "catalogue": ("gaia", None, "string"),
        "answer": ("found", None, "string"),
        "name": ("2459", None, "string"),
        "separation_arcsec": ("7.5", "arcsec", "float"),
        "parallax": ("0.01", None, "string"),
    }
    assert _params(root, "What/Group[@name='annotation:skybot']")["answer"] == ("none", None, "string")
    assert root.find("What/Description") is None


def test_what_found_something_comes_before_what_did_not() -> None:
    annotations = COINCIDENCE.object.annotations[::-1]
    groups = _root(changed(object={"annotations": annotations})).findall("What/Group[@type='annotation']")
    assert [group.get("name") for group in groups] == [
        "annotation:galaxies",
        "annotation:gaia",
        "annotation:skybot",
    ]


def test_there_are_no_groups_of_nothing() -> None:
    root = _root(replace(as_of_version("1.1", COINCIDENCE), state=State.PROPOSED))
    names = [group.get("name") for group in root.findall("What/Group")]
    assert names == ["trigger", "object", "statistics", "provenance", "links"]
    assert "posterior" not in _params(root, "What/Group[@name='statistics']")


HOSTILE = '"&' * 5000
HOSTILE_MANY = changed(
    trigger={
        "names": (HOSTILE,) * 1000,
        "mission": HOSTILE,
        "instrument": HOSTILE,
        "messenger": HOSTILE,
        "notice_origin": HOSTILE,
        "localisation_model": HOSTILE,
        "significance_unit": HOSTILE,
        "links": {f"{number}": HOSTILE for number in range(100)},
        "classification": {f"class {number}": 0.01 for number in range(500)},
        "linked": (replace(COINCIDENCE.trigger.linked[0], mission=HOSTILE, names=(HOSTILE,) * 100),) * 100,
    },
    object={
        "survey": HOSTILE,
        "band": HOSTILE,
        "alert_ids": tuple(range(2**62, 2**62 + 20_000)),
        "light_curve": tuple(
            Measurement(number, COINCIDENCE.changed_us, HOSTILE, 19.5, 0.25) for number in range(5000)
        ),
        "annotations": tuple(
            Annotation(f"{number}", Answer.FOUND, HOSTILE, values={"column": HOSTILE}) for number in range(5000)
        ),
    },
    reason=HOSTILE,
    matcher=HOSTILE,
    changed=(HOSTILE,) * 100,
    provenance=Provenance(HOSTILE, HOSTILE, (HOSTILE,) * 100),
)
MANY_ANNOTATIONS = changed(
    object={"annotations": tuple(replace(COINCIDENCE.object.annotations[1], catalogue=f"{n}") for n in range(10_000))}
)


@pytest.mark.parametrize("coincidence", [HOSTILE_MANY, MANY_ANNOTATIONS])
def test_a_packet_is_never_too_long_for_a_broker(coincidence: Coincidence) -> None:
    body = voevent_bytes(coincidence, AUTHOR)
    assert len(body) <= MAX_PACKET_BYTES
    root = etree.fromstring(body)
    XSD.assertValid(root)
    assert _text(root, "What/Description") == "There are more details than a packet can carry; the JSON form has all."


def test_what_does_not_fit_is_left_out_from_the_end() -> None:
    body = voevent_bytes(MANY_ANNOTATIONS, AUTHOR)
    assert len(body) > MAX_PACKET_BYTES - 10_000
    groups = etree.fromstring(body).findall("What/Group[@type='annotation']")
    assert [group.get("name") for group in groups] == [f"annotation:{n}" for n in range(len(groups))]
    assert len(groups) > 20


def test_only_the_latest_numbers_of_alerts_are_named() -> None:
    root = _root(changed(object={"alert_ids": tuple(range(150))}))
    (param,) = root.findall("What/Group[@name='object']/Param[@name='alert_ids']")
    assert str(param.get("value")).split(", ") == [str(number) for number in range(50, 150)]
    assert str(param.findtext("Description")).endswith("The latest 100 of 150.")


def test_every_field_has_a_ucd() -> None:
    documents = (CoincidenceDocument, TriggerDocument, ObjectDocument, LinkDocument, AnnotationDocument, RateDocument)
    inner = {"trigger", "object", "provenance", "evidence", "statistics", "light_curve", "annotations", "linked"}
    maps = {"links", "classification", "values"}
    for document in (*documents, EvidenceDocument, StatisticsDocument, MeasurementDocument):
        assert set(document.model_fields) - inner - maps - {"rates"} <= UCDS.keys()


def test_every_param_is_explained_with_a_ucd_and_a_unit_that_exist() -> None:
    params = _root(COINCIDENCE).findall("What//Param")
    assert len(params) > 40
    for param in params:
        parse_ucd(param.get("ucd"), check_controlled_vocabulary=True)
        assert param.findtext("Description")
        if param.get("unit"):
            units.Unit(param.get("unit"), format="cds")


def test_the_latest_points_of_the_light_curve_are_a_table() -> None:
    points = tuple(
        Measurement(number, us_from_iso("2020-01-08T00:00:00Z") + number, "g", None if number == 11 else 19.5, 0.25)
        for number in range(12)
    )
    (table,) = _root(changed(object={"light_curve": points})).findall("What/Table")
    assert table.findtext("Description") == "The latest 10 of the object's 12 stored alerts inside the window."
    fields = [(field.get("name"), field.get("unit"), field.get("dataType")) for field in table.findall("Field")]
    assert fields == [
        ("alert_id", None, "string"),
        ("time_utc", None, "string"),
        ("band", None, "string"),
        ("mag", "mag", "float"),
        ("mag_err", "mag", "float"),
    ]
    for field in table.findall("Field"):
        parse_ucd(field.get("ucd"), check_controlled_vocabulary=True)
        assert field.findtext("Description")
    rows = [[cell.text for cell in row] for row in table.findall("Data/TR")]
    assert len(rows) == 10
    assert rows[0] == ["2", "2020-01-08T00:00:00.000002Z", "g", "19.5", "0.25"]
    assert rows[-1] == ["11", "2020-01-08T00:00:00.000011Z", "g", None, "0.25"]
    assert _root(changed(object={"light_curve": ()})).find("What/Table") is None


def test_unknown_values_have_no_param() -> None:
    root = _root(
        changed(trigger={"far_hz": None, "links": {}, "names": ()}, object={"mag": float("nan"), "mag_err": None})
    )
    assert not {"far_hz", "names"} & set(_params(root, "What/Group[@name='trigger']"))
    assert not {"mag", "mag_err"} & set(_params(root, "What/Group[@name='object']"))
    assert root.find("What/Group[@name='links']") is None


def test_why_says_how_probable_and_that_it_is_an_association() -> None:
    (inference,) = _root(COINCIDENCE).findall("Why/Inference")
    assert (inference.get("probability"), inference.get("relation")) == ("0.625", "associated")
    assert "posterior" in str(inference.findtext("Description"))
    assert [name.text for name in inference.findall("Name")] == [
        "fermi-gbm:600117987",
        "bn200107045",
        "GRB 200107A",
        "lvk:S200107x",
        "MS200107x",
    ]
    (inference,) = _root(changed(statistics=None)).findall("Why/Inference")
    assert inference.get("probability") == "0.6875"
    assert "1 - credible level" in str(inference.findtext("Description"))
    (inference,) = _root(WITHDRAWN).findall("Why/Inference")
    assert (inference.get("probability"), inference.get("relation")) == ("0", "associated")
    assert inference.findtext("Description") == "The association is withdrawn: retracted."


def test_the_description_says_what_changed_and_what_is_linked() -> None:
    assert _text(_root(COINCIDENCE), "Description") == (
        "ztf object ZTF20aaeqmed, first matching detection 1.095 d after fermi-gbm:600117987 (Fermi GBM), linked with "
        "lvk:S200107x (LVK H1 L1), at credible level 0.312 of its position: updated (new_alerts; changed: level, "
        "light_curve), revision 2."
    )
    alone = _text(
        _root(replace(COINCIDENCE, changed=(), trigger=replace(COINCIDENCE.trigger, linked=()))), "Description"
    )
    assert alone == (
        "ztf object ZTF20aaeqmed, first matching detection 1.095 d after fermi-gbm:600117987 (Fermi GBM), at credible "
        "level 0.312 of its position: updated (new_alerts), revision 2."
    )


def test_citations_follow_up_then_supersede_then_retract() -> None:
    followups = [
        (COINCIDENCE.trigger.notice_ivorn, "followup"),
        ("ivo://org.example.starcross/alerts/ztf#1102244560015015009", "followup"),
    ]
    own = "ivo://org.example.starcross/nights/coincidences#grb-5b0f7c2a9d1e4f36"
    assert _cited(_root(replace(COINCIDENCE, revision=1, state=State.PROPOSED))) == followups
    assert _cited(_root(COINCIDENCE)) == [*followups, (f"{own}.r1", "supersedes")]
    assert _cited(_root(WITHDRAWN)) == [*followups, (f"{own}.r2", "retraction")]


@pytest.mark.parametrize("ivorn", ["", "gcn.notices.einstein_probe.wxt.alert[0]@12", "ivo://a b/c#d", "http://x/y#z"])
def test_what_is_no_ivorn_is_not_cited(ivorn: str) -> None:
    made = changed(trigger={"notice_ivorn": ivorn}, object={"alert_ids": ()}, revision=1)
    assert _root(made).find("Citations") is None


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("ivo://nasa.gsfc.gcn/SWIFT#BAT_GRB_Pos_948219-461", True),
        ("ivo://gwnet/LVC#S200115j-2-Initial", True),
        ("IVO://gwnet/LVC?local", True),
        ("ivo://gcn.nasa.gov/gcn.notices.icecube.gold_bronze_track_alerts#0011223344556677", True),
        ("ivo://abc", True),
        ("ivo://ab/c", False),
        ("ivo://abc/d#e#f", False),
        ("ivo://abc/d e", False),
        ("ivo://abc/%zz", False),
        ("ivo://abc/d\n", False),
        ("ivo:///c", False),
        ("xivo://abc/d", False),
    ],
)
def test_ivorns_are_recognised(text: str, valid: bool) -> None:
    assert is_ivorn(text) is valid


def test_ids_that_do_not_fit_an_ivorn_are_escaped() -> None:
    ivorn = ivorn_of(replace(COINCIDENCE, id="grb:a/b #\u00e9"), AUTHOR)
    assert ivorn == "ivo://org.example.starcross/nights/coincidences#grb%3Aa%2Fb%20%23%C3%A9.r2"
    assert is_ivorn(ivorn)


@pytest.mark.parametrize("authority", ["", "ab", "a b c", "x/y/z", "-abc"])
def test_an_authority_that_is_none_is_refused(authority: str) -> None:
    with pytest.raises(ConfigurationError, match="authority"):
        VoeventAuthor(authority=authority)


@pytest.mark.parametrize("stream", ["", "/a", "a/", "a//b", "a#b", "a b"])
def test_a_stream_that_is_none_is_refused(stream: str) -> None:
    with pytest.raises(ConfigurationError, match="stream"):
        VoeventAuthor(stream=stream)


def test_a_withdrawal_repeats_what_did_not_change() -> None:
    before, after = _root(COINCIDENCE), _root(WITHDRAWN)
    for group in ("trigger", "links", "object", "statistics", "provenance"):
        path = f"What/Group[@name='{group}']"
        assert _params(after, path) == _params(before, path)
    (old,), (new,) = before.findall("WhereWhen"), after.findall("WhereWhen")
    assert etree.tostring(old) == etree.tostring(new)


def test_the_same_coincidence_makes_the_same_bytes() -> None:
    assert voevent_bytes(COINCIDENCE, AUTHOR) == voevent_bytes(replace(COINCIDENCE), AUTHOR)


def test_our_own_reader_understands_a_packet() -> None:
    notice = read_voevent(Message(voevent_bytes(COINCIDENCE, AUTHOR), "own.xml"))
    assert notice.ivorn == ivorn_of(COINCIDENCE, AUTHOR)
    assert notice.role is Role.OBSERVATION
    assert notice.issued_us == COINCIDENCE.changed_us
    assert isinstance(notice.localisation, Cone)
    assert (notice.localisation.ra_deg, notice.localisation.dec_deg) == (37.6801234, -8.4412345)
    assert [citation.relation for citation in notice.citations] == ["followup", "followup", "supersedes"]


@given(coincidences(UNPRINTABLE) | st.sampled_from([COINCIDENCE, WITHDRAWN]))
def test_packets_follow_ivoas_schema(coincidence: Any) -> None:
    XSD.assertValid(_root(coincidence))


@given(coincidences(UNPRINTABLE))
def test_any_text_makes_well_formed_xml_with_its_printable_part(coincidence: Any) -> None:
    root = _root(coincidence)
    assert is_ivorn(str(root.get("ivorn")))
    for cited, _ in _cited(root):
        assert is_ivorn(str(cited))
    printable = re.sub("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", coincidence.reason)
    surrogate = re.sub("[\ud800-\udfff]", "\ufffd", printable)
    assert _params(root, "What").get("reason", ("",))[0] in {printable, surrogate}


@pytest.mark.skipif(
    importlib.util.find_spec("voeventparse") is None,
    reason="voevent-parse, which brings IVOA's schema, does not build on Python 3.12 and later",
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
class TestWithVoeventParse:
    """A second reader, with IVOA's own schema."""

    @given(coincidences(UNPRINTABLE) | st.sampled_from([COINCIDENCE, WITHDRAWN]))
    def test_packets_follow_the_schema(self, coincidence: Any) -> None:
        import voeventparse  # noqa: PLC0415 - it is not there on every version of Python

        packet = voeventparse.loads(voevent_bytes(coincidence, AUTHOR))
        voeventparse.assert_valid_as_v2_0(packet)

    def test_it_reads_what_was_written(self) -> None:
        import voeventparse  # noqa: PLC0415

        packet = voeventparse.loads(voevent_bytes(COINCIDENCE, AUTHOR))
        position = voeventparse.get_event_position(packet)
        assert (position.ra, position.dec, position.units) == (37.6801234, -8.4412345, "deg")
        assert position.err == pytest.approx(1 / 3600, rel=1e-4)
        time = voeventparse.get_event_time_as_utc(packet)
        assert time.isoformat() == "2020-01-08T03:22:10.500000+00:00"
        params = voeventparse.get_grouped_params(packet)
        assert params["trigger"]["id"]["value"] == "fermi-gbm:600117987"
        assert params["statistics"]["overlap"]["ucd"] == "stat.likelihood"
        assert packet.attrib["ivorn"] == ivorn_of(COINCIDENCE, AUTHOR)
