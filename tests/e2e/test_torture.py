"""A short run of the crash test; `make torture` is the long one."""

import pytest

from tests.e2e.torture.run import Plan, torture
from tests.kafka_server import own_kafka


@pytest.mark.not_measured
async def test_nothing_is_lost_doubled_or_wrong_after_kills_at_any_moment(tmp_path):
    async with own_kafka() as kafka:
        report = await torture(Plan(seed=3, kills=6, per_s=110.0, kafka_every=4, messages=1500), kafka, tmp_path)
    assert report.wrong == [], report.text()
    assert (report.kills.total(), report.kafka_kills) == (6, 1)
    assert report.restores
