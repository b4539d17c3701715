"""`starcross inspect`: what is understood of each kind of input, and what is wrong with a bad one."""

import gzip
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from tests.e2e.conftest import Ran, run
from tests.e2e.hostile_inputs import GOOD_ALERT, GOOD_NOTICE
from tests.schemas.maps import blob, flat
from tests.schemas.voevent_packets import packet
from tests.survey_packets import ZTF, container, framed, ztf_alert


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One of each."""
    for name, body in {
        "alert.avro": GOOD_ALERT,
        "cut.avro": container(ZTF, [ztf_alert(nbad=3, candid=2), ztf_alert(candid=3, dec=-91.0)]),
        "framed.avro": framed(7, ZTF, ztf_alert()),
        "map.fits.gz": gzip.compress(flat(blob(4, 100, 30, 5), OBJECT="S200115j")),
        "notice.xml": GOOD_NOTICE,
        "pointing.xml": packet(129, position=(10, 20), radius=None),
        "text.txt": b"nothing of ours",
    }.items():
        (tmp_path / name).write_bytes(body)
    return tmp_path


def documents(ran: Ran) -> dict[str, dict]:
    """By the last part of their origin."""
    found = [json.loads(line) for line in ran.out.splitlines()]
    return {Path(one["origin"]).name: one for one in found if "origin" in one}


def test_json_says_everything_one_line_for_each_input(folder):
    ran = run("inspect", "--json", folder)
    assert (ran.code, ran.err) == (1, "")
    shown = documents(ran)
    assert set(shown) == {path.name for path in folder.iterdir()}
    assert {name: one["format"] for name, one in shown.items()} == {
        "alert.avro": "Avro container of ztf.alert",
        "cut.avro": "Avro container of ztf.alert",
        "framed.avro": "unknown format",
        "map.fits.gz": "flat sky map, FITS, gzipped",
        "notice.xml": "VOEvent 2.0",
        "pointing.xml": "VOEvent 2.0",
        "text.txt": "unknown format",
    }
    (alert,) = shown["alert.avro"]["alerts"]
    assert (alert["object_id"], alert["ra_deg"], alert["dec_deg"]) == ("ZTF20aaaaaaa", 150.25, -12.5)
    assert alert["time_utc"] == "2020-01-01T06:00:00.000000Z"
    assert (alert["reliability"], alert["cut_by"]) == (0.75, None)
    assert [one["cut_by"] for one in shown["cut.avro"]["alerts"]] == ["bad_pixels"]
    assert {name: [r["reason"] for r in one["rejected"]] for name, one in shown.items() if "rejected" in one} == {
        "cut.avro": ["out_of_range"],
        "framed.avro": ["unknown_schema"],
        "text.txt": ["unknown_format"],
    }
    (notice,) = shown["notice.xml"]["notices"]
    assert (notice["notice_type"], notice["trigger_id"]) == ("FERMI_GBM_GND_POS", "fermi-gbm:600117987")
    assert notice["localisation"] == {
        "type": "Cone",
        "ra_deg": 150.25,
        "dec_deg": -12.5,
        "radius_deg": 2.0,
        "containment": 0.68,
        "systematics": "gbm_ground",
    }
    assert notice["skymap"]["area_90_deg2"] > notice["skymap"]["area_50_deg2"] > 10
    assert notice["position"]["stated"] == "circle of 2 deg around RA 150.25, Dec -12.5 deg that holds 68 %"
    assert "GBM's ground positions is added" in notice["position"]["systematic_error"]
    (pointing,) = shown["pointing.xml"]["notices"]
    assert pointing["trigger_id"] is None
    assert "gives no position" in pointing["position"]["none"]
    (skymap,) = shown["map.fits.gz"]["skymaps"]
    assert (skymap["header"]["object_name"], skymap["has_distance"]) == ("S200115j", False)
    assert (skymap["peak_ra_deg"], skymap["peak_dec_deg"]) == pytest.approx((100, 30), abs=3)


def test_tables_say_the_same_to_a_person(folder):
    ran = run("inspect", folder)
    assert (ran.code, ran.err) == (1, "")
    for said in (
        "passes all cuts",
        "cut by bad_pixels",
        "of no trigger",
        "fermi-gbm:600117987",
        "localisation.radius_deg",
        "position.stated",
        "position.systematic_error",
        "position.none",
        "header.object_name",
        "cannot be used: unknown_format: begins with b'nothing of ours'",
        "cannot be used: unknown_schema: no schema with id 7 is known",
    ):
        assert said in ran.out, said


def test_readable_input_alone_exits_with_0(folder):
    assert run("inspect", folder / "notice.xml", folder / "map.fits.gz", folder / "alert.avro").code == 0


def test_alerts_and_notices_together_are_matched(folder):
    ran = run("inspect", "--json", folder / "notice.xml", folder / "alert.avro")
    (pairs,) = [json.loads(line)["pairs"] for line in ran.out.splitlines() if "pairs" in json.loads(line)]
    assert [(one["trigger_id"], one["matcher"], one["against"]) for one in pairs] == [
        ("fermi-gbm:600117987", "grb", [])
    ]


def test_many_alerts_are_counted_in_the_table_and_all_are_in_the_json(tmp_path):
    path = tmp_path / "many.avro"
    path.write_bytes(container(ZTF, [ztf_alert(candid=number) for number in range(23)]))
    assert "and 3 more alerts" in run("inspect", path).out
    assert len(documents(run("inspect", "--json", path))["many.avro"]["alerts"]) == 23


@pytest.mark.parametrize(
    ("names", "shape"),
    [
        (["notice.xml", "alert.avro"], "close-up"),
        (["notice.xml", "map.fits.gz"], "whole sky"),
        (["text.txt"], "whole sky"),
    ],
)
def test_plots(folder, names, shape):
    picture = folder / "picture.png"
    run("inspect", *(folder / name for name in names), "--plot", picture)
    height, width, _ = imread(picture).shape
    assert (width > height) == (shape == "whole sky")


def test_a_map_that_breaks_a_bound_is_told_where_it_is_read(tmp_path):
    (tmp_path / "half.fits").write_bytes(flat(np.full(768, 10 / 768)))
    (found,) = documents(run("inspect", "--json", tmp_path)).values()
    assert [rejection["reason"] for rejection in found["rejected"]] == ["not_normalised"]
    assert "skymaps" not in found


def test_a_position_that_makes_no_density_is_told(tmp_path):
    """GCN's JSON may hold a map that cannot be read."""
    body = {"$schema": "https://gcn.nasa.gov/schema/v4.0.0/gcn/notices/km3net/alert.schema.json", "id": "1",
            "trigger_time": "2026-01-01T00:00:00Z", "healpix_file": "U0lNUExFICA9"}  # fmt: skip
    (tmp_path / "notice.json").write_text(json.dumps(body))
    ran = run("inspect", "--json", tmp_path)
    (found,) = documents(ran).values()
    assert found["notices"][0]["localisation"] == {"type": "InlineMap", "bytes": 9}
    assert [rejection["reason"] for rejection in found["rejected"]] == ["truncated"]
    assert "bytes" in run("inspect", tmp_path).out


def test_nothing_in_an_input_is_obeyed_by_the_terminal_or_taken_for_markup(tmp_path):
    evil = {"[/bold]": "[/red]", "[red]x": "\u202e[link=http://h]"}
    (tmp_path / "[").mkdir()
    (tmp_path / "[/b].xml").write_bytes(packet(111, {"TrigID": 1, **evil}, names=["[/green]"]))
    with tarfile.open(tmp_path / "night.tar", "w") as archive:
        for body in (GOOD_ALERT, b"\x1b[2J"):
            info = tarfile.TarInfo("\x1b[2J[/b]\r.avro")
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    ran = run("inspect", tmp_path)
    assert (ran.code, ran.err) == (1, "")
    assert not {"\x1b", "\r", "\u202e"} & set(ran.out)
    assert "params.[/bold]" in ran.out
    assert "[/b].xml" in ran.out


def test_a_registry_that_does_not_answer_is_told(folder):
    url = "lsst.schema_registry_url=http://127.0.0.1:9"
    ran = run("inspect", "--json", "--set", url, folder / "framed.avro")
    (rejection,) = documents(ran)["framed.avro"]["rejected"]
    assert rejection["reason"] == "unknown_schema"
    assert "127.0.0.1:9 does not answer" in rejection["detail"]
