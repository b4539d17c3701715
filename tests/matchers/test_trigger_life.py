"""Real events: whatever the order of their notices, and however often they come, triggers end in the same state."""

import random
import re
import tarfile
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import fields
from functools import cache
from itertools import groupby, permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from matchers.cases import Cases
from matchers.statements import order_of
from schemas.catalogue import SchemaCatalogue
from schemas.densities import skymap_of
from schemas.errors import BadInput
from schemas.localisation import Cone
from schemas.pixels import separation_deg
from schemas.reading import read_message
from schemas.records import Message, Notice, Trigger
from schemas.sky import SkyMap
from schemas.voevent_notice import read_voevent

ALL_ORDERS_UP_TO = 6
RANDOM_ORDERS = 40
Told = list[tuple[Notice, SkyMap | None]]


@cache
def told_in(folder: Path) -> Told:
    """The notices below a folder that are about triggers, each with the density of its position."""
    return [pair for path in sorted(folder.rglob("*")) if path.is_file() for pair in told_of(path)]


def told_of(path: Path) -> Told:
    reading = read_message(Message(path.read_bytes(), path.name), SchemaCatalogue())
    return [(n, skymap_of(n.localisation) if n.localisation else None) for n in reading.notices]


def orders(told: Told, seed: int) -> Iterable[Told]:
    """All orders of a few notices; of many the reversed, all rotations and random ones, some twice over."""
    if len(told) <= ALL_ORDERS_UP_TO:
        yield from map(list, permutations(told))
    else:
        yield told[::-1]
        yield from (told[k:] + told[:k] for k in range(1, len(told)))
    chance = random.Random(seed)
    for _ in range(RANDOM_ORDERS):
        yield chance.sample(told, len(told)) + chance.choices(told, k=len(told) // 2)


def heard(told: Told) -> Cases:
    cases = Cases()
    for now_us, (notice, skymap) in enumerate(told):
        cases.hear(notice, skymap, now_us)
    return cases


def states(cases: Cases) -> dict[str, dict[str, Any] | None]:
    """All of each trigger's state; a sky map is the same if it is the same object."""
    return {name: case.trigger and _parts(case.trigger) for name, case in cases.items()}


def _parts(trigger: Trigger) -> dict[str, Any]:
    parts = {part.name: getattr(trigger, part.name) for part in fields(Trigger)}
    return parts | {"skymap": id(trigger.skymap)}


def events(data_dir: Path) -> list[Path]:
    return sorted((data_dir / "voevent" / "curated").iterdir())


@pytest.mark.not_measured
def test_every_event_ends_in_the_same_state_in_whatever_order_its_notices_come(data_dir):
    tried = 0
    for folder in events(data_dir):
        told = told_in(folder)
        expected = states(heard(told))
        assert any(expected.values()), folder.name
        for order in orders(told, len(told)):
            assert states(heard(order)) == expected, folder.name
            tried += 1
    assert len(events(data_dir)) == 51
    assert tried > 51 * RANDOM_ORDERS


def test_many_events_at_once_are_what_each_is_alone(data_dir):
    told = [pair for folder in events(data_dir) for pair in told_in(folder)]
    expected = states(heard(told))
    assert len(expected) > 80
    for folder in events(data_dir):
        alone = states(heard(told_in(folder)))
        assert {name: expected[name] for name in alone} == alone
    chance = random.Random(5)
    for _ in range(3):
        assert states(heard(chance.sample(told, len(told)) + chance.choices(told, k=50))) == expected


RELEVANT = re.compile(
    r"/Fermi/GBM_(Alert|Flt|Gnd|Fin)|/SWIFT/(BAT_(GRB|QL|Trans)|XRT_Pos|UVOT_Pos)|/LVC/|/AMON/|/INTEGRAL/|/GECAM"
)


@pytest.fixture(scope="module")
def of_27_months(data_dir) -> dict[str, list[Notice]]:
    """By trigger the notices of six observatories in the archives of 27 months, in a random order."""
    told: defaultdict[str, list[Notice]] = defaultdict(list)
    for archive in sorted((data_dir / "voevent" / "monthly_signal").glob("*.tar.gz")):
        with tarfile.open(archive, "r|*") as tar:
            for member in tar:
                stream = tar.extractfile(member) if RELEVANT.search("/" + member.name) else None
                if stream is not None:
                    with suppress(BadInput):
                        notice = read_voevent(Message(stream.read(), member.name))
                        told[notice.trigger_id or ""].append(notice)
    told.pop("", None)
    chance = random.Random(27)
    return {name: chance.sample(notices, len(notices)) for name, notices in told.items()}


def state_of(notices: Iterable[Notice]) -> Trigger:
    """Of the one trigger of these notices."""
    ((_, case),) = heard([(notice, None) for notice in notices]).items()
    assert case.trigger is not None
    return case.trigger


def most_likely(trigger: Trigger) -> str:
    return max(trigger.classification, key=trigger.classification.__getitem__, default="")


def separation(one: Cone, other: Cone) -> float:
    return float(separation_deg(np.array([one.ra_deg]), np.array([one.dec_deg]), other.ra_deg, other.dec_deg)[0])


@pytest.mark.not_measured
class TestWhatBecomesOfTriggers:
    """Retractions and reclassifications that really happened, with how often they did."""

    def test_gbm_triggers_that_are_reclassified_end_as_what_was_said_last(self, of_27_months):
        stories: Counter[tuple[bool, ...]] = Counter()
        classes: Counter[str] = Counter()
        for name, notices in of_27_months.items():
            if name.startswith("fermi-gbm:"):
                claims = [n.astrophysical for n in sorted(notices, key=order_of) if n.astrophysical is not None]
                trigger = state_of(notices)
                assert trigger.astrophysical is (claims[-1] if claims else None)
                stories[tuple(claim for claim, _ in groupby(claims))] += 1
                if trigger.astrophysical is False:
                    classes[most_likely(trigger)] += 1
        assert (stories[True, False], stories[False, True]) == (16, 13)
        assert (stories[False, True, False], stories[True, False, True]) == (4, 3)
        assert classes == {"TGF": 163, "BELOW_HORIZON": 75, "SOLAR_FLARE": 46, "UNRELIABLE_LOCATION": 14}

    def test_particles_and_magnetars_that_gbm_is_not_sure_of_are_told_by_their_class(self, of_27_months):
        """It never was as sure as 90 % of these, so they are still searched, and filters can ask for the class."""
        told: Counter[str] = Counter()
        for name, notices in of_27_months.items():
            if name.startswith("fermi-gbm:") and (trigger := state_of(notices)).astrophysical is None:
                told[most_likely(trigger)] += 1
        assert told["DISTANT_PARTICLES"] == told["SGR_1806_20"] == 3

    def test_superevents_that_were_retracted(self, of_27_months):
        retracted = {
            name.removeprefix("lvk:")
            for name, notices in of_27_months.items()
            if name.startswith("lvk:S") and state_of(notices).retracted
        }
        assert retracted == {
            "S190405ar", "S190518bb", "S190524q", "S200106au", "S200106av", "S200108v", "S200116ah", "S230524x",
            "S230708bi", "S230712a", "S230715bw", "S231030av",
        }  # fmt: skip

    def test_a_revision_of_icecube_moves_the_position(self, of_27_months):
        moved = []
        for name, notices in of_27_months.items():
            if name.startswith("icecube:") and len(notices) > 1:
                first, *_, last = sorted(notices, key=lambda notice: notice.serial)
                trigger = heard_with_positions(notices)
                assert trigger.localised_by is last
                assert isinstance(first.localisation, Cone)
                assert isinstance(last.localisation, Cone)
                moved.append(separation(last.localisation, first.localisation) / first.localisation.radius_deg)
        assert len(moved) == 20
        assert sum(distance > 1 for distance in moved) == 8

    def test_what_swift_saw_while_its_star_tracker_was_lost_is_no_burst_even_with_a_position_of_xrt(self, of_27_months):
        lost, with_xrt = 0, 0
        for name, notices in of_27_months.items():
            bat = [n for n in notices if n.instrument == "BAT"]
            if name.startswith("swift:") and bat and is_lost(max(bat, key=order_of)):
                assert state_of(notices).astrophysical is False
                lost += 1
                with_xrt += any(n.notice_type == "SWIFT_XRT_POSITION" for n in notices)
        assert (lost, with_xrt) == (31, 14)

    def test_others_that_turned_out_to_be_no_bursts(self, of_27_months):
        no_bursts = Counter(
            name.partition(":")[0] for name, notices in of_27_months.items() if state_of(notices).astrophysical is False
        )
        assert no_bursts == {"fermi-gbm": 298, "swift": 56, "gecam": 23, "integral": 7}


def heard_with_positions(notices: Iterable[Notice]) -> Trigger:
    told = [(notice, skymap_of(notice.localisation) if notice.localisation else None) for notice in notices]
    ((_, case),) = heard(told).items()
    assert case.trigger is not None
    return case.trigger


def is_lost(notice: Notice) -> bool:
    return "true" in {notice.params.get("StarTrack_Lost_Lock"), notice.params.get("ImTrig_during_ST_LoL")}


@pytest.mark.parametrize(
    ("paths", "trigger_id"),
    [
        (["gcn-kafka/gwcelery-3.0.0/kafka_alert_chime_*.json"], "chime:427325191"),
        (["gcn-kafka/gcn-schema/notices/chime/*.example.json"], "chime:427325191"),
        (["gcn-kafka/gcn-schema/notices/dsa110/*.example.json"], "dsa110:240918aaaa"),
        (["gcn-kafka/gcn-schema/notices/maxi/gsc.unknown.*.example.json"], "maxi:9995289617"),
        (["gcn-kafka/gcn-schema/notices/swift/bat/*.example.json"], "swift-guano:694215995"),
        (["gcn-kafka/gwcelery-3.0.0/kafka_alert_icecube_*.json"], "icecube:137842_57034692"),
        (["gcn-kafka/lvk-userguide/*"], "lvk:MS181101ab"),
        (["gcn-kafka/gcn-notice-parser-0.2.0/fixtures/svom/*/*.xml"], "svom:sb26050405"),
        (["gcn-kafka/gcn-notice-parser-0.2.0/fixtures/svom/*/*.xml"], "svom:sb26043009"),
    ],
)
def test_triggers_that_were_taken_back(data_dir, paths, trigger_id):
    files = sorted(file for pattern in paths for file in data_dir.glob(pattern))
    told = [
        (n, None) for file in files for n in read_message(Message(file.read_bytes(), ""), SchemaCatalogue()).notices
    ]
    for order in (told, told[::-1]):
        cases = heard(order)
        assert (case := cases.get(trigger_id)) is not None
        assert case.retracted
        assert case.trigger is None or case.trigger.retracted


@pytest.mark.parametrize(
    ("classic", "json", "trigger_id", "statements"),
    [
        ("voevent/curated/GW_S230518h/*Initial*", "fink-mm/VODB/lvk/initial.txt", "lvk:S230518h", 1),
        ("voevent/curated/GW_S230518h/*", "fink-mm/VODB/lvk/initial.txt", "lvk:S230518h", 4),
        ("voevent/voevent2dict/*LVC_PRELIMINARY.xml", "voevent/voevent2dict/igwn.gwalert.json", "lvk:MS250122h", 1),
    ],
)
def test_the_classic_and_the_json_form_of_a_notice_are_one_revision(data_dir, classic, json, trigger_id, statements):
    told = [pair for pattern in (classic, json) for file in sorted(data_dir.glob(pattern)) for pair in told_of(file)]
    official = next(skymap for _, skymap in told if skymap is not None)
    expected = states(heard(told))
    for order in (told, told[::-1], told[1:] + told[:1], told + told):
        cases = heard(order)
        assert states(cases) == expected
        case = cases.get(trigger_id)
        assert case is not None
        assert case.trigger is not None
        assert (case.trigger.revision, case.trigger.skymap) == (statements, official)
        linking = [notice.notice_type for notice in case.unmapped()]
        assert linking == ["LVC_UPDATE"] * 2 * (statements == 4)
