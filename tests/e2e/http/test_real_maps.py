"""The maps that observatories made, uploaded to a running service with real alerts in its window."""

import gzip
import io
import json

import numpy as np
import pytest
from astropy import units
from astropy.io import fits
from cdshealpix.nested import lonlat_to_healpix

from bridges.files import find_files, read_files
from schemas.records import Message
from schemas.times import us_from_iso
from tests.e2e.http.site import form, site

GW170817 = "skymaps/observing-scenarios/historical/GW170817_skymap.fits"
S190425Z = "skyportal/tests/data/bayestar.fits.gz"
S190814BV = "misc/plasticc_alerts/Examples/plasticc_schema/sample_data/S190814bv-bayestar.multiorder.fits"
S200129M = "mocs/mocpy/resources/bayestar.multiorder.fits"
GBM = "voevent/growth-too-marshal/glg_healpix_all_bn180116026.fit"
AREAS = {GW170817: 16.2, S190425Z: 10_183, S190814BV: 37.6, S200129M: 53.1, GBM: 572}
AT2017GFO = {"ra_deg": 197.450374, "dec_deg": -23.381484, "time_utc": "2017-08-17T23:33:00Z"}


async def test_known_areas_and_instants(data_dir, tmp_path):
    async with site(tmp_path) as here:
        ada = here.person("ada")
        made = {}
        for path, area in AREAS.items():
            body = (data_dir / path).read_bytes()
            answer = await ada.ask("POST", "skymaps", data=form(body, path))
            assert answer.status == 201, (path, answer.text)
            made[path] = answer.json
            assert answer.json["position"]["area_90_deg2"] == pytest.approx(area, rel=0.01), path
            assert answer.headers["Location"] == f"/api/v1/skymaps/{answer.json['id']}"
            assert answer.json["private"] is False
        assert made[GW170817]["trigger_utc"].startswith("2017-08-17T12:41:04")
        assert made[S190814BV]["trigger_utc"].startswith("2019-08-14T21:10:39")
        assert (made[GBM]["name"], made[GBM]["trigger_utc"][:19]) == ("GRB180116026", "2018-01-16T00:36:52")
        assert made[S190814BV]["position"]["has_distances"] is True
        matches = (await ada.ask("POST", "match", json={"positions": [AT2017GFO]})).json["matches"]
        (match,) = matches
        assert match["trigger"] == made[GW170817]["trigger"]
        assert match["credible_level"] == pytest.approx(0.383, abs=0.001)
        assert match["delta_t_s"] == pytest.approx(39_100, abs=100)
        contours = await ada.got(f"skymaps/{made[GW170817]['id']}/contours?levels=0.5,0.9")
        assert [one["properties"]["credible_level"] for one in contours["features"]] == [0.5, 0.9]
        for path, known in AREAS.items():
            moc = await ada.got(f"skymaps/{made[path]['id']}/moc")
            cells = {int(order): len(cells) for order, cells in moc.items()}
            area = sum(count * 41_252.96 / (12 * 4**order) for order, count in cells.items())
            assert area == pytest.approx(known, rel=0.01), path


def level_of_cells(body: bytes):
    """Of each pixel of a flat NESTED map the probability inside its contour, by a reading of its own; and the order."""
    with fits.open(io.BytesIO(gzip.decompress(body))) as file:
        probability = np.concatenate(file[1].data["PROB"], axis=None).astype(np.float64)
        assert file[1].header["ORDERING"] == "NESTED"
        order = round(np.log2(file[1].header["NSIDE"]))
    ranked = np.argsort(probability)[::-1]
    levels = np.empty(len(probability))
    levels[ranked] = np.cumsum(probability[ranked]) / probability.sum()
    return levels, order


async def test_real_alerts_in_the_window_of_a_real_map(data_dir, tmp_path):
    """What is found is what another reading of the map says, and no other matcher looks at it."""
    body = (data_dir / S190425Z).read_bytes()
    start_us, end_us = us_from_iso("2018-01-01T00:00:00Z"), us_from_iso("2018-12-31T00:00:00Z")
    messages = [one for one in read_files(find_files([data_dir / "alerts-ztf"])) if isinstance(one, Message)]
    async with site(tmp_path, text="[cuts]\nenabled = false\n") as here:
        for first in range(0, len(messages), 50):
            await here.service.pipeline.inlet("files")(messages[first : first + 50])
        ada = here.person("ada")
        settings = {"trigger_time": "2018-01-01T00:00:00Z", "after_d": "364.0", "new_object": "false", "level": "0.9"}
        answer = await ada.ask("POST", "skymaps", data=form(body, **settings))
        assert answer.status == 201, answer.text
        expected, (levels, order) = set(), level_of_cells(body)
        for night in here.service.pipeline.engine.index.nights():
            for alerts in night.batches(100_000):
                alerts = alerts.take((alerts.time_us >= start_us) & (alerts.time_us <= end_us))  # noqa: PLW2901
                if alerts.survey == "ztf" and len(alerts):
                    pixel = lonlat_to_healpix(alerts.ra_deg * units.deg, alerts.dec_deg * units.deg, depth=order)
                    expected |= set(alerts.object_id[levels[pixel] <= 0.9].tolist())
        page = await ada.got(f"skymaps/{answer.json['id']}/coincidences?limit=1000")
        found = {one["object"]["object_id"] for one in page["items"] if one["object"]["survey"] == "ztf"}
        assert len(expected) > 3
        assert found == expected
        assert {one["matcher"] for one in page["items"]} == {"upload"}


async def test_superevents_as_lvk_sends_them(data_dir, tmp_path):
    async with site(tmp_path) as here:
        ada = here.person("ada")
        lvk = json.loads((data_dir / "fink-mm/VODB/lvk/initial.txt").read_text())
        made = (await ada.ask("POST", "skymaps", json={"lvk": lvk})).json
        assert made["name"] == "S230518h"
        assert made["trigger_utc"].startswith("2023-05-18T12:59:08")
        assert made["position"]["peak_ra_deg"] == pytest.approx(95.712891, abs=1e-3)
        assert made["position"]["peak_dec_deg"] == pytest.approx(-10.958863, abs=1e-3)
        assert made["position"]["area_90_deg2"] == pytest.approx(665.8, abs=1)
        retraction = json.loads((data_dir / "gcn-kafka/lvk-userguide/MS181101ab-retraction.json").read_text())
        refused = await ada.ask("POST", "skymaps", json={"lvk": retraction})
        assert refused.status == 422
        assert "no sky map" in refused.text


async def test_coverage_maps_as_files(data_dir, tmp_path):
    async with site(tmp_path) as here:
        ada = here.person("ada")
        body = (data_dir / "mocs/mocpy/resources/MOC2.0/SMOC.fits").read_bytes()
        refused = await ada.ask("POST", "skymaps", data=form(body))
        assert (refused.status, refused.json["errors"][0]["place"]) == (422, "trigger_time")
        taken = await ada.ask("POST", "skymaps", data=form(body, trigger_time="2020-01-01T05:00:00Z"))
        assert taken.status == 201
        for other in ("STMOC.fits", "TMOC.fits"):
            body = (data_dir / "mocs/mocpy/resources/MOC2.0" / other).read_bytes()
            refused = await ada.ask("POST", "skymaps", data=form(body, trigger_time="2020-01-01T05:00:00Z"))
            assert refused.status == 422
