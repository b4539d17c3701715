from importlib.resources import files

import pytest

from schemas.annotations import Annotation, Answer, Target
from schemas.times import us_from_iso
from tests.bridges.service_stand_ins import REPORTED, Reply, cross_matched, skybot, stand_in, tns

pytest.importorskip("astroquery")

from bridges.catalogue_options import SkybotOptions, TnsOptions, XMatchOptions
from bridges.catalogue_services import SkybotService, XMatchService
from bridges.service_session import ServiceFailed
from bridges.tns import TnsService
from schemas.errors import ConfigurationError

T = us_from_iso("2026-11-21T06:00:00")
QSO = Target("ztf", "a", 187.2779, 2.0525, T)
EMPTY = Target("ztf", "b", 10.0, 20.0, T)
GALAXY = Target("ztf", "c", 197.4487, -23.3835, T)


def xmatch(url, **more):
    return XMatchService("simbad", XMatchOptions.model_validate({"url": url, "timeout_s": 10} | more))


def test_simbad_is_asked_about_many_at_once():
    with stand_in(cross_matched) as server:
        found = xmatch(server.url).ask([QSO, EMPTY, GALAXY])
    assert found == [
        Annotation(
            "simbad", Answer.FOUND, "3C 273", 0.36, "QSO", redshift=0.158,
            values={"other_types": "QSO|AGN", "entries_within": "2"},
        ),
        Annotation("simbad", Answer.NONE),
        Annotation(
            "simbad", Answer.FOUND, "NGC 4993", 1.44, "Galaxy", redshift=0.0098, values={"other_types": "G|GiG"}
        ),
    ]  # fmt: skip
    (asked,) = server.asked
    assert (asked.form["cat2"], asked.form["distMaxArcsec"]) == ("simbad", "5.0")
    assert asked.headers["User-Agent"].startswith("starcross/")


def test_a_table_of_vizier_has_columns_of_its_own():
    with stand_in(cross_matched) as server:
        service = xmatch(server.url, catalogue="vizier:VII/118/ngc2000", columns={"name": "main_id", "values": ["ra"]})
        (found,) = service.ask([GALAXY])
        assert (found.name, found.kind, found.values) == ("NGC 4993", "", {"ra": "197.4487"})
        assert server.asked[0].form["cat2"] == "vizier:VII/118/ngc2000"
        with pytest.raises(ServiceFailed, match="there is no column type; there are angDist, dec"):
            xmatch(server.url, columns={"kind": "type"}).ask([GALAXY])


def test_a_table_of_vizier_needs_columns():
    with pytest.raises(ValueError, match="say which `columns`"):
        XMatchOptions(catalogue="vizier:VII/118/ngc2000")


@pytest.mark.parametrize(
    "change",
    [
        (b"<TD>0</TD>", b"<TD>7</TD>"),  # a target that was not asked
        (b"<TD>0</TD>", b"<TD>-1</TD>"),
        (b"<TD>0.36</TD>", b"<TD>99</TD>"),  # farther than was asked
        (b"<TD>0.36</TD>", b"<TD>-1</TD>"),
        (b"<TD>0.36</TD>", b"<TD></TD>"),
        (b'name="angDist"', b'name="distance"'),
    ],
)
def test_rows_that_make_no_sense_are_passed_over(change):
    def speak(question):
        body = cross_matched(question).body
        assert change[0] in body
        return Reply(body.replace(*change))

    with stand_in(speak) as server:
        (found,) = xmatch(server.url, radius_arcsec=1).ask([QSO])
    assert found == Annotation("simbad", Answer.NONE)


STATUS = b'<INFO ID="QUERY_STATUS" name="QUERY_STATUS" value="ERROR">no</INFO>'
ERROR = b'<VOTABLE version="1.3"><RESOURCE>' + STATUS + b"</RESOURCE></VOTABLE>"


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply(b"sorry"), "the answer cannot be read"),
        (Reply(b""), "the answer cannot be read"),
        (Reply(b'<VOTABLE version="1.3"></VOTABLE>'), "the answer cannot be read"),
        (Reply(ERROR), "the service tells an error: no"),
        (Reply(b"<!DOCTYPE x><VOTABLE/>"), "document type"),
        (Reply(b"banned", 403), "127.0.0.1: answers 403: banned"),
    ],
)
def test_what_is_no_answer_is_named(reply, told):
    with stand_in(lambda _: reply) as server, pytest.raises(ServiceFailed, match=told):
        xmatch(server.url).ask([QSO])


def test_services_are_tried():
    with stand_in(cross_matched) as server:
        assert xmatch(server.url).check() == "simbad answers"
    with stand_in(lambda _: skybot()) as server:
        assert SkybotService("skybot", SkybotOptions(url=server.url)).check() == "SkyBoT answers"


@pytest.mark.parametrize(("survey", "code"), [("ztf", "I41"), ("lsst", "X05"), ("another", "500")])
def test_what_moves_is_asked_for_at_its_instant_and_place(survey, code):
    with stand_in(lambda _: skybot(("far", 9.0), ("2026 AB", 1.5))) as server:
        service = SkybotService("moving", SkybotOptions(url=server.url, timeout_s=10))
        (found,) = service.ask([Target(survey, "a", 10.0, 5.0, T)])
    assert found == Annotation(
        "moving", Answer.FOUND, "2026 AB", 1.5, "MB>Inner",
        values={"magV": "19.5", "position_error_arcsec": "0.25", "entries_within": "2"},
    )  # fmt: skip
    form = server.asked[0].form
    assert form["-loc"] == code
    assert float(form["-ep"]) == pytest.approx(2461365.75)
    assert (float(form["-ra"]), float(form["-dec"])) == (10.0, 5.0)
    assert float(form["-rd"]) == pytest.approx(15 / 3600)


@pytest.mark.parametrize(
    "reply", [skybot(), Reply(b"# No solar system object was found in the field"), skybot(("x", 99))]
)
def test_nothing_moves_there(reply):
    with stand_in(lambda _: reply) as server:
        found = SkybotService("moving", SkybotOptions(url=server.url)).ask([EMPTY, QSO])
    assert found == [Annotation("moving", Answer.NONE)] * 2


def test_what_skybot_really_answered_is_read():
    data = files("astroquery") / "imcce" / "tests" / "data" / "skybot_query.vot"
    if not data.is_file():
        pytest.skip("astroquery was installed without its tests")
    with stand_in(lambda _: Reply(data.read_bytes())) as server:
        service = SkybotService("moving", SkybotOptions(url=server.url, radius_arcsec=720))
        (found,) = service.ask([Target("", "a", 81.2833, 4.49278, T)])
    assert (found.answer, found.name, found.kind) == (Answer.FOUND, "G!kun||'homdima", "KBO>Detached")
    assert 0 < found.separation_arcsec < 720
    assert found.values["entries_within"] == "4"


@pytest.fixture
def key(tmp_path):
    (tmp_path / "key").write_text("the key\n")
    return tmp_path


def tns_service(url, folder):
    options = {"url": url, "api_key": {"file": "key"}, "bot_id": 7, "bot_name": "star", "timeout_s": 10}
    return TnsService("tns", TnsOptions.model_validate(options), folder)


@pytest.mark.parametrize("wrapped", [True, False])
def test_what_was_reported(wrapped, key):
    with stand_in(lambda question: tns(question, wrapped=wrapped)) as server:
        service = tns_service(server.url + "/", key)
        assert service.check() == "TNS answers, and takes the key"
        kilonova, two, none = service.ask([
            Target("ztf", "a", 197.4503, -23.3814, T), Target("ztf", "b", 10.0, 20.0004, T), QSO
        ])  # fmt: skip
    assert kilonova == Annotation(
        "tns", Answer.FOUND, "AT 2017gfo", 0.359, "Kilonova", redshift=0.0098,
        values={"discoverydate": "2017-08-17 23:33:00", "hostname": "NGC 4993"},
    )  # fmt: skip
    assert (two.name, two.kind, two.values) == ("AT 2020ab", "", {"entries_within": "2"})
    assert none == Annotation("tns", Answer.NONE)
    assert server.asked[0].headers["User-Agent"] == 'tns_marker{"tns_id": 7, "type": "bot", "name": "star"}'


def test_the_key_is_needed_and_never_told(key):
    with stand_in(tns) as server:
        service = tns_service(server.url, key)
        (key / "key").write_text("wrong")
        with pytest.raises(ServiceFailed, match="answers 401") as caught:
            tns_service(server.url, key).ask([QSO])
        assert "wrong" not in str(caught.value)
        assert "the key" not in repr(service) + repr(service._options)
    (key / "key").unlink()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        tns_service(server.url, key)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"[]", "TNS: begins with"),
        (b"{", "TNS: not valid JSON"),
        (b'{"id_code": 500, "id_message": "later"}', "TNS: later"),
        (b'{"data": ' + b"[" * 99, "TNS: "),
    ],
)
def test_what_is_no_answer_of_tns_is_named(body, told, key):
    with stand_in(lambda _: Reply(body)) as server, pytest.raises(ServiceFailed, match=told):
        tns_service(server.url, key).ask([QSO])


@pytest.mark.parametrize(
    "details",
    [{"objname": "x"}, {"radeg": "a", "decdeg": 1}, {"radeg": [], "decdeg": 1}, {"radeg": 0, "decdeg": 0}, 7, None],
)
def test_reports_without_a_place_there_are_passed_over(details, key, monkeypatch):
    monkeypatch.setitem(REPORTED, "2020aa", details if isinstance(details, dict) else {"objname": "2020aa"})

    def speak(question):
        if question.path.endswith("/search"):
            return Reply(b'{"id_code": 200, "data": {"reply": [{"objname": "2020aa"}, {"objname": 3}, "no"]}}')
        return tns(question) if isinstance(details, dict) else Reply(b'{"data": [7, null]}')

    with stand_in(speak) as server:
        assert tns_service(server.url, key).ask([EMPTY]) == [Annotation("tns", Answer.NONE)]
