"""Sky maps to which live notices link, from a real server into the pipeline."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest
from aiohttp import web

from bridges.map_fetcher import MapFetchOptions
from broker import live_maps
from broker.live_maps import LiveMaps
from schemas.errors import Reason
from schemas.records import Role
from tests.broker.test_pipeline import Fixed, pipeline
from tests.matchers.made import notice_of
from tests.schemas.maps import flat

MAP = flat(np.full(12, 1 / 12))


class Desk:
    """A server of maps, the pipeline, and what lies between."""

    def __init__(self, url: str, files: dict[str, bytes], options: MapFetchOptions) -> None:
        self.url, self.files, self.outcomes = url, files, []
        self.pipe, self.kept = pipeline()
        self.maps = LiveMaps(options, self.pipe, Fixed(), include_tests=False, observe=self.outcomes.append)

    def hear(self, **fields):
        """A notice that links to a map."""
        notice = replace(notice_of(**fields), skymap_url=f"{self.url}/map.fits")
        self.pipe.engine.restore_notice(notice, None, 0)
        self.pipe.engine.reopen()
        return notice

    async def until(self, condition) -> None:
        async with asyncio.timeout(30):
            while not condition():  # noqa: ASYNC110 - what is waited for is another task's doing
                await asyncio.sleep(0.005)


@asynccontextmanager
async def desk():
    files: dict[str, bytes] = {}

    async def answer(request: web.Request) -> web.Response:
        body = files.get(request.path)
        return web.Response(body=body) if body is not None else web.Response(status=404)

    app = web.Application()
    app.router.add_get("/{name}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    options = MapFetchOptions(
        hosts=(f"127.0.0.1:{port}",), allow_http=True, allow_private=True, retry_s=0.01, retry_most_s=0.02
    )
    made = Desk(f"http://127.0.0.1:{port}", files, options)
    running = asyncio.create_task(made.maps.run())
    try:
        yield made
    finally:
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await runner.cleanup()


async def test_a_map_that_comes_later_than_its_notice_is_fetched_and_matched():
    async with desk() as it:
        it.maps.want(it.hear())
        await it.until(lambda: "not_there_yet" in it.outcomes or it.outcomes)
        assert it.maps.pending == 1
        it.files["/map.fits"] = MAP
        await it.until(lambda: not it.maps.pending)
        ((stored,),) = (batch.skymaps for batch in it.kept.batches)
        assert (stored.body, stored.trigger_id) == (MAP, "fermi-gbm:1")
        assert list(it.pipe.engine.unmapped()) == []


async def test_what_is_no_map_goes_into_quarantine_once_and_is_asked_for_again():
    async with desk() as it:
        it.files["/map.fits"] = b"<html>soon</html>"
        it.maps.want(it.hear())
        await it.until(lambda: it.outcomes.count("unusable") >= 3)
        assert [[r.reason for r, _ in batch.rejected] for batch in it.kept.batches] == [[Reason.UNKNOWN_FORMAT]]
        it.files["/map.fits"] = MAP
        await it.until(lambda: not it.maps.pending)
        assert len(it.kept.batches) == 2


async def test_what_was_there_instead_of_maps_is_forgotten_in_the_end(monkeypatch):
    monkeypatch.setattr(live_maps, "UNUSABLE_MAX", 1)
    async with desk() as it:
        it.files["/map.fits"] = b"<html>soon</html>"
        for number in (1, 2):
            it.maps.want(it.hear(trigger_id=f"fermi-gbm:{number}", ivorn=f"ivo://t/n#{number}"))
            await it.until(lambda n=number: len(it.kept.batches) >= n)
        assert len(it.maps._unusable) == 1


async def test_after_a_restart_what_is_missing_is_wanted():
    async with desk() as it:
        it.files["/map.fits"] = MAP
        it.hear()
        it.maps.want_missing(it.pipe.engine)
        await it.until(lambda: not it.maps.pending)
        assert len(it.kept.batches) == 1


async def test_a_map_of_a_notice_that_is_known_no_more_is_let_go():
    async with desk() as it:
        it.files["/map.fits"] = MAP
        it.maps.want(replace(notice_of(), skymap_url=f"{it.url}/map.fits"))
        await it.until(lambda: not it.maps.pending)
        assert it.kept.batches == []
        assert it.outcomes == ["delivered"]


@pytest.mark.parametrize("fields", [{}, {"trigger_id": None, "skymap_url": "https://x/y"}, {"role": Role.TEST}])
async def test_only_links_of_what_is_searched_are_followed(fields):
    async with desk() as it:
        linked = {"skymap_url": f"{it.url}/map.fits"} if "role" in fields else {}
        it.maps.want(replace(notice_of(), **fields, **linked))
        assert it.maps.pending == 0
