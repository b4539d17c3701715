"""The world as others see it does not change by what somebody uploads in private, whatever becomes of it."""

import asyncio
import json
import sqlite3

import pytest

from broker.status import status
from tests.e2e.http.site import CONE, TRIGGER, alert, site
from tests.schemas.voevent_packets import packet

NAME = "secret-of-ada"
PARTS = ("events", "moc", "contours")
HERE = (150.1, -12.1)
NOTICE = packet(112, {"TrigID": 600117987}, position=(150.0, -12.0), radius=2.0, time="2020-01-01T05:00:00")
SINKS = """
[service]
stop_within_s = 0.2
[triggers]
include_tests = true
[matchers.grb]
after_d = 10.0
[sinks.lines]
kind = "json-lines"
path = "out.jsonl"
[sinks.hook]
kind = "webhook"
url = "http://127.0.0.1:9/"
secret = {file = "key"}
[sinks.vtp]
kind = "vtp"
port = 0
relay_notices = true
[substreams.all]
[substreams.tested]
include_tests = true
[substreams.uploads]
where = 'matcher == "upload"'
"""
POSITIONS = {"positions": [{"ra_deg": HERE[0], "dec_deg": HERE[1], "time_utc": "2020-01-01T06:00:00Z"}]}


class View:
    """All that somebody can ask."""

    def __init__(self, person, public):
        self.person, self.public = person, public

    async def everything(self):
        """By path the answer, without what tells the time."""
        trigger = self.public["trigger"]
        paths = [
            "skymaps", f"skymaps/{self.public['id']}", f"skymaps/{self.public['id']}/coincidences",
            f"skymaps/{self.public['id']}/coincidences?format=csv", "triggers", "triggers?searched=true&limit=1000",
            "triggers?messenger=gravitational-wave", f"triggers/{trigger}", "contours", "density", "substreams",
            "coincidences?limit=1000", "coincidences?revisions=all&limit=1000", "coincidences?matcher=upload",
            "coincidences?where=credible_level<2", "coincidences?where=trigger.mission=='upload'",
            f"coincidences?where=trigger.names[0]=='{NAME}'", "coincidences?object=ztf:ZTF20public",
            "coincidences?state=withdrawn", "coincidences?changed_from=1970-01-02T00:00:00Z", "brief?limit=1000",
            "objects/ztf:ZTF20public", "openapi.json",
        ]  # fmt: skip
        seen = {path: (await self.person.get(path)).text for path in paths}
        told = json.loads((await self.person.get("status")).text)
        seen["status"] = json.dumps(told | {"clock_utc": "", "listeners": 0})
        seen["match"] = (await self.person.ask("POST", "match", json=POSITIONS)).text
        return seen


async def test_others_see_no_difference(tmp_path, capsys):
    async with site(tmp_path, text=SINKS) as here:
        ada, bob, nobody = here.person("ada"), here.person("bob"), here.person()
        await here.take(NOTICE, source="notices")
        await here.alerts(alert("ZTF20public", *HERE))
        public = await ada.upload(cone=CONE, name="public")
        assert public["coincidences"]
        views = [View(bob, public), View(nobody, public)]
        before = [await view.everything() for view in views]
        async with (
            nobody.following() as live,
            bob.following(headers={"Last-Event-ID": "0"}) as resumed,
            bob.following(f"skymaps/{public['id']}/events") as of_public,
            ada.following() as own,
        ):
            made = await ada.upload(cone=CONE, name=NAME, private=True)
            assert len(made["coincidences"]) == 1
            own_id = (await own.coincidence())["id"]
            secrets = [made["id"], NAME, own_id]
            for step in ("made", "replaced", "deleted"):
                if step == "replaced":
                    better = {"cone": CONE | {"radius_deg": 2.0}, "trigger_time": TRIGGER, "name": NAME}
                    assert (await ada.ask("PUT", f"skymaps/{made['id']}", json=better)).status == 200
                if step == "deleted":
                    assert (await ada.ask("DELETE", f"skymaps/{made['id']}")).status == 204
                for view, was in zip(views, before, strict=True):
                    for path, text in (await view.everything()).items():
                        assert text == was[path], (step, path)
            assert (await own.until("ZTF20public", "withdrawn"))["id"] == own_id
            await here.alerts(alert("ZTF20later", *HERE, hours=3))
            for events in (live, of_public, resumed):
                ids = set()
                while "ZTF20later" not in ids:
                    event = await events.next()
                    assert not any(secret in event.data for secret in secrets)
                    ids.add(json.loads(event.data)["object"]["object_id"])
        await asyncio.sleep(0)
        told = json.dumps(status(here.service))
        assert not any(secret in told for secret in secrets)
        with sqlite3.connect(tmp_path / here.service.store.folder / "starcross.sqlite") as database:
            ((kept,),) = database.execute("SELECT count(*) FROM coincidence WHERE private_to = 'ada'").fetchall()
            assert kept >= 2
            for table in ("outbox", "routed", "capped"):
                text = f"SELECT coincidence_id FROM {table} WHERE coincidence_id IS NOT NULL"  # noqa: S608 - our own names
                assert not any(own_id == told for (told,) in database.execute(text)), table
            relayed = (
                "SELECT count(*) FROM outbox JOIN notice ON notice.id = notice_id WHERE topic = 'starcross.upload'"
            )
            assert database.execute(relayed).fetchone() == (0,)
        database.close()
    lines = (tmp_path / "out.jsonl").read_text()
    assert "ZTF20public" in lines
    logged = "".join(capsys.readouterr())
    for text in (lines, logged):
        assert NAME not in text
        assert ada.token.split("_", 2)[2] not in text
    assert not any(secret in lines for secret in secrets)


async def test_what_is_private_is_as_if_it_were_not_on_every_path(tmp_path):
    async with site(tmp_path) as here:
        ada, bob, root = here.person("ada"), here.person("bob"), here.person("root", "admin")
        await here.alerts(alert("ZTF20inside", *HERE))
        made = await ada.upload(cone=CONE, name=NAME, private=True)
        upload, found = made["id"], made["coincidences"][0]
        ivorn = f"ivo://starcross.invalid/coincidence#{found['id']}.r1"
        paths = {
            f"skymaps/{upload}": f"skymaps/{'0' * 16}",
            **{
                f"skymaps/{upload}/{part}": f"skymaps/{'0' * 16}/{part}"
                for part in ("coincidences", "coincidences?format=csv", "coincidences?format=votable", *PARTS)
            },
            f"triggers/{made['trigger']}": "triggers/upload:none",
            f"triggers/{made['trigger']}/moc": "triggers/upload:none/moc",
            f"triggers/{made['trigger']}/contours": "triggers/upload:none/contours",
            f"coincidences/{found['id']}": "coincidences/none",
            f"voevents/{found['id']}.r1": "voevents/none.r1",
            f"voevents/{ivorn.replace('#', '%23')}": "voevents/ivo://x%23y.r1",
            f"coincidences?since={found['id']}.r1": "coincidences?since=none.r1",
            f"brief?since={found['id']}.r1": "brief?since=none.r1",
            f"stream?since={found['id']}.r1": "stream?since=none.r1",
        }  # fmt: skip
        for path, absent in paths.items():
            name = path.partition("?")[0]
            for person in (bob, here.person()):
                told, as_absent = await person.get(path), await person.get(absent)
                assert told.status == as_absent.status, path
                assert told.status in {404, 422}, path
                hidden = [told.json["instance"], upload, made["trigger"], found["id"], ivorn, "none", "0" * 16]
                assert told.json["title"] == as_absent.json["title"]
                assert len(told.json) == len(as_absent.json)
                assert found["object"]["object_id"] not in told.text, name
                assert NAME not in told.text, hidden
            for person in (ada, root):
                if "events" in path or "stream" in path:
                    async with person.following(path):
                        continue
                assert (await person.get(path)).status == 200, path
        told = await bob.got("objects/ztf:ZTF20inside")
        assert told["coincidences"] == []
        assert (await ada.got("objects/ztf:ZTF20inside"))["coincidences"] == [found["id"]]
        for person, seen in ((bob, []), (ada, [made["trigger"]]), (root, [made["trigger"]])):
            matches = (await person.ask("POST", "match", json=POSITIONS)).json["matches"]
            assert [match["trigger"] for match in matches] == seen
            for path in ("coincidences", "brief", "coincidences?where=credible_level<2", "coincidences?cursor=YTA"):
                assert len((await person.got(path))["items"]) == len(seen)
            assert [feature["properties"]["trigger"] for feature in (await person.got("contours"))["features"]][
                :1
            ] == seen
            assert (await person.got("status"))["triggers"] == len(seen)
            assert (await person.got("status"))["coincidences"]["proposed"] == len(seen)


@pytest.mark.parametrize("owner", ["", "bob", "ADA", "ada ", "adá"])
async def test_owners_are_told_apart_to_the_letter(tmp_path, owner):
    async with site(tmp_path) as here:
        ada = here.person("ada")
        made = await ada.upload(cone=CONE, private=True)
        other = here.person(owner)
        expected = 200 if owner.strip() == "ada" else 404
        assert (await other.get(f"skymaps/{made['id']}")).status == expected
