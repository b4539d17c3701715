"""The whole sky at a glance: against counting and drawing one by one."""

import json

import numpy as np
import pytest

from broker.web.sky import DENSITY_ORDER, counts_by_cell
from matchers.index import AlertIndex
from schemas.pixels import ORDER
from schemas.records import Alerts
from schemas.sky import separation_deg
from schemas.times import US_PER_DAY
from tests.e2e.http.site import CONE, alert, site

NOW_US = 1_600_000_000_000_000


@pytest.fixture
async def served(tmp_path):
    async with site(tmp_path) as found:
        yield found


def test_alerts_are_counted_by_cell():
    chance = np.random.default_rng(5)
    index, count = AlertIndex(), 400
    pixels = []
    for batch in range(5):
        alerts = Alerts.from_columns(
            "ztf",
            alert_id=[batch * count + row for row in range(count)],
            object_id=[f"O{batch}x{row}" for row in range(count)],
            time_us=NOW_US + chance.integers(0, US_PER_DAY // 10, count),
            ra_deg=chance.uniform(0, 360, count),
            dec_deg=np.degrees(np.arcsin(chance.uniform(-1, 1, count))),
        )
        pixels.append(alerts.pixel)
        index.add(alerts)
    cells, counts = np.unique(np.concatenate(pixels) >> 2 * (ORDER - DENSITY_ORDER), return_counts=True)
    assert counts_by_cell(index.nights()) == dict(zip(cells.tolist(), counts.tolist(), strict=True))
    assert counts_by_cell(()) == {}


async def test_density_is_that_of_the_newest_night(served):
    reader = served.person()
    assert await reader.got("density") == {
        "start_utc": None, "end_utc": None, "order": DENSITY_ORDER, "alerts": 0, "cells": [], "counts": [],
    }  # fmt: skip
    await served.alerts(alert("ZTF20aaaaaaa", 10, 10), alert("ZTF20aaaaaab", 200, -20, hours=24))
    await served.alerts(alert("ZTF20aaaaaac", 200.001, -20.001, hours=25))
    told = await reader.got("density")
    assert (told["alerts"], told["counts"]) == (2, [2])
    assert told["start_utc"] < "2020-01-02T06:00:00" < told["end_utc"]


async def test_contours_are_those_of_each_searched_trigger_in_few_points(served):
    ada, reader = served.person("ada"), served.person()
    made = [await ada.upload(cone=CONE | {"ra_deg": ra}, name=str(ra)) for ra in (20.0, 140.0, 260.0)]
    secret = await ada.upload(cone=CONE, name="secret", private=True)
    gone = await ada.upload(cone=CONE, name="gone")
    await ada.ask("DELETE", f"skymaps/{gone['id']}")
    features, query = [], "contours?limit=2"
    while query:
        part = await reader.got(query)
        features += part["features"]
        query = part["next"] and f"contours?limit=2&cursor={part['next']}"
    assert [feature["properties"]["trigger"] for feature in features] == sorted(
        one["trigger"] for one in made for _ in range(2)
    )
    for feature in features:
        about = feature["properties"]
        full = (await reader.got(f"triggers/{about['trigger']}/contours?levels=0.5,0.9"))["features"]
        (same,) = [one for one in full if one["properties"]["credible_level"] == about["credible_level"]]
        (line,), (fine,) = feature["geometry"]["coordinates"], same["geometry"]["coordinates"]
        assert len(line) <= 121 < len(fine)
        assert line[0] == fine[0]
        assert line[-1] == fine[-1]
        ra, dec = np.array(line).T
        centre = float(next(one["name"] for one in made if one["trigger"] == about["trigger"]))
        apart = separation_deg(ra % 360, dec, centre, CONE["dec_deg"])
        assert np.ptp(apart) < 0.05 * apart.mean()
    assert await reader.got("contours") == await reader.got("contours"), "drawn once and kept"
    own = await ada.got("contours?limit=200")
    assert secret["trigger"] in {feature["properties"]["trigger"] for feature in own["features"]}


async def test_brief_is_what_the_full_documents_say(served):
    ada, reader = served.person("ada"), served.person()
    await served.alerts(*(alert(f"ZTF20aaaaaa{letter}", 150 + place / 10, -12) for place, letter in enumerate("abc")))
    await ada.upload(cone=CONE, name="seen")
    await ada.upload(cone=CONE, name="secret", private=True)
    full = (await reader.got("coincidences"))["items"]
    brief = (await reader.got("brief"))["items"]
    assert len(brief) == 3
    for short, long in zip(brief, full, strict=True):
        assert (short["id"], short["revision"], short["state"]) == (long["id"], long["revision"], long["state"])
        assert (short["ra_deg"], short["mag"]) == (long["object"]["ra_deg"], long["object"]["mag"])
        assert (short["trigger"], short["trigger_name"]) == (long["trigger"]["id"], "seen")
        assert short["posterior"] == (long["statistics"] or {}).get("posterior")
    first = await reader.got("brief?limit=2")
    rest = await reader.got(f"brief?limit=2&cursor={first['next']}")
    assert first["items"] + rest["items"] == brief
    assert rest["next"] is None
    assert len((await ada.got("brief"))["items"]) == 6
    assert (await reader.got("brief?where=object.object_id=='ZTF20aaaaaab'"))["items"] == [
        one for one in brief if one["object_id"] == "ZTF20aaaaaab"
    ]
    wrong = await reader.get("brief?where=nonsense")
    assert wrong.status == 422
    assert json.loads(wrong.body)["errors"][0]["place"] == "query.where"
