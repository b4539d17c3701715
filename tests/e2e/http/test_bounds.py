"""How much one may ask, upload and follow; whoever is refused is told when to come again."""

import asyncio
import io
import json

import aiohttp
import pytest

from tests.e2e.http.site import CONE, TRIGGER, Following, Person, alert, form, site
from tests.schemas.maps import blob, flat

MAP = flat(blob(5, ra_deg=150.0, dec_deg=-12.0, sigma_deg=5.0))
BODY = {"cone": CONE, "trigger_time": TRIGGER}


async def statuses(person: Person, times: int, path: str = "substreams", **given) -> list[int]:
    return [(await person.get(path, **given)).status for _ in range(times)]


async def test_requests_are_counted_by_token_and_else_by_address(tmp_path):
    async with site(tmp_path, "requests_per_minute = 5") as here:
        ada, her_other, bob, nobody = here.person("ada"), here.person("ada"), here.person("bob"), here.person()
        for person in (ada, her_other, bob, nobody):
            assert await statuses(person, 6) == [200] * 5 + [429]
        refused = await nobody.get("status")
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        assert refused.headers["Content-Type"].startswith("application/problem+json")
        assert "5 requests a minute" in refused.json["detail"]


async def test_who_is_not_let_in_is_counted_by_address(tmp_path):
    async with site(tmp_path, "requests_per_minute = 5") as here:
        guesses = [Person(here.session, here.url, f"st_0123456789ab_{number:043}") for number in range(7)]
        assert [(await guess.get("status")).status for guess in guesses] == [401] * 5 + [429] * 2
        assert (await here.person("ada").get("status")).status == 200
        assert (await here.person().get("status")).status == 429


async def test_behind_a_proxy_that_is_trusted_askers_are_told_apart(tmp_path):
    async with site(tmp_path, 'requests_per_minute = 3\ntrusted_proxies = ["127.0.0.1"]') as here:
        nobody = here.person()
        for told in ("192.0.2.1", "192.0.2.2", "2001:db8::1", "evil, 192.0.2.3", "192.0.2.1, 192.0.2.4"):
            assert await statuses(nobody, 4, headers={"X-Forwarded-For": told}) == [200] * 3 + [429]
        # one customer's network counts as one, and what stands before the last address is anybody's word
        for told in ("2001:db8::2", "192.0.2.77, 192.0.2.1", "::ffff:192.0.2.1"):
            assert await statuses(nobody, 1, headers={"X-Forwarded-For": told}) == [429]


async def test_of_a_proxy_that_is_not_trusted_nothing_is_believed(tmp_path):
    async with site(tmp_path, 'requests_per_minute = 3\ntrusted_proxies = ["192.0.2.9"]') as here:
        nobody = here.person()
        found = [
            await statuses(nobody, 1, headers={"X-Forwarded-For": f"192.0.2.{number}", "Forwarded": "for=1.2.3.4"})
            for number in range(4)
        ]
        assert found == [[200], [200], [200], [429]]


async def test_uploads_a_day_are_counted_by_owner_and_failures_too(tmp_path):
    async with site(tmp_path, "uploads_per_day = 3") as here:
        ada, her_other, bob = here.person("ada"), here.person("ada"), here.person("bob")
        made = await ada.upload(cone=CONE)
        assert (await her_other.ask("POST", "skymaps", json={"cone": {}})).status == 422
        assert (await ada.ask("PUT", f"skymaps/{made['id']}", json=BODY)).status == 200
        for method, path in (("POST", "skymaps"), ("PUT", f"skymaps/{made['id']}")):
            refused = await her_other.ask(method, path, json=BODY)
            assert refused.status == 429
            assert 1 <= int(refused.headers["Retry-After"]) <= 86_400
        assert (await bob.ask("POST", "skymaps", json=BODY)).status == 201
        assert (await ada.ask("DELETE", f"skymaps/{made['id']}")).status == 204


async def test_no_uploads_at_all(tmp_path):
    async with site(tmp_path, "uploads_per_day = 0") as here:
        assert (await here.person("ada").ask("POST", "skymaps", json=BODY)).status == 429


@pytest.mark.parametrize("at_once", [False, True])
async def test_no_more_are_searched_than_may_be_however_they_come(tmp_path, at_once):
    async with site(tmp_path, "skymaps_most = 2") as here:
        ada, bob = here.person("ada"), here.person("bob")
        asked = [ada.ask("POST", "skymaps", data=form(MAP, trigger_time=TRIGGER)) for _ in range(5)]
        answers = list(await asyncio.gather(*asked)) if at_once else [await one for one in asked]
        assert sorted(answer.status for answer in answers) == [201, 201, 409, 409, 409]
        assert (await bob.ask("POST", "skymaps", json=BODY)).status == 201
        first = next(answer.json["id"] for answer in answers if answer.status == 201)
        assert (await ada.ask("PUT", f"skymaps/{first}", json=BODY)).status == 200
        assert (await ada.ask("DELETE", f"skymaps/{first}")).status == 204
        assert (await ada.ask("POST", "skymaps", json=BODY)).status == 201


@pytest.mark.parametrize("at_once", [False, True])
async def test_the_room_of_all_is_bounded_and_what_was_replaced_counts(tmp_path, at_once):
    body = flat(blob(7, ra_deg=150.0, dec_deg=-12.0, sigma_deg=5.0))
    assert 400_000 < len(body) * 4 / 3 < 2_200_000
    fits = (1 << 20) // (len(body) * 4 // 3)
    async with site(tmp_path, "skymaps_total_mib = 1") as here:
        ada = here.person("ada")

        def posted():
            return ada.ask("POST", "skymaps", data=form(body, trigger_time=TRIGGER))

        asked = [posted() for _ in range(fits + 2)]
        answers = list(await asyncio.gather(*asked)) if at_once else [await one for one in asked]
        assert sorted(answer.status for answer in answers) == [201] * fits + [507] * 2
        for one in (await ada.got("skymaps"))["items"]:
            assert (await ada.ask("DELETE", f"skymaps/{one['id']}")).status == 204
        assert (await posted()).status == 507


async def test_listeners_are_bounded_and_make_room_when_they_go(tmp_path):
    async with site(tmp_path, "listeners = 2") as here:
        nobody = here.person()
        async with nobody.following(), nobody.following() as second:
            refused = await nobody.get("stream")
            assert refused.status == 503
            assert refused.headers["Retry-After"] == "60"
            second.response.close()
            await here.alerts(alert("ZTF20inside", 150.0, -12.0))
            await here.person("ada").upload(cone=CONE)
            async with asyncio.timeout(30):
                while (await nobody.got("status"))["listeners"] > 1:  # noqa: ASYNC110 - it is found when it is written to
                    await asyncio.sleep(0.02)
            async with nobody.following():
                pass


async def test_a_burst_drops_nobody_who_takes_what_comes(tmp_path):
    """Though it is many times what is kept for a listener; and who comes later is told all of it."""
    names = {f"ZTF20aaaa{number:03}" for number in range(120)}
    async with site(tmp_path, "listener_events = 10") as here:
        ada, nobody = here.person("ada"), here.person()
        async with nobody.following(headers={"Last-Event-ID": "0"}) as events, ada.following() as others:
            await here.alerts(*(alert(name, 150.0, -12.0) for name in sorted(names)))
            await ada.upload(cone=CONE)
            for follower in (events, others):
                seen = [(await follower.coincidence())["object"]["object_id"] for _ in names]
                assert set(seen) == names
        async with nobody.following(params={"last_event_id": "0"}) as late:
            seen = [(await late.coincidence())["object"]["object_id"] for _ in names]
            assert set(seen) == names


async def test_whoever_follows_is_told_when_the_service_ends(tmp_path):
    async with aiohttp.ClientSession() as session:
        async with site(tmp_path) as here:
            told = await session.get(f"{here.url}/api/v1/stream")
            last = asyncio.create_task(Following(told).next())
            await here.person().got("status")
        event = await last
    assert (event.name, json.loads(event.data)) == ("dropped", {"reason": "the service ends"})


async def test_a_large_file_is_taken_up_to_the_limit_and_not_beyond(tmp_path):
    async with site(tmp_path, "skymap_mib = 1") as here:
        ada = here.person("ada")
        small, large = flat(blob(6)), flat(blob(7), DATE="x" * 60)
        assert len(small) < 1 << 20
        head = {"Content-Type": "application/fits"}
        for body, status in ((small, 201), (large + bytes(1 << 20), 413)):
            for given in (
                {"data": form(body, trigger_time=TRIGGER)},
                {"data": io.BytesIO(body), "params": {"trigger_time": TRIGGER}, "headers": head},
            ):
                assert (await ada.ask("POST", "skymaps", **given)).status == status
