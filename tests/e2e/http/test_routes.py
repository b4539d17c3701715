"""Every route once, with what it answers; and instants at the ends of time."""

import re

import pytest
from lxml import etree

from broker.web.serving import ROUTES
from tests.e2e.http.site import CONE, TRIGGER, alert, site
from tests.schemas.voevent_packets import packet

NOTICE = packet(112, {"TrigID": 600117987}, position=(150.0, -12.0), radius=2.0, time="2020-01-01T05:00:00")
POSITION = {"ra_deg": 150.0, "dec_deg": -12.0, "time_utc": "2020-01-01T06:00:00Z"}


async def test_every_route(tmp_path):  # noqa: PLR0915 - one after the other
    async with site(tmp_path, text="[triggers]\ninclude_tests = true\n") as here:
        ada = here.person("ada")
        await here.take(NOTICE)
        await here.alerts(alert("ZTF20inside", 150.0, -12.0), alert("ZTF20inside", 150.0, -12.0, hours=30))
        made = await ada.upload(cone=CONE, name="an upload")
        upload, found = made["id"], made["coincidences"][0]
        fermi, seen = "fermi-gbm:600117987", set()

        async def ask(path, method="GET", status=200, **given):
            answer = await ada.ask(method, path, **given)
            assert answer.status == status, (path, answer.text)
            asked = f"/api/v1/{path.partition('?')[0]}"
            for route in ROUTES:
                pattern = re.sub(r"{\w+:\.\+}", ".+", route.path)
                if route.method == method and re.fullmatch(re.sub(r"{\w+}", "[^/]+", pattern), asked):
                    seen.add(route.name)
                    if answer.status < 400 and answer.body:
                        assert answer.headers["Content-Type"].partition(";")[0] in route.answers[answer.status].content
            return answer

        listed = (await ask("coincidences")).json
        assert [one["matcher"] for one in listed["items"]] == ["grb", "upload"]
        first = (await ask("coincidences?limit=1")).json
        assert first["items"] == listed["items"][:1]
        assert (await ask(f"coincidences?cursor={first['next']}")).json["items"] == listed["items"][1:]
        since = f"{listed['items'][0]['id']}.r1"
        for name in (since, f"ivo://starcross.invalid/coincidence%23{since}"):
            assert (await ask(f"coincidences?since={name}")).json["items"] == listed["items"][1:]
            assert (await ask(f"brief?since={name}")).json["items"][0]["id"] == found["id"]
        await ask("coincidences?since=x.r1", status=422)
        history = (await ask(f"coincidences/{found['id']}")).json
        assert history["newest"] == history["revisions"][-1] == found
        event = await ask(f"voevents/ivo://starcross.invalid/coincidence%23{since}")
        assert etree.fromstring(event.body).get("ivorn").endswith(since)
        assert (await ask(f"voevents/{since}")).body == event.body
        for missing in ("x", f"{since}0", "ivo://x", "x.r1"):
            await ask(f"voevents/{missing}", status=404)
        for trigger in (fermi, made["trigger"]):
            told = (await ask(f"triggers/{trigger}")).json
            assert len(told["notices"]) == 1
            await ask(f"triggers/{trigger}/moc?level=0.5")
            lines = (await ask(f"triggers/{trigger}/contours?levels=0.1,0.5,0.9")).json
            assert [one["properties"]["credible_level"] for one in lines["features"]] == [0.1, 0.5, 0.9]
        page = (await ask("triggers?limit=1")).json
        rest = (await ask(f"triggers?cursor={page['next']}")).json
        assert {one["trigger"]["id"] for one in page["items"] + rest["items"]} == {fermi, made["trigger"]}
        one = (await ask("objects/ztf:ZTF20inside")).json
        assert len(one["light_curve"]) == 2
        assert len(one["coincidences"]) == 2
        await ask("objects/ztf:unknown", status=404)
        await ask("objects/nothing", status=404)
        matches = (await ask("match", "POST", json={"positions": [POSITION, POSITION | {"dec_deg": 60.0}]})).json
        assert [(match["position"], match["trigger"]) for match in matches["matches"]] == [
            (0, fermi),
            (0, made["trigger"]),
        ]
        assert [one["id"] for one in (await ask("skymaps")).json["items"]] == [upload]
        await ask(f"skymaps/{upload}")
        for form, kind in (("json", "application/json"), ("csv", "text/csv"), ("votable", "application/x-votable+xml")):
            table = await ask(f"skymaps/{upload}/coincidences?format={form}")
            assert table.headers["Content-Type"].partition(";")[0] == kind
            assert "ZTF20inside" in table.text
            accepted = await ada.get(f"skymaps/{upload}/coincidences", headers={"Accept": kind})
            assert accepted.headers["Content-Type"].partition(";")[0] == kind
        await ask(f"skymaps/{upload}/moc")
        await ask(f"skymaps/{upload}/contours")
        for path in ("stream", f"skymaps/{upload}/events"):
            async with ada.following(path, headers={"Last-Event-ID": "0"}) as events:
                assert (await events.coincidence())["object"]["object_id"] == "ZTF20inside"
            async with ada.following(f"{path}?since={since}") as events:
                assert (await events.coincidence())["id"] == found["id"]
        status = (await ask("status")).json
        assert (status["owner"], status["scopes"], status["triggers"]) == ("ada", ["read", "upload"], 2)
        assert [one["name"] for one in (await ask("substreams")).json["items"]] == ["all"]
        assert (await ask("density")).json["alerts"] == 1
        outlined = (await ask("contours")).json
        assert {one["properties"]["trigger"] for one in outlined["features"]} == {fermi, made["trigger"]}
        document = (await ask("openapi.json")).json
        assert document["openapi"] == "3.1.0"
        body = {"cone": CONE, "trigger_time": TRIGGER}
        await ask(f"skymaps/{upload}", "PUT", json=body)
        posted = await ask("skymaps", "POST", status=201, json=body)
        await ask(f"skymaps/{posted.json['id']}", "DELETE", status=204)
        assert {route.name for route in ROUTES} - seen == {"followCoincidences", "followSkymap"}


@pytest.mark.parametrize("trigger_time", ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z"])
async def test_no_instant_of_one_upload_breaks_the_lists_of_all(tmp_path, trigger_time):
    async with site(tmp_path) as here:
        ada = here.person("ada")
        longest = {"before_s": 366 * 86_400, "after_d": 366}
        answer = await ada.ask("POST", "skymaps", json={"cone": CONE, "trigger_time": trigger_time, **longest})
        assert answer.status in {201, 422}, answer.text
        for path in ("skymaps", "triggers", "contours", "status", "coincidences"):
            assert (await ada.get(path)).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/api",
        "/api/v1",
        "/api/v1/",
        "/api/v2/status",
        "//api/v1/status",
        "/api/v1/skymaps/..%2f..%2fx",
    ],
)
async def test_there_is_nothing_else(tmp_path, path):
    async with site(tmp_path) as here:
        answer = await here.person().get(path)
        assert answer.status == 404
        assert answer.headers["Content-Type"].startswith("application/problem+json")
