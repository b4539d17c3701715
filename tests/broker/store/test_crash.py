"""What was told to be kept is there after kill -9 at any moment, once, and nothing half.

STARCROSS_TEST_CRASHES says how often to kill (by default twice).
"""

import os
import random
import signal
import subprocess
import sys

import pytest

from broker.store.checking import problems
from broker.store.database import open_for_reading
from tests.broker.store.crashing import NOTICE, OPTIONS, alerts_from, station_in, time_of
from tests.broker.store.made import an_engine, told
from tests.children import unmeasured
from tests.conftest import PROJECT
from tests.matchers.made import taken

CRASHES = int(os.environ.get("STARCROSS_TEST_CRASHES", "2"))


def killed(folder, seed, few_rows, lines):
    """Run the process and kill it, some microseconds after so many lines; the last of what it told of each kind."""
    command = [sys.executable, "-m", "tests.broker.store.crashing", str(folder), str(seed), str(few_rows)]
    last = {"kept": 0, "done": 0}
    with subprocess.Popen(command, cwd=PROJECT, env=unmeasured(), stdout=subprocess.PIPE, text=True) as process:
        for _, line in zip(range(lines), process.stdout, strict=False):
            what, number = line.split()
            last[what] = int(number)
        process.send_signal(signal.SIGKILL)
        for line in process.stdout:
            if line.endswith("\n"):
                what, number = line.split()
                last[what] = int(number)
    assert process.returncode == -signal.SIGKILL
    return last


@pytest.mark.not_measured
@pytest.mark.parametrize("few_rows", [0, 1 << 20], ids=["sealed by a process", "sealed by a thread"])
async def test_nothing_kept_is_lost_and_nothing_is_there_twice(tmp_path, few_rows):
    chance = random.Random(7)
    kept = 0
    for seed in range(CRASHES):
        last = killed(tmp_path, seed, few_rows, chance.randrange(1, 40))
        async with station_in(tmp_path) as station:
            end = station.store.positions("station").get("next", 0)
            assert end >= max(last["kept"], kept)
            kept = end
            known = told(station.engine)
            horizon_us = station.engine.horizon_us
            expected = [n for n in range(end) if n % 5 and time_of(n) >= horizon_us]
            assert [row[1] for row in known["alerts"]] == expected
            assert all(state.detections == 1 for state in known["objects"].values())
            if station.store.backlog("sink").count:
                (first, *_) = await station.store.next("sink", 1)
                assert first.id > last["done"]
        database = open_for_reading(tmp_path)
        assert list(problems(database, tmp_path)) == []
        said = {row[0] for row in database.execute("SELECT DISTINCT id FROM coincidence")}
        waiting = {row[0] for row in database.execute("SELECT DISTINCT coincidence_id FROM outbox")}
        routed = {row[0] for row in database.execute("SELECT coincidence_id FROM routed")}
        assert waiting <= said == routed
        database.close()
        assert said == _without_a_crash(end)


def _without_a_crash(end):
    """Ids of the coincidences of these alerts."""
    engine = an_engine()
    for _ in engine.put_notice(NOTICE, station_in(OPTIONS.folder)._density(NOTICE), time_of(0)):
        pass
    if end:
        taken(engine, alerts_from(0, end), time_of(0))
    return {said.id for said in engine.ledger}
