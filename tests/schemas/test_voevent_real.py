"""Packets that observatories really sent, from the folder of real data."""

import collections
import re
import sys
import tarfile
import warnings
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

import pytest

from schemas.errors import BadNotice, Reason
from schemas.localisation import Cone, Systematics
from schemas.records import Kind, Message, Messenger, Notice, Role
from schemas.times import US_PER_S, us_from_datetime, us_from_iso
from schemas.voevent import LIGHT_TRAVEL_S
from schemas.voevent_notice import read_voevent


@pytest.fixture(scope="module")
def voevent_dir(data_dir: Path) -> Path:
    return data_dir / "voevent"


def read_file(path: Path) -> Notice:
    return read_voevent(Message(path.read_bytes(), path.name))


def read_folder(folder: Path) -> list[Notice]:
    notices = [read_file(path) for path in sorted(folder.glob("*.xml"))]
    assert notices
    return notices


@pytest.fixture(scope="module")
def oddities(voevent_dir: Path) -> dict[str, list[Notice]]:
    return {d.name: read_folder(d) for d in sorted((voevent_dir / "oddities").iterdir()) if d.is_dir()}


class TestOddities:
    """One named expectation for each kind of oddity."""

    def test_every_folder_has_its_expectation(self, oddities):
        expected = {
            name.removeprefix("test_").removesuffix("_folder")
            for name in dir(self)
            if name.startswith("test_") and name.endswith("_folder")
        }
        assert {re.sub(r"role_.*", "roles", name) for name in oddities} == expected

    def test_cites_retraction_folder(self, oddities):
        for notice in oddities["cites_retraction"]:
            assert (notice.kind, notice.role) == (Kind.RETRACTION, Role.OBSERVATION)
            assert notice.trigger_id == f"lvk:{notice.params['GraceID']}"
            assert all(citation.relation == "retraction" for citation in notice.citations)

    def test_coordsys_tdb_bary_folder(self, oddities):
        for notice in oddities["coordsys_tdb_bary"]:
            text = re.search(rb"<ISOTime>([^<]+)", notice.message.body)
            assert text
            assert us_from_iso(text[1].decode()) - notice.trigger_time_us == pytest.approx(69.184 * US_PER_S, abs=2000)
            assert notice.trigger_time_error_s == LIGHT_TRAVEL_S
            assert notice.trigger_id == f"gaia:{notice.names[0]}"

    def test_coordsys_topo_folder(self, oddities):
        for notice in oddities["coordsys_topo"]:
            assert notice.trigger_id.startswith("crts:")
            assert notice.messenger is Messenger.OPTICAL
            assert isinstance(notice.localisation, Cone)

    def test_duplicate_ivorn_folder(self, oddities):
        notices = oddities["duplicate_ivorn"]
        counted = collections.Counter(notice.ivorn for notice in notices)
        assert max(counted.values()) > 1
        assert {notice.role for notice in notices} == {Role.TEST}

    def test_err_negative_folder(self, oddities):
        for notice in oddities["err_negative"]:
            assert notice.localisation is None
            assert any("error radius" in w for w in notice.warnings)
            assert notice.astrophysical is False

    def test_err_over_90_folder(self, oddities):
        for notice in oddities["err_over_90"]:
            assert notice.localisation is None
            assert any("error radius" in w for w in notice.warnings)
            assert notice.trigger_id
            assert notice.trigger_time_us

    def test_isotime_after_date_folder(self, oddities):
        for notice in oddities["isotime_after_date"]:
            about = notice.notice_type != "INTEGRAL_POINTDIR"
            assert any("later than the notice" in w for w in notice.warnings) == about
            assert notice.role is Role.TEST

    def test_late_notice_folder(self, oddities):
        for notice in oddities["late_notice"]:
            assert notice.issued_us - notice.trigger_time_us > 4 * 86400 * US_PER_S

    def test_lvc_test_folder(self, oddities):
        notices = oddities["lvc_test"]
        assert {notice.role for notice in notices} == {Role.MOCK}
        assert {notice.trigger_id for notice in notices} == {"lvk:MS190401a", "lvk:MS190401b"}

    def test_pos_0_0_folder(self, oddities):
        for notice in oddities["pos_0_0"]:
            assert notice.localisation is None
            assert any("no position" in w for w in notice.warnings)

    def test_pos_sentinel_folder(self, oddities):
        for notice in oddities["pos_sentinel"]:
            assert notice.localisation is None
            assert "no position" in notice.warnings[-1] or "no position" in notice.warnings[0]

    def test_ra_360_folder(self, oddities):
        for notice in oddities["ra_360"]:
            assert notice.localisation is notice.trigger_id is None

    def test_roles_folder(self, oddities):
        notices = [n for name, found in oddities.items() if name.startswith("role_") for n in found]
        assert len(notices) > 15
        for notice in notices:
            sent = re.search(rb'role="(\w+)"', notice.message.body)
            assert sent
            assert notice.role == Role(sent[1].decode())
            if not notice.notice_type.startswith("UTMOST"):
                assert notice.trigger_id is None

    def test_schema_v1_1_folder(self, oddities):
        (notice,) = oddities["schema_v1_1"]
        assert notice.notice_type == "INTEGRAL_POINTDIR"
        assert notice.role is Role.UTILITY

    def test_time_invalid_day00_folder(self, oddities):
        for notice in oddities["time_invalid_day00"]:
            assert any("ISOTime" in w for w in notice.warnings)
            if notice.notice_type == "SK_SN":
                assert notice.trigger_time_us == us_from_iso("2021-12-31T23:16:14.46")

    def test_time_malformed_folder(self, oddities):
        for notice in oddities["time_malformed"]:
            assert any("ISOTime" in w for w in notice.warnings)
            if notice.notice_type == "FERMI_GBM_ALERT":
                assert notice.trigger_time_us == us_from_iso("2008-07-14T11:09:20.47")
            if notice.notice_type == "KONUS_LC":
                assert notice.trigger_time_us == us_from_iso("2021-12-29T22:18:45.18")

    def test_time_missing_folder(self, oddities):
        for notice in oddities["time_missing"]:
            assert notice.message.body.count(b"v1.1")
            assert notice.trigger_id == ("swift:597570" if "Proc_Image" in notice.ivorn else None)

    def test_unrecognized_type_folder(self, oddities):
        (notice,) = oddities["unrecognized_type"]
        assert notice.trigger_id is notice.localisation is None


def curated(voevent_dir: Path, pattern: str) -> list[Path]:
    folders = sorted((voevent_dir / "curated").glob(pattern))
    assert folders
    return folders


def test_bursts_seen_by_swift_and_fermi_are_two_triggers(voevent_dir: Path):
    for folder in curated(voevent_dir, "PAIR_*"):
        found = re.search(r"swift(\d+)_fermi(\d+)", folder.name)
        assert found
        notices = read_folder(folder)
        ids = {n.trigger_id for n in notices if n.trigger_id and not n.trigger_id.startswith("fermi-lat")}
        assert {f"swift:{found[1]}", f"fermi-gbm:{found[2]}"} <= ids
        gbm = [n for n in notices if n.trigger_id == f"fermi-gbm:{found[2]}"]
        assert len({n.trigger_time_us for n in gbm}) <= 2
        assert len({name for n in gbm for name in n.names if name.startswith("bn")}) <= 1
        for notice in gbm:
            if notice.localisation is not None:
                assert isinstance(notice.localisation, Cone)
                assert notice.localisation.containment == 0.68
                assert notice.localisation.systematics.startswith("gbm_")
        by_stage = sorted(gbm, key=lambda n: (n.stage, n.serial, n.issued_us))
        order = ["FERMI_GBM_ALERT", "FERMI_GBM_FLT_POS", "FERMI_GBM_GND_POS", "FERMI_GBM_FIN_POS"]
        kinds = [order.index(n.notice_type) for n in by_stage if n.notice_type in order]
        assert kinds == sorted(kinds)


def test_swift_positions_shrink_from_bat_to_uvot(voevent_dir: Path):
    for folder in curated(voevent_dir, "PAIR_*"):
        radii = [
            n.localisation.radius_deg
            for n in sorted(read_folder(folder), key=lambda n: n.stage)
            if n.mission == "Swift" and n.trigger_id and isinstance(n.localisation, Cone) and n.stage in {10, 20, 30}
        ]
        assert radii == sorted(radii, reverse=True)
        assert all(0 < radius < 0.1 for radius in radii)


def test_ground_positions_of_gbm_are_ordered_as_they_were_issued(voevent_dir: Path):
    restarted = 0
    for folder in curated(voevent_dir, "PAIR_*"):
        ground = [n for n in read_folder(folder) if n.notice_type == "FERMI_GBM_GND_POS"]
        ground.sort(key=lambda n: (n.trigger_id, n.stage, n.serial, n.issued_us))
        for one, other in pairwise(ground):
            if one.trigger_id == other.trigger_id:
                assert one.issued_us < other.issued_us
                restarted += int(one.params["Sequence_Num"]) > int(other.params["Sequence_Num"])
    assert restarted >= 8


def test_superevents(voevent_dir: Path):
    retracted = set()
    for folder in curated(voevent_dir, "GW_*"):
        notices = sorted(read_folder(folder), key=lambda n: (n.stage, n.serial, n.issued_us))
        name = folder.name.removeprefix("GW_")
        assert {n.trigger_id for n in notices} == {f"lvk:{name}"}
        assert [int(n.params["Pkt_Ser_Num"]) for n in notices] == sorted(int(n.params["Pkt_Ser_Num"]) for n in notices)
        for notice in notices:
            if notice.kind is Kind.RETRACTION:
                retracted.add(name)
                assert notice is notices[-1]
            else:
                assert notice.skymap_url
                assert notice.far_hz
                assert sum(notice.classification.values()) == pytest.approx(1, abs=0.01) or not notice.classification
    assert retracted == {"S190405ar", "S230524x", "S230712a", "S230715bw", "S231030av"}


def test_neutrinos_with_a_revision(voevent_dir: Path):
    for folder in curated(voevent_dir, "NU_*"):
        first, second = sorted(read_folder(folder), key=lambda n: n.serial)
        assert first.trigger_id == second.trigger_id
        assert (first.serial, second.serial) == (0, 1)
        assert (first.kind, second.kind) == (Kind.INITIAL, Kind.UPDATE)
        assert isinstance(first.localisation, Cone)
        assert first.localisation.containment == 0.9
        assert first.localisation.systematics is Systematics.INCLUDED
        assert 0 < first.far_hz < 10 / (365 * 86400)


def test_one_packet_of_each_topic(voevent_dir: Path):
    for path in sorted((voevent_dir / "voevent2dict").glob("gcn.classic.voevent.*.xml")):
        notice = read_voevent(Message(path.read_bytes(), path.name, path.stem))
        topic = path.stem.removeprefix("gcn.classic.voevent.")
        assert notice.notice_type == topic


def test_notices_of_2025_and_2026(data_dir: Path):
    folder = data_dir / "gcn-kafka" / "gcn-notice-parser-0.2.0" / "fixtures"
    counted: collections.Counter[str] = collections.Counter()
    for path in sorted(folder.rglob("*.xml")):
        notice = read_file(path)
        counted[notice.mission] += 1
        if notice.mission == "SVOM":
            assert notice.trigger_id == f"svom:{notice.params['Burst_Id']}"
            assert (notice.kind is Kind.RETRACTION) == notice.ivorn.endswith("retraction")
        if path.parent.name == "lvc_retraction":
            assert notice.kind is Kind.RETRACTION
        if notice.mission == "LVK":
            assert notice.role is Role.MOCK
        elif not notice.notice_type.endswith("TEST"):
            assert notice.role is Role.OBSERVATION
            assert notice.trigger_id
    assert counted["Fermi"] > 200
    assert counted["SVOM"] > 35


@pytest.mark.parametrize(
    "folder",
    [
        "fink-mm/VODB",
        "gcn-kafka/gwcelery-3.0.0",
        "gcn-kafka/lvk-userguide",
        "voevent/icecube-fra",
        "voevent/growth-too-marshal",
    ],
)
def test_notices_that_other_systems_test_with(data_dir: Path, folder: str):
    paths = sorted((data_dir / folder).rglob("*.xml"))
    assert paths
    for path in paths:
        notice = read_file(path)
        assert notice.role in {Role.OBSERVATION, Role.MOCK, Role.TEST}
        assert notice.mission


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("hop-client/example.gcn3", Reason.UNKNOWN_FORMAT),
        ("misc/ivoa-VOEvent/role_diagram.xml", Reason.UNKNOWN_FORMAT),
        ("tracet/tests/test_events/Swift_unknown_fail.xml", Reason.MALFORMED),
    ],
)
def test_what_is_no_notice_is_refused(voevent_dir: Path, path: str, reason: Reason):
    with pytest.raises(BadNotice) as caught:
        read_file(voevent_dir / path)
    assert caught.value.reason == reason


def test_examples_of_the_2_1_proposal(voevent_dir: Path):
    folder = voevent_dir / "misc" / "ivoa-VOEvent"
    supernova = read_file(folder / "voevent-ex1.xml")
    assert supernova.localisation == Cone(37.0603169, 31.3116578, 0.03, 0.9)
    prediction = read_file(folder / "voevent-ex2.xml")
    assert prediction.role is Role.PREDICTION
    assert prediction.trigger_id is None


def archives(folder: Path) -> list[Path]:
    return sorted([*(folder / "tarballs").glob("*.tar.bz2"), *(folder / "monthly_signal").glob("*.tar.gz")])


def members(path: Path, every: int, among: int) -> Iterator[tuple[str, bytes]]:
    """Each so many-th file among the first of an archive, read as a stream."""
    with tarfile.open(path, "r|*") as tar:
        for number, member in enumerate(islice(tar, among)):
            if number % every == 0 and member.isfile():
                stream = tar.extractfile(member)
                assert stream
                yield member.name, stream.read()


@pytest.mark.not_measured
@pytest.mark.parametrize("part", range(4))
def test_a_sample_of_every_month(voevent_dir: Path, part: int):
    refused: list[Reason] = []
    read = 0
    for path in archives(voevent_dir)[part::4]:
        for name, body in members(path, 7, 2500):
            try:
                notice = read_voevent(Message(body, name))
            except BadNotice as error:
                refused.append(error.reason)
                continue
            read += 1
            assert notice.mission
            assert notice.trigger_id is None or re.fullmatch(r"[a-z-]+:\S+", notice.trigger_id)
            if isinstance(notice.localisation, Cone):
                assert 0 <= notice.localisation.ra_deg < 360
                assert 0 < notice.localisation.radius_deg <= 90
            if notice.trigger_id and notice.mission != "Swift" and notice.kind is not Kind.RETRACTION:
                assert notice.trigger_time_us is not None
    assert read > 400
    assert refused in ([], [Reason.BAD_TIME])


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="voevent-parse does not build there")
def test_voevent_parse_reads_the_same_ivorn_place_and_time(voevent_dir: Path):
    voeventparse = pytest.importorskip("voeventparse")
    compared = 0
    for path in sorted((voevent_dir / "curated").rglob("*.xml"))[::5]:
        body = path.read_bytes()
        notice = read_voevent(Message(body, path.name))
        theirs = voeventparse.loads(body)
        assert notice.ivorn == theirs.attrib["ivorn"]
        if isinstance(notice.localisation, Cone):
            position = voeventparse.get_event_position(theirs)
            assert (position.ra, position.dec) == (notice.localisation.ra_deg, notice.localisation.dec_deg)
            compared += 1
        if notice.trigger_time_us is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                time = voeventparse.get_event_time_as_utc(theirs)
            assert notice.trigger_time_us == us_from_datetime(time)
    assert compared > 20
