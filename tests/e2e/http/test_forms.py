"""All ways to upload, and what is wrong with an upload, told with its place."""

import base64
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from tests.e2e.http.site import CONE, TRIGGER, alert, form, site
from tests.schemas.gcn_notices import superevent
from tests.schemas.maps import blob, flat, multi_order

MAP = flat(blob(4, ra_deg=150.0, dec_deg=-12.0, sigma_deg=5.0))
DATED = flat(blob(4, ra_deg=150.0, dec_deg=-12.0, sigma_deg=5.0), **{"DATE-OBS": "2020-01-01T05:00:00", "OBJECT": "S1"})
ELLIPSE = {"ra_deg": 150.0, "dec_deg": -12.0, "semi_major_deg": 4.0, "semi_minor_deg": 2.0, "position_angle_deg": 30.0}
ANNULI = [{"ra_deg": ra_deg, "dec_deg": -12.0, "radius_deg": 58.56, "half_width_deg": 2.0} for ra_deg in (90.0, 210.0)]
"""Two rings that meet at RA 150, Dec -12."""
MOC = {"5": list(range(4000, 4200)), "3": [100]}


@asynccontextmanager
async def serving_files(**files: bytes):
    """A host that has files, and one redirect to another host."""
    app = web.Application()

    async def answer(request):
        name = request.match_info["name"]
        if name == "elsewhere":
            raise web.HTTPFound("http://169.254.169.254/latest/meta-data")
        if name not in files:
            raise web.HTTPNotFound
        return web.Response(body=files[name], content_type="application/fits")

    app.router.add_get("/{name}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def test_every_form_finds_the_same(tmp_path):
    async with serving_files(dated=DATED) as port:
        maps = f'[maps]\nhosts = ["127.0.0.1:{port}"]\nallow_http = true\nallow_private = true\n'
        async with site(tmp_path, text=maps) as here:
            ada = here.person("ada")
            await here.alerts(alert("ZTF20inside", 150.0, -12.0))
            query = {"trigger_time": TRIGGER, "name": "by hand"}
            headers = [
                {"Content-Type": kind} for kind in ("application/fits", "image/fits", "application/octet-stream")
            ]
            asked = {
                "form": {"data": form(MAP, **query)},
                "form, dated": {"data": form(DATED)},
                **{head["Content-Type"]: {"data": MAP, "params": query, "headers": head} for head in headers},
                "cone": {"json": {"cone": CONE, **query}},
                "ellipse": {"json": {"ellipse": ELLIPSE, **query}},
                "annuli": {"json": {"annuli": ANNULI, **query}},
                "moc": {"json": {"moc": {"0": list(range(12))}, **query}},
                "url": {"json": {"url": f"http://127.0.0.1:{port}/dated"}},
            }
            for said, given in asked.items():
                answer = await ada.ask("POST", "skymaps", **given)
                assert answer.status == 201, (said, answer.text)
                made = answer.json
                assert [one["object"]["object_id"] for one in made["coincidences"]] == ["ZTF20inside"], said
                assert made["trigger_utc"] == "2020-01-01T05:00:00.000000Z", said
                assert made["name"] == ("S1" if said in {"form, dated", "url"} else "by hand"), said


async def test_only_allowed_hosts_are_asked(tmp_path):
    async with serving_files(dated=DATED) as port:
        maps = f'[maps]\nhosts = ["127.0.0.1:{port}"]\nallow_http = true\nallow_private = true\n'
        async with site(tmp_path, text=maps) as here:
            ada = here.person("ada")
            for url, why in (
                (f"http://127.0.0.1:{port + 1}/dated", "not among the hosts"),
                (f"http://localhost:{port}/dated", "not among the hosts"),
                (f"http://127.0.0.1:{port}/elsewhere", "169.254.169.254"),
                (f"http://127.0.0.1:{port}/missing", "404"),
                ("file:///etc/passwd", "file"),
                ("gopher://127.0.0.1/", "gopher"),
                ("http://", "http"),
                ("//", ""),
                ("http://[::1", ""),
                (f"http://127.0.0.1:{port}@evil.example/dated", ""),
            ):
                answer = await ada.ask("POST", "skymaps", json={"url": url, "trigger_time": TRIGGER})
                assert answer.status == 422, url
                (error,) = answer.json["errors"]
                assert error["place"] == "body.url"
                assert why in error["detail"]
            assert (await ada.got("skymaps"))["items"] == []
        maps = f'[maps]\nhosts = ["localhost:{port}"]\nallow_http = true\n'
        async with site(tmp_path, text=maps) as here:
            url = f"http://localhost:{port}/dated"
            answer = await here.person("ada").ask("POST", "skymaps", json={"url": url})
            assert answer.status == 422
            assert "S1" not in answer.text


async def test_superevents(tmp_path):
    async with site(tmp_path) as here:
        ada = here.person("ada")
        record = superevent()
        record["event"]["skymap"] = base64.b64encode(MAP).decode()
        answer = await ada.ask("POST", "skymaps", json={"lvk": record})
        assert answer.status == 201, answer.text
        assert answer.json["name"] == record["superevent_id"]
        named = await ada.ask("POST", "skymaps", json={"lvk": record, "name": "other"})
        assert named.json["name"] == "other"
        for change, why in (
            ({"superevent_id": "x" * 5000}, None),
            ({"superevent_id": 7}, None),
            ({"event": None}, "no event"),
            ({"event": record["event"] | {"skymap": "!"}}, ""),
            ({"event": record["event"] | {"time": None}}, "time"),
            ({"superevent_id": None, "alert_type": None}, "LVK"),
        ):
            answer = await ada.ask("POST", "skymaps", json={"lvk": {k: v for k, v in (record | change).items() if v}})
            if why is None:
                assert answer.status in {201, 422}, answer.text
            else:
                assert answer.status == 422, change
                assert why in answer.text


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "body"),
        ({"cone": CONE, "ellipse": ELLIPSE}, "body"),
        ({"cone": CONE}, "trigger_time"),
        ({"moc": MOC}, "trigger_time"),
        ({"moc": {"30": [1]}, "trigger_time": TRIGGER}, None),
        ({"moc": {"5": [-1]}, "trigger_time": TRIGGER}, None),
        ({"moc": {"5": ["x"]}, "trigger_time": TRIGGER}, None),
        ({"moc": {"5": 1}, "trigger_time": TRIGGER}, None),
        ({"moc": {}, "trigger_time": TRIGGER}, None),
        ({"moc": {"x": []}, "trigger_time": TRIGGER}, None),
        ({"cone": CONE, "trigger_time": "yesterday"}, "body.trigger_time"),
        ({"cone": CONE, "trigger_time": "2020-13-01T00:00:00Z"}, "body.trigger_time"),
        ({"cone": CONE, "trigger_time": "9999-12-31T00:00:00Z"}, "trigger_time"),
        ({"cone": CONE, "trigger_time": 1577854800}, "body.trigger_time"),
        ({"cone": CONE | {"radius_deg": 0}, "trigger_time": TRIGGER}, "body.cone.radius_deg"),
        ({"cone": CONE | {"radius_deg": 181}, "trigger_time": TRIGGER}, "body.cone.radius_deg"),
        ({"cone": CONE | {"ra_deg": -1}, "trigger_time": TRIGGER}, "body.cone.ra_deg"),
        ({"cone": CONE | {"dec_deg": 90.5}, "trigger_time": TRIGGER}, "body.cone.dec_deg"),
        ({"cone": CONE | {"containment": 1}, "trigger_time": TRIGGER}, "body.cone.containment"),
        ({"cone": CONE | {"systematics": "none_known"}, "trigger_time": TRIGGER}, "body.cone.systematics"),
        ({"cone": CONE, "trigger_time": TRIGGER, "level": 1}, "body.level"),
        ({"cone": CONE, "trigger_time": TRIGGER, "level": 0}, "body.level"),
        ({"cone": CONE, "trigger_time": TRIGGER, "after_d": 367}, "body.after_d"),
        ({"cone": CONE, "trigger_time": TRIGGER, "after_d": 0}, "body.after_d"),
        ({"cone": CONE, "trigger_time": TRIGGER, "before_s": -1}, "body.before_s"),
        ({"cone": CONE, "trigger_time": TRIGGER, "messenger": "smoke signals"}, "body.messenger"),
        ({"cone": CONE, "trigger_time": TRIGGER, "name": "x" * 101}, "body.name"),
        ({"cone": CONE, "trigger_time": TRIGGER, "name": "a\nb"}, "body.name"),
        ({"cone": CONE, "trigger_time": TRIGGER, "level": "nan"}, "body.level"),
        ({"ellipse": ELLIPSE | {"semi_minor_deg": -1}, "trigger_time": TRIGGER}, "body.ellipse.semi_minor_deg"),
        ({"lvk": {"x": 1}, "trigger_time": TRIGGER}, "body.lvk"),
    ],
)
async def test_what_is_wrong_is_told_with_its_place(tmp_path, body, place):
    async with site(tmp_path) as here:
        ada = here.person("ada")
        answer = await ada.ask("POST", "skymaps", json=body)
        assert answer.status == 422, answer.text
        assert answer.headers["Content-Type"].startswith("application/problem+json")
        if place is not None:
            assert answer.json["errors"][0]["place"] == place
        assert (await ada.got("skymaps"))["items"] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"SIMPLE", 422),
        (b"not a map at all", 422),
        (MAP[:-5000], 422),
        (flat(-blob(3)), 422),
        (flat(blob(3) * 0), 422),
        (flat(blob(3) * 5), 422),
        (flat(blob(3) * float("nan")), 422),
        (flat(blob(3) * float("inf")), 422),
        (flat(blob(3), COORDSYS="E"), 422),
        (flat(blob(3), NSIDE=7), 422),
        (multi_order([4, 4], [1.0, 1.0]), 422),
        (multi_order([0], [1.0]), 422),
    ],
)
async def test_maps_that_are_none(tmp_path, body, status):
    async with site(tmp_path) as here:
        ada = here.person("ada")
        answer = await ada.ask("POST", "skymaps", data=form(body, trigger_time=TRIGGER))
        assert answer.status == status, answer.text
        assert (await ada.got("skymaps"))["items"] == []


async def test_settings_in_the_query_of_a_file_and_in_the_fields_of_a_form_are_checked_alike(tmp_path):
    async with site(tmp_path) as here:
        ada = here.person("ada")
        settings = {
            "level": "0.5",
            "after_d": "3",
            "before_s": "60",
            "new_object": "false",
            "private": "true",
            "name": " n ",
        }
        head = {"Content-Type": "application/fits"}
        made = [
            await ada.ask("POST", "skymaps", data=form(DATED, **settings)),
            await ada.ask("POST", "skymaps", data=DATED, params=settings, headers=head),
        ]
        for answer in made:
            assert answer.status == 201, answer.text
            assert answer.json["search"] == {"before_s": 60.0, "after_d": 3.0, "level": 0.5, "new_object": False}
            assert (answer.json["name"], answer.json["private"]) == ("n", True)
        for wrong in ({"level": "2"}, {"levl": "0.5"}, {"private": "perhaps"}):
            for answer in (
                await ada.ask("POST", "skymaps", data=form(DATED, **wrong)),
                await ada.ask("POST", "skymaps", data=DATED, params=wrong, headers=head),
            ):
                assert answer.status == 422
                assert next(iter(wrong)) in answer.json["errors"][0]["place"]
        twice = await ada.ask("POST", "skymaps", data=DATED, params=[("level", "0.5"), ("level", "0.6")], headers=head)
        assert twice.status == 422
        missing = await ada.ask("POST", "skymaps", data=DATED, headers={"Content-Type": "text/plain"})
        assert missing.status == 415
        gone = await ada.ask("PUT", "skymaps/0123456789abcdef", data=DATED, headers=head)
        assert gone.status == 404
