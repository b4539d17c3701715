"""Replays of what observatories and surveys really sent."""

import json
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from bridges.files import find_files, read_files
from schemas.catalogue import SchemaCatalogue
from schemas.errors import Reason
from schemas.reading import read_message
from schemas.records import Message, Rejection
from schemas.skymap import read_skymap
from schemas.times import us_from_iso
from tests.e2e.conftest import lines_of, run
from tests.schemas.voevent_packets import packet
from tests.survey_packets import ZTF, container, ztf_alert

FROM, UNTIL = us_from_iso("2019-11-01T00:00:00"), us_from_iso("2020-07-01T00:00:00")


@pytest.fixture(scope="module")
def alerts_of_the_paper(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of links to the files that hold ZTF alerts of the months that Moeller et al. 2021 searched."""
    folder = tmp_path_factory.mktemp("paper")
    catalogue = SchemaCatalogue()
    for message in read_files(find_files([data_dir / "alerts-ztf"])):
        if isinstance(message, Message) and message.origin.endswith(".avro"):
            for part in read_message(message, catalogue).alerts:
                if part.survey == "ztf" and np.any((part.time_us >= FROM) & (part.time_us < UNTIL)):
                    path = data_dir / message.origin
                    (folder / path.name).symlink_to(path)
    return folder


@pytest.mark.not_measured
def test_a_whole_month_of_voevents_against_the_alerts_of_the_paper(data_dir, alerts_of_the_paper, tmp_path):
    notices = data_dir / "voevent" / "tarballs" / "2020-02.001.tar.bz2"
    ran = run("replay", "--alerts", alerts_of_the_paper, "--notices", notices, "--out", tmp_path / "out", "--json")
    assert ran.code == 0, ran.err
    assert ran.err == ""
    summary = json.loads(ran.out)
    assert summary["inputs"]["notices"] == summary["notices"]["read"] == 33_467
    assert summary["rejected"] == {"all": 0}
    assert summary["notices"]["by_role"] == {"mock": 2012, "observation": 21_076, "test": 3312, "utility": 7067}
    assert (summary["notices"]["first_utc"][:10], summary["notices"]["last_utc"][:10]) == ("2020-02-01", "2020-02-29")
    types = summary["notices"]["by_type"]
    assert {name: types[name] for name in types if name.startswith(("FERMI_GBM_F", "FERMI_GBM_G"))} == {
        "FERMI_GBM_FIN_POS": 23,
        "FERMI_GBM_FLT_POS": 43,
        "FERMI_GBM_GND_POS": 29,
    }
    assert types["SWIFT_BAT_SUBSUB"] == 12_447
    ztf = summary["alerts"]["ztf"]
    assert ztf["read"] == ztf["duplicates"] + ztf["indexed"] + sum(ztf["cut"].values()) == 42
    assert (ztf["first_utc"][:7], ztf["last_utc"][:7]) == ("2019-11", "2020-06")
    triggers = summary["triggers"]
    assert triggers["retracted"] == 354
    # Eleven of them are notices of a time alone (Konus-Wind, CALET, SPI-ACS), of bursts that Fermi or Swift localised.
    assert triggers["searched_by"] == {"grb": 68, "neutrino": 1, "xray": 13}
    assert summary["coincidences"] == {"live": 0, "withdrawn": 0}
    assert [path.name for path in (tmp_path / "out" / "voevents").iterdir()] == []


@pytest.mark.not_measured
def test_every_member_of_every_other_archive_is_read_or_rejected_for_a_reason_that_is_known(data_dir):
    """The largest two in parts; the third is replayed above."""
    catalogue = SchemaCatalogue()
    held, rejected = Counter(), {}
    for path in sorted(data_dir.rglob("*.tar*")):
        messages = read_files(find_files([path]))
        for message in islice(messages, 2000) if path.suffix == ".bz2" else messages:
            reading = read_message(message, catalogue) if isinstance(message, Message) else None
            for rejection in reading.rejections if reading else [message]:
                assert isinstance(rejection, Rejection)
                rejected[rejection.origin] = Reason(rejection.reason)
            if reading:
                held["notices"] += len(reading.notices)
                held["alerts"] += sum(len(part) for part in reading.alerts)
    assert held == {"notices": 20_448 + 3 * 2000, "alerts": 29}
    # The only one that says neither its day nor its time: "2017-00-00T17:33:00.08".
    assert rejected == {
        "2017-10.002.signal.tar.gz/nasa.gsfc.gcn/SWIFT/BAT_QuickLook_Pos_16453627-507.xml": Reason.BAD_TIME
    }


REJECTED = {
    "voevent/curated": Counter(),
    "voevent/oddities": Counter(),
    "fink-mm": Counter(),
    # Two containers break off; the others are schemas and configurations.
    "alerts-ztf": Counter({Reason.UNKNOWN_FORMAT: 9, Reason.TRUNCATED: 2}),
    "alerts-derived/ztf_20190903_fink-science": Counter(),
    # Their schemas are not in the packets.
    "alerts-derived/lsst_20260101_fink-filters": Counter({Reason.UNKNOWN_SCHEMA: 27}),
    "lasair-lsst": Counter(),
    "mocs": Counter(),
    "skymaps": Counter(),
    "skyportal": Counter(),
}
"""Of each folder of real files, the reasons for which a replay rejects some."""


@pytest.mark.not_measured
def test_replaying_folders_of_every_kind_at_once_leaves_nothing_unaccounted(data_dir, tmp_path):
    folders = [data_dir / name for name in REJECTED]
    ran = run("replay", "--alerts", *folders, "--notices", *folders, "--out", tmp_path / "out", "--set",
              "lsst.schema_package=false", "--json")  # fmt: skip
    assert ran.code == 0, ran.err
    summary = json.loads(ran.out)
    assert set(summary["alerts"]) == {"elasticc", "ztf"}
    assert all(
        counts["read"] == counts["duplicates"] + counts["indexed"] + sum(counts["cut"].values())
        for counts in summary["alerts"].values()
    )
    found = {name: Counter() for name in REJECTED}
    for rejection in lines_of(tmp_path / "out" / "rejected.jsonl"):
        assert not rejection["origin"].startswith("/")
        (name,) = [one for one in REJECTED if rejection["origin"].startswith(f"{Path(one).name}/")]
        found[name][Reason(rejection["reason"])] += 1
    assert found == REJECTED
    files = summary["inputs"]["files"]
    assert files == sum(path.is_file() for folder in folders for path in folder.rglob("*"))


ODDITIES = ["time_malformed", "pos_0_0", "err_negative", "lvc_test", "coordsys_tdb_bary", "ra_360", "schema_v1_1"]


def test_oddities_of_every_kind_pass_through_a_replay(data_dir, tmp_path):
    """All are read; what each means is held by `tests/schemas/test_voevent_real.py`."""
    folder = data_dir / "voevent" / "oddities"
    alerts = tmp_path / "alerts"
    alerts.mkdir()
    (alerts / "a.avro").write_bytes(container(ZTF, [ztf_alert()]))
    for settings in ([], ["--set", "triggers.include_tests=true"]):
        ran = run("replay", "--alerts", alerts, "--notices", folder, "--out", tmp_path / "out", "--json", *settings)
        assert (ran.code, ran.err) == (0, "")
        summary = json.loads(ran.out)
        assert summary["rejected"]["all"] == 0
        assert summary["notices"]["read"] == sum(path.is_file() for path in folder.rglob("*")) == 101
        assert summary["coincidences"] == {"live": 0, "withdrawn": 0}
    kinds = sorted(path.name for path in folder.iterdir())
    assert len(kinds) == 30
    assert set(ODDITIES) < set(kinds)
    ran = run("inspect", "--json", *(folder / kind for kind in ODDITIES))
    assert (ran.code, ran.err) == (0, "")
    assert all("notices" in json.loads(line) for line in ran.out.splitlines())


MAPS = {
    "S170817a": ("skymaps/observing-scenarios/historical/GW170817_skymap.fits", "2017-08-17T12:41:04", 16.2),
    "S190425z": ("skyportal/tests/data/bayestar.fits.gz", "2019-04-25T08:18:05", 10_183),
    "S190814bv": (
        "misc/plasticc_alerts/Examples/plasticc_schema/sample_data/S190814bv-bayestar.multiorder.fits",
        "2019-08-14T21:10:39",
        37.6,
    ),
    "S200129m": ("mocs/mocpy/resources/bayestar.multiorder.fits", "2020-01-29T06:54:58", 53.1),
}
"""Superevent -> its map, its time, and the map's 90 % area (deg2)."""
AT2017GFO = 197.450374, -23.381484


def alert_at(name: str, place: tuple[float, float], time_us: int) -> bytes:
    jd = 2_440_587.5 + time_us / 86_400e6
    number = int.from_bytes(name.encode()[-7:], "big")
    candidate = {"candid": number, "jd": jd, "jdstarthist": jd, "ra": place[0], "dec": place[1]}
    return container(ZTF, [ztf_alert(object_id=name, **candidate)])


def test_linked_maps_are_found_by_name_and_their_densities_searched(data_dir, tmp_path):
    """Notices of four events that link to maps which lie among the files, and one with its map inside."""
    (tmp_path / "notices").mkdir()
    (tmp_path / "alerts").mkdir()
    for name, (path, time, _) in MAPS.items():
        link = f"https://gracedb.ligo.org/api/superevents/{name}/files/{Path(path).name}"
        body = packet(151, {"GraceID": name}, groups={"GW_SKYMAP": {"skymap_fits": link}}, time=time, position=None,
                      date=time, ivorn=f"ivo://gwnet/LVC#{name}-1-Initial")  # fmt: skip
        (tmp_path / "notices" / f"{name}.xml").write_bytes(body)
        skymap = read_skymap((data_dir / path).read_bytes())
        place = AT2017GFO if name == "S170817a" else (skymap.peak_ra_deg, skymap.peak_dec_deg)
        alert = alert_at(f"ZTF-{name}", place, us_from_iso(time) + 11 * 3600 * 10**6)
        (tmp_path / "alerts" / f"{name}.avro").write_bytes(alert)
    time_us = us_from_iso("2023-05-18T12:59:08.167")
    (tmp_path / "alerts" / "inline.avro").write_bytes(
        alert_at("ZTF-S230518h", (95.712891, -10.958863), time_us + 10**9)
    )
    maps = [data_dir / name for name in ("skymaps", "skyportal", "misc", "mocs", "fink-mm/VODB/lvk")]
    ran = run("replay", "--alerts", tmp_path / "alerts", "--notices", tmp_path / "notices", *maps, "--out",
              tmp_path / "out", "--json", "--plot")  # fmt: skip
    assert ran.code == 0, ran.err
    summary = json.loads(ran.out)
    assert {k: summary["skymaps"][k] for k in ("linked", "found", "missing")} == {"linked": 4, "found": 4, "missing": 0}
    found = {c["trigger"]["id"]: c for c in lines_of(tmp_path / "out" / "coincidences.jsonl")}
    areas = {f"lvk:{name}": area for name, (_, _, area) in MAPS.items()} | {"lvk:S230518h": 665.8}
    assert {name: c["area_90_deg2"] for name, c in found.items()} == pytest.approx(areas, rel=0.01)
    assert {name: c["object"]["object_id"] for name, c in found.items()} == {
        name: f"ZTF-{name.partition(':')[2]}" for name in areas
    }
    kilonova = found.pop("lvk:S170817a")
    assert kilonova["credible_level"] == pytest.approx(0.383, abs=0.005)
    assert all(c["credible_level"] < 0.01 for c in found.values())
    assert kilonova["delta_t_s"] == pytest.approx(11 * 3600, abs=1)


def test_a_gbm_map_replaces_the_circle_of_its_notices(data_dir, tmp_path):
    """GRB 180116A: ground and final position link to the map that lies beside them."""
    folder = data_dir / "voevent" / "growth-too-marshal"
    (tmp_path / "alerts").mkdir()
    ran = run("replay", "--alerts", tmp_path / "alerts", "--notices", folder, "--out", tmp_path / "out", "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["skymaps"]["found"] == 2
