"""What becomes of an upload: searched at once and later, corrected, withdrawn, and still there after a restart."""

import pytest

from schemas.records import Kind
from tests.e2e.http.site import CONE, TRIGGER, alert, site
from tests.schemas.voevent_packets import packet

NEAR, FAR, EDGE = (150.1, -12.1), (150.0, 40.0), (150.0, -9.4)


def names(document):
    return sorted(one["object"]["object_id"] for one in document["coincidences"])


async def test_an_upload_finds_what_is_stored_and_what_comes_later(tmp_path):
    async with site(tmp_path) as here:
        ada = here.person("ada")
        await here.alerts(
            alert("ZTF20inside", *NEAR), alert("ZTF20outside", *FAR), alert("ZTF20early", 150.0, -12.0, hours=-3)
        )
        made = await ada.upload(cone=CONE, name="a burst", level=0.9)
        assert (names(made), made["name"], made["owner"], made["private"]) == (["ZTF20inside"], "a burst", "ada", False)
        assert made["trigger"] == f"upload:{made['id']}"
        async with ada.following(f"skymaps/{made['id']}/events") as events, here.person().following() as all_events:
            await here.alerts(alert("ZTF20later", *NEAR, hours=19 * 24), alert("ZTF20toolate", *NEAR, hours=21 * 24))
            came = await events.until("ZTF20later")
            assert came["matcher"] == "upload"
            assert await all_events.until("ZTF20later") == came
        told = await ada.got(f"skymaps/{made['id']}")
        assert names(told) == ["ZTF20inside", "ZTF20later"]
        assert (await ada.got(f"coincidences/{came['id']}"))["newest"]["id"] == came["id"]


async def test_a_better_map_moves_what_was_found_out_of_it(tmp_path):
    async with site(tmp_path) as here:
        ada = here.person("ada")
        await here.alerts(alert("ZTF20edge", *EDGE), alert("ZTF20centre", 150.0, -12.0))
        made = await ada.upload(cone=CONE, name="first", private=True)
        assert names(made) == ["ZTF20centre", "ZTF20edge"]
        async with ada.following(f"skymaps/{made['id']}/events") as events:
            better = {"cone": CONE | {"radius_deg": 1.0}, "trigger_time": TRIGGER, "name": "better"}
            answer = await ada.ask("PUT", f"skymaps/{made['id']}", json=better)
            assert answer.status == 200, answer.text
            assert (names(answer.json), answer.json["revision"]) == (["ZTF20centre"], 2)
            assert answer.json["private"] is True  # it stays so, though the better one did not ask for it
            await events.until("ZTF20edge", "withdrawn")
            assert (await ada.ask("DELETE", f"skymaps/{made['id']}")).status == 204
            await events.until("ZTF20centre", "withdrawn")
        gone = await ada.got(f"skymaps/{made['id']}")
        assert (gone["state"], gone["coincidences"], gone["private"]) == ("withdrawn", [], True)
        for method in ("PUT", "DELETE"):
            assert (await ada.ask(method, f"skymaps/{made['id']}", json=better)).status == 409
        listed = await ada.got("coincidences", params={"trigger": made["trigger"]})
        assert {one["state"] for one in listed["items"]} == {"withdrawn"}


async def test_what_was_public_does_not_become_private(tmp_path):
    async with site(tmp_path) as here:
        ada = here.person("ada")
        made = await ada.upload(cone=CONE)
        body = {"cone": CONE, "trigger_time": TRIGGER, "private": True}
        answer = await ada.ask("PUT", f"skymaps/{made['id']}", json=body)
        assert answer.status == 409
        assert "is public and was seen" in answer.json["detail"]


async def test_a_restart_keeps_uploads_what_was_found_and_who_may_see_it(tmp_path):
    async with site(tmp_path) as here:
        ada = here.person("ada")
        await here.alerts(alert("ZTF20inside", *NEAR))
        private = await ada.upload(cone=CONE, name="private one", private=True, before_s=60.0, level=0.8)
        public = await ada.upload(cone=CONE, name="public one")
        gone = await ada.upload(cone=CONE, name="deleted")
        assert (await ada.ask("DELETE", f"skymaps/{gone['id']}")).status == 204
        before = {one["id"]: await ada.got(f"skymaps/{one['id']}") for one in (private, public, gone)}
    async with site(tmp_path) as here:
        ada.url, ada.session = here.url, here.session
        for upload_id, told in before.items():
            assert await ada.got(f"skymaps/{upload_id}") == told
        nobody = here.person()
        assert (await nobody.get(f"skymaps/{private['id']}")).status == 404
        assert {one["id"] for one in (await nobody.got("skymaps"))["items"]} == {public["id"], gone["id"]}
        await here.alerts(alert("ZTF20after", *NEAR, hours=5))
        assert names(await ada.got(f"skymaps/{private['id']}")) == ["ZTF20after", "ZTF20inside"]
        assert names(await ada.got(f"skymaps/{gone['id']}")) == []
        better = {"cone": CONE | {"radius_deg": 0.02}, "trigger_time": TRIGGER}
        answer = await ada.ask("PUT", f"skymaps/{private['id']}", json=better)
        assert (names(answer.json), answer.json["revision"], answer.json["private"]) == ([], 2, True)


async def test_other_matchers_leave_uploads_alone_and_it_leaves_notices_alone(tmp_path):
    everything = "".join(f"[matchers.{name}]\nafter_d = 30.0\n" for name in ("grb", "neutrino", "xray"))
    async with site(tmp_path, text=everything) as here:
        ada = here.person("ada")
        await here.alerts(alert("ZTF20inside", *NEAR))
        for messenger in ("gravitational-wave", "gamma-ray", "neutrino", "x-ray"):
            made = await ada.upload(cone=CONE, messenger=messenger)
            (found,) = made["coincidences"]
            assert (found["matcher"], found["trigger"]["messenger"]) == ("upload", messenger)
            told = await ada.got(f"triggers/{made['trigger']}")
            assert [window["matcher"] for window in told["windows"]] == ["upload"]


async def test_an_upload_changes_nothing_that_observatories_said(tmp_path):
    """Even one that says the same: it would be linked, and its map be counted twice."""
    notice = packet(112, {"TrigID": 600117987}, position=(150.0, -12.0), radius=2.0, time="2020-01-01T05:00:00")
    async with site(tmp_path, text="[triggers]\ninclude_tests = true\n") as here:
        ada = here.person("ada")
        await here.take(notice)
        await here.alerts(alert("ZTF20inside", *NEAR))
        before = await ada.got("coincidences", params={"revisions": "all"})
        assert [one["matcher"] for one in before["items"]] == ["grb"]
        await ada.upload(cone={"ra_deg": 150.0, "dec_deg": -13.0, "radius_deg": 1.0}, messenger="gravitational-wave")
        await ada.upload(cone={"ra_deg": 150.0, "dec_deg": -13.0, "radius_deg": 1.0}, messenger="gamma-ray")
        after = await ada.got("coincidences", params={"revisions": "all", "matcher": "grb"})
        assert after == before


@pytest.mark.parametrize(("new_object", "found"), [(True, []), (False, ["ZTF20old"])])
async def test_objects_that_were_there_before_are_found_if_they_are_asked_for(tmp_path, new_object, found):
    async with site(tmp_path) as here:
        await here.alerts(alert("ZTF20old", *NEAR, hours=-48), alert("ZTF20old", *NEAR, hours=2, candid=7))
        assert names(await here.person("ada").upload(cone=CONE, new_object=new_object)) == found


async def test_nobody_who_sends_notices_makes_or_changes_an_upload(tmp_path):
    """By topic, by mission, by the trigger's id: in a VOEvent, in GCN's JSON, and as the very bytes of an upload."""
    async with site(tmp_path) as here:
        ada = here.person("ada")
        made = await ada.upload(cone=CONE, name="mine")
        notices = here.service.pipeline.engine.notices(made["trigger"])
        own = notices[0].message.body
        forged = own.replace(b'"serial":1', b'"serial":9').replace(b'"name":"mine"', b'"name":"forged"')
        gcn = (
            b'{"$schema": "https://gcn.nasa.gov/schema/v6.1.0/gcn/notices/upload/alert.schema.json",'
            b'"mission": "upload", "id": ["%s"],'
            b'"trigger_time": "2020-01-01T05:00:00Z", "alert_datetime": "2020-01-01T05:01:00Z",'
            b'"ra": 10, "dec": 10, "ra_dec_error": 1}' % made["id"].encode()
        )
        voevent = packet(None, {"TrigID": made["id"]}, ivorn="ivo://upload#x", time="2020-01-01T05:00:00")
        for body in (own, forged, gcn, voevent):
            for topic in ("", "starcross.upload", "gcn.notices.upload.alert", "upload"):
                await here.take(body, source="uploads", topic=topic)
        assert here.service.pipeline.engine.notices(made["trigger"]) == notices
        assert [trigger.id for trigger in here.service.pipeline.engine.triggers()] == [made["trigger"]]
        assert [notice.kind for notice in notices] == [Kind.INITIAL]
        assert len((await ada.got("skymaps"))["items"]) == 1
