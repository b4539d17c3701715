"""The player: clock and order of the data, and maps that notices link to."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from bridges.folder import OutputFolder
from broker.config import load_config
from broker.inputs import Inputs
from broker.registry import make_matchers
from broker.replay import Player
from schemas.errors import Reason
from schemas.localisation import InlineMap
from schemas.records import Message, Role
from schemas.voevent_out import VoeventAuthor
from tests.matchers.made import DAY, MINUTE, T0, alerts_of, cone, notice_of
from tests.schemas.maps import blob, flat

SECOND = 1_000_000


@pytest.fixture
def player(tmp_path: Path) -> Iterator[Callable[..., Player]]:
    """Makes players; each writes to a folder of its own."""
    with ExitStack() as stack:

        def make(inputs: Inputs, *settings: str) -> Player:
            config = load_config(None, settings)
            folder = tempfile.mkdtemp(dir=tmp_path)
            out = stack.enter_context(OutputFolder(Path(folder), VoeventAuthor("org.example", "test")))
            return Player(config, make_matchers(config, Path()), inputs, out)

        yield make


def alerts(times: list[int], survey: str = "ztf"):
    rows = [{"id": n, "obj": f"o{n}", "t": time, "ra": 10.0, "dec": 20.0} for n, time in enumerate(times)]
    return alerts_of(rows, survey)


def heard(played: Player) -> list[tuple[str, int, int]]:
    """What the engine was given: kind, how many, and the clock."""
    given = []
    add, put = played.engine.add_alerts, played.engine.put_notice

    def add_alerts(batch):
        given.append((batch.survey, len(batch), int(batch.time_us[-1]) - T0))
        return add(batch)

    def put_notice(notice, skymap, now_us):
        given.append(("notice", 1, now_us - T0))
        return put(notice, skymap, now_us)

    played.engine.add_alerts, played.engine.put_notice = add_alerts, put_notice
    assert sum(played.play()) == played.total
    return given


def test_a_notice_comes_before_the_alerts_of_the_same_instant_and_ends_a_batch(player):
    inputs = Inputs({"ztf": alerts([T0, T0 + 1, T0 + 2])}, [notice_of(issued_us=T0 + 1)])
    assert heard(player(inputs)) == [("ztf", 1, 0), ("notice", 1, 1), ("ztf", 2, 2)]


def test_batches_end_with_their_span_and_their_size(player):
    times = [T0 + n * SECOND for n in range(10)]
    played = player(Inputs({"ztf": alerts(times)}), "replay.batch_s=4", "replay.batch_alerts=3")
    assert heard(played) == [
        ("ztf", 3, 2 * SECOND),
        ("ztf", 3, 5 * SECOND),
        ("ztf", 3, 8 * SECOND),
        ("ztf", 1, 9 * SECOND),
    ]
    played = player(Inputs({"ztf": alerts(times)}), "replay.batch_s=4")
    assert [count for _, count, _ in heard(played)] == [4, 4, 2]


def test_a_batch_of_more_alerts_at_one_instant_than_fit_is_still_taken_apart(player):
    played = player(Inputs({"ztf": alerts([T0] * 5)}), "replay.batch_alerts=2")
    assert heard(played) == [("ztf", 2, 0), ("ztf", 2, 0), ("ztf", 1, 0)]


def test_surveys_are_interleaved_by_time(player):
    inputs = Inputs({"lsst": alerts([T0 + DAY], "lsst"), "ztf": alerts([T0, T0 + 2 * DAY])})
    assert [(name, at // DAY) for name, _, at in heard(player(inputs))] == [
        ("ztf", 0), ("lsst", 1), ("ztf", 2),
    ]  # fmt: skip


LINK = "https://h/m.fits"


@pytest.mark.parametrize(
    ("maps", "counts", "localised"),
    [
        ({}, {"linked": 1, "found": 0, "missing": 1}, "Fisher"),
        ({"ivo://t/n#1": flat(blob(3))}, {"linked": 1, "found": 1, "missing": 0}, "map"),
        ({"ivo://t/n#1": flat(np.zeros(12))}, {"linked": 1, "found": 0, "missing": 1}, "Fisher"),
    ],
)
def test_a_linked_map_is_used_where_it_can_be_and_else_the_notices_own_position(player, maps, counts, localised):
    inputs = Inputs({}, [notice_of(skymap_url=LINK)])
    inputs.maps = {ivorn: Message(body, "maps/m.fits") for ivorn, body in maps.items()}
    played = player(inputs)
    heard(played)
    (trigger,) = played.engine.triggers()
    assert trigger.skymap
    assert (localised in trigger.skymap.model) or localised == "map"
    assert ("Fisher" in trigger.skymap.model) == (localised == "Fisher")
    assert dict(played.maps) == counts
    expected = [("maps/m.fits", Reason.NOT_NORMALISED)] if counts["missing"] and maps else []
    assert [(r.origin, r.reason) for r in played.rejected] == expected


def test_a_trigger_without_a_position_waits_for_one(player):
    first = notice_of(localisation=None, skymap_url=LINK)
    second = notice_of(ivorn="ivo://t/n#2", issued_us=T0 + DAY, localisation=cone())
    inputs = Inputs({"ztf": alerts([T0 + 2 * MINUTE])}, [first, second])
    played = player(inputs)
    heard(played)
    (found,) = played.engine.ledger
    assert found.changed_us == T0 + DAY
    assert played.engine.counts.changes == {"proposed": 1}


def test_a_map_inside_a_notice_that_cannot_be_read_is_rejected_by_the_notices_name(player):
    played = player(Inputs({}, [notice_of(localisation=InlineMap(b"SIMPLE  ="))]))
    heard(played)
    assert [(r.origin, r.reason) for r in played.rejected] == [("n/1", Reason.TRUNCATED)]
    (trigger,) = played.engine.triggers()
    assert trigger.skymap is None


@pytest.mark.parametrize("role", [Role.TEST, Role.MOCK])
def test_maps_of_tests_are_read_only_if_tests_are_searched(player, role):
    inputs = Inputs({}, [notice_of(role=role, skymap_url=LINK)])
    left_out = player(inputs)
    heard(left_out)
    assert left_out.maps["linked"] == 0
    searched = player(inputs, "triggers.include_tests=true")
    heard(searched)
    assert searched.maps["linked"] == 1


def test_the_summary_counts_what_was_played(player):
    rows = [
        {"id": 1, "obj": "a", "t": T0 + MINUTE, "ra": 10.0, "dec": 20.0},
        {"id": 1, "obj": "a", "t": T0 + MINUTE, "ra": 10.0, "dec": 20.0},
        {"id": 2, "obj": "b", "t": T0 + DAY, "ra": 10.0, "dec": 20.0, "reliability": 0.1},
    ]
    inputs = Inputs({"ztf": alerts_of(rows)}, [notice_of(), notice_of()])
    inputs.messages.update({"messages": 5, "notices": 2, "skymaps": 0})
    played = player(inputs)
    heard(played)
    summary = played.summary(4, [])
    assert summary["alerts"]["ztf"] == {
        "read": 3,
        "duplicates": 1,
        "cut": {"reliability": 1},
        "indexed": 1,
        "first_utc": "2020-01-07T04:01:00.000000Z",
        "last_utc": "2020-01-08T04:00:00.000000Z",
    }
    assert (summary["notices"]["of_triggers"], summary["notices"]["duplicates"]) == (2, 1)
    assert summary["triggers"]["searched_by"] == {"grb": 1}
    assert summary["coincidences"] == {"live": 1, "withdrawn": 0}
    assert player(Inputs()).summary(0, [])["notices"]["first_utc"] is None
