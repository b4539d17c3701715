"""Sealed files are made by a process of its own, and nothing is lost if it, or the one that started it, ends."""

import asyncio
import io
import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from broker.store import sealer
from broker.store.checking import problems
from broker.store.database import open_for_reading
from broker.store.files import SEALED, map_night
from broker.store.options import StoreOptions
from broker.store.sealer import MergeParts, SealNight, answer_of, files_of, receive, send
from broker.store.sealer_process import SealerFailed, SealerProcess
from matchers.index import AlertIndex
from tests.broker.store.made import Station, alerts_near, told
from tests.conftest import PROJECT
from tests.matchers.made import DAY, T0


def closed_night(ids, expired_us=None):
    index = AlertIndex()
    for first in range(0, len(ids), 50):
        index.add(alerts_near(ids[first : first + 50], origin="Mt. Palom\u00e1r"))
    if expired_us is not None:
        index.expire(expired_us)
    (night,) = index.close(T0 + 2 * DAY, 0)
    return night


def rows_of(night):
    return sorted(
        (number, name, origin, pixel)
        for alerts in night.batches(1 << 20)
        for number, name, origin, pixel in zip(
            alerts.alert_id.tolist(), alerts.object_id.tolist(), alerts.origin.tolist(), alerts.pixel.tolist(),
            strict=True,
        )
    )  # fmt: skip


@pytest.fixture
def hung(tmp_path):
    """An interpreter that says that it is ready, takes some of the work, and gets no further."""
    path = tmp_path / "hung"
    path.write_text(f"#!/bin/sh\ncd {tmp_path}\necho ready\nhead -c 1 > at_work\nexec sleep 600\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def never_ready(tmp_path):
    path = tmp_path / "never_ready"
    path.write_text("#!/bin/sh\necho something is missing here\nexit 1\n")
    path.chmod(0o755)
    return path


@contextmanager
def ended(writer):
    """Whatever fails, nobody waits for its process."""
    try:
        yield
    finally:
        writer.stop()


def until(holds):
    ends = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.005)


@given(st.lists(st.integers(0, 300), min_size=1, max_size=150, unique=True), st.booleans())
def test_what_is_sent_is_what_is_received(tmp_path_factory, ids, expires):
    night = closed_night(ids, T0 + sorted(ids)[len(ids) // 2] if expires else None)
    folder = tmp_path_factory.mktemp("night") / "part"
    pipe = io.BytesIO()
    send(SealNight(night, folder), pipe)
    pipe.seek(0)
    work = receive(pipe)
    assert (work.folder, work.rows, work.survey) == (folder, night.rows, "ztf")
    assert files_of(json.loads(json.dumps(answer_of(work.write())))) != []
    assert rows_of(map_night(folder, "ztf")) == rows_of(night)


def test_half_of_it_is_noticed():
    pipe = io.BytesIO()
    send(SealNight(closed_night(range(20)), "folder"), pipe)
    with pytest.raises(EOFError):
        receive(io.BytesIO(pipe.getvalue()[:-1]))


def test_a_process_writes_what_a_thread_writes(tmp_path):
    apart, here = SealerProcess(few_rows=0), SealerProcess()
    nights = [closed_night(range(200)), closed_night(range(200, 300))]
    parts = {}
    for name, writer in (("apart", apart), ("here", here)):
        folders = [tmp_path / f"{name}-{n}" for n in range(2)]
        files = [writer.write(SealNight(night, folder)) for night, folder in zip(nights, folders, strict=True)]
        parts[name] = *files, writer.write(MergeParts("ztf", folders, 300, tmp_path / name))
    assert parts["apart"] == parts["here"]
    assert rows_of(map_night(tmp_path / "apart", "ztf")) == sorted(rows_of(nights[0]) + rows_of(nights[1]))


def test_nothing_is_written_where_all_expired(tmp_path):
    night = closed_night(range(10)).since(T0 + DAY)
    assert SealerProcess(few_rows=0).write(SealNight(night, tmp_path / "part")) == []
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_is_told_as_such(tmp_path):
    with pytest.raises(FileNotFoundError, match="no_such_folder"):
        SealerProcess(few_rows=0).write(SealNight(closed_night(range(10)), tmp_path / "no_such_folder" / "part"))


def test_what_goes_wrong_in_the_process_is_told_with_its_last_words(tmp_path):
    with pytest.raises(SealerFailed, match="StoreDamaged: gone"):
        SealerProcess(few_rows=0).write(MergeParts("ztf", [tmp_path / "gone"], 10, tmp_path / "part"))


def test_a_thread_does_it_where_no_process_can_be_had(tmp_path, never_ready):
    for name, python in (("a", str(tmp_path / "no such program")), ("b", str(never_ready)), ("c", "")):
        with structlog.testing.capture_logs() as logs:
            writer = SealerProcess(python, few_rows=0)
            for n in range(2):
                assert writer.write(SealNight(closed_night(range(10)), tmp_path / f"{name}{n}"))
        assert [line["log_level"] for line in logs] == ["warning"]
        assert len(map_night(tmp_path / f"{name}1", "ztf")) == 10


@pytest.mark.parametrize("by_whom", ["us", "others"])
def test_a_process_that_is_killed_leaves_nothing(tmp_path, hung, by_whom):
    writer = SealerProcess(str(hung), few_rows=0)
    with ThreadPoolExecutor(1) as threads, ended(writer):
        written = threads.submit(writer.write, SealNight(closed_night(range(10)), tmp_path / "part"))
        # It may be at work before we know of it.
        until(lambda: (tmp_path / "at_work").exists() and writer._process is not None)
        (tmp_path / "part.partial").mkdir()
        process = writer._process
        writer.stop() if by_whom == "us" else process.kill()
        with pytest.raises(SealerFailed, match="ended early: -9"):
            written.result()
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "part.partial").exists()
    if by_whom == "us":
        with pytest.raises(SealerFailed, match="nothing is sealed any more"):
            writer.write(SealNight(closed_night(range(10)), tmp_path / "part"))


def test_a_process_that_is_stopped_at_its_start_leaves_the_work_to_nobody(tmp_path):
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexec sleep 600\n")
    silent.chmod(0o755)
    writer = SealerProcess(str(silent), few_rows=0)
    with ThreadPoolExecutor(1) as threads, ended(writer):
        written = threads.submit(writer.write, SealNight(closed_night(range(10)), tmp_path / "part"))
        until(lambda: writer._process is not None)
        writer.stop()
        with pytest.raises(SealerFailed, match="nothing is sealed any more"):
            written.result()
    assert not (tmp_path / "part").exists()


ENDLESS = """
import time
from broker.store import sealer
class Endless:
    def write(self):
        print("at work", flush=True)
        time.sleep(600)
sealer.receive = lambda pipe: Endless()
sealer.main()
"""


def test_the_process_ends_with_the_one_that_started_it_and_not_before():
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS], bufsize=0, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert [process.stdout.readline() for _ in range(2)] == [sealer.READY, b"at work\n"]
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        process.stdin.close()
        assert process.wait(60) == 1


async def test_what_a_process_could_not_seal_is_sealed_the_next_time(tmp_path, hung):
    (tmp_path / "store").mkdir()
    async with Station(tmp_path / "store", StoreOptions(open_alerts=1000)) as station:
        await station.add(alerts_near(range(1001)))
        before = told(station.engine)
        station.store._sealing._sealer = broken = SealerProcess(str(hung), few_rows=0)
        sealing = asyncio.create_task(station.seal())
        # It may be at work before we know of it.
        await asyncio.to_thread(until, lambda: (tmp_path / "at_work").exists() and broken._process is not None)
        broken._process.kill()
        assert await sealing == 0
        assert told(station.engine) == before
        station.store._sealing._sealer = SealerProcess(few_rows=0)
        # It is not time to look again, and yet what was begun goes on.
        assert await station.seal() == 1001
        await station.add(alerts_near(range(2000, 3001)))
        assert await station.seal() == 1001
        station.clock.now_us = T0 + 2 * DAY
        assert await station.seal() == 2002
        before = told(station.engine)
        restored = await station.restart()
        assert (restored.sealed_alerts, restored.open_alerts) == (2002, 0)
        assert told(station.engine) == before
    reading = open_for_reading(tmp_path / "store")
    assert list(problems(reading, tmp_path / "store")) == []
    reading.close()


async def test_a_checkpoint_that_was_not_written_stays_due(tmp_path):
    async with Station(tmp_path) as station:
        await station.add(alerts_near(range(10)))
        await station.add(alerts_near(range(20, 30), reliability=0.0))
        before = [station.engine.index.state("ztf", f"ZTF{n}") for n in range(30)]
        station.clock.now_us = T0 + DAY
        folder = tmp_path / SEALED
        folder.rename(tmp_path / "away")
        folder.touch()
        assert await station.seal() == 0
        folder.unlink()
        (tmp_path / "away").rename(folder)
        assert await station.seal() == 10
        restored = await station.restart()
        assert (restored.sealed_alerts, restored.open_alerts, restored.noted_alerts) == (10, 0, 0)
        assert [station.engine.index.state("ztf", f"ZTF{n}") for n in range(30)] == before
