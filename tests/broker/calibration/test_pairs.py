"""Simulated bursts that two observatories placed, and the real ones."""

from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from bridges.files import find_files
from bridges.simulator.bursts import Event, fermi_chain, swift_chain
from broker.calibration.measures import Uniformity
from broker.calibration.pairs import STAGES, compare_pairs
from broker.calibration.report import PairReport
from broker.config import load_config
from broker.inputs import Inputs, read_inputs
from broker.reader import make_reader
from schemas.densities import GBM_STATISTICAL_FACTOR, skymap_of
from schemas.localisation import Cone, Systematics
from schemas.records import Message
from schemas.times import US_PER_S
from tests.schemas.maps import blob, flat

READER = make_reader(load_config(None), Path())


def notices_of(*chains):
    messages = [Message(notice.to_xml(), f"{number}.xml") for number, notice in enumerate(chain.from_iterable(chains))]
    return [notice for reading in READER.read(messages) for notice in reading.notices]


def burst(seed: int, apart_s: float = 0.0, dec_deg: float | None = None):
    """A burst seen by both; `dec_deg` moves Swift's."""
    random = np.random.default_rng(seed)
    event = Event(1_790_000_000 * US_PER_S + seed * 86_400 * US_PER_S, float(random.uniform(0, 360)), 20.0)
    seen_by_swift = replace(event, time_us=event.time_us + round(apart_s * US_PER_S), dec_deg=dec_deg or event.dec_deg)
    return notices_of(fermi_chain(random, event)[1], swift_chain(random, seen_by_swift, 9_000_000 + seed)[1])


def test_a_burst_has_a_level_in_each_kind_of_position():
    pairs = compare_pairs(Inputs(notices=burst(1)))
    assert pairs.bursts == 1
    assert [one.stage for one in pairs.levels] == ["flight", "ground", "final"]
    for one in pairs.levels:
        assert one.burst.startswith("fermi-gbm:")
        assert one.truth == "swift:9000001"
        assert 0 < one.level < 1
        assert one.radius_deg >= 1
        assert one.separation_deg < 90


def test_levels_are_uniform_if_positions_are_as_wrong_as_their_densities_say():
    report = PairReport.told(compare_pairs(Inputs(notices=[n for seed in range(120) for n in burst(seed)])))
    assert report.pairs.bursts > 100
    assert all(report.acceptance.values()), report.acceptance
    final = report.stages[-1]
    assert final.inside_50 == pytest.approx(0.5, abs=0.15)
    assert final.inside_90 == pytest.approx(0.9, abs=0.09)


def test_levels_that_are_not_uniform_are_told():
    pairs = compare_pairs(Inputs(notices=[n for seed in range(60) for n in burst(seed)]))
    # As they would be were every density a good deal wider than the errors are.
    wrong = replace(pairs, levels=tuple(replace(one, level=one.level**2) for one in pairs.levels))
    assert not any(PairReport.told(wrong).acceptance.values())


def test_positions_of_no_known_stage_are_left_out():
    def bare(notice):
        where = notice.localisation
        return notice if where is None else replace(notice, localisation=replace(where, systematics="included"))

    assert compare_pairs(Inputs(notices=[bare(notice) for notice in burst(7)])).levels == ()


@pytest.mark.parametrize("apart_s", [-190.0, 190.0])
def test_the_two_may_trigger_on_different_pulses(apart_s):
    (one, *_) = compare_pairs(Inputs(notices=burst(2, apart_s))).levels
    assert one.delay_s == pytest.approx(-apart_s, abs=0.1)


def test_bursts_at_other_times_are_no_pair():
    assert compare_pairs(Inputs(notices=burst(3, 250.0))).bursts == 0


def test_a_burst_in_the_other_hemisphere_is_another_one():
    pairs = compare_pairs(Inputs(notices=burst(4, 10.0, dec_deg=-85.0)))
    assert (pairs.bursts, pairs.levels) == (0, ())
    assert len(pairs.elsewhere) == 1


def test_what_swift_takes_for_no_burst_is_no_truth():
    notices = [replace(n, astrophysical=False) if n.mission == "Swift" else n for n in burst(5)]
    assert compare_pairs(Inputs(notices=notices)).bursts == 0


def test_the_official_map_is_a_stage_of_its_own():
    notices = burst(6)
    final = next(n for n in notices if n.notice_type == "FERMI_GBM_FIN_POS")
    where = final.localisation
    body = flat(blob(5, where.ra_deg, where.dec_deg, 5.0))
    pairs = compare_pairs(Inputs(notices=notices, maps={final.ivorn: Message(body, "map.fit")}))
    assert [one.stage for one in pairs.levels] == list(STAGES)
    assert pairs.levels[-1].radius_deg is None


@pytest.fixture(scope="module")
def real(data_dir) -> PairReport:
    files = find_files([data_dir / "voevent/curated", data_dir / "voevent/monthly_signal"])
    inputs = read_inputs([], files, READER, bytes_max=64 << 20, on_progress=lambda _steps: None)
    return PairReport.told(compare_pairs(inputs))


@pytest.mark.not_measured
def test_real_bursts_lie_where_the_densities_say(real):
    assert real.pairs.bursts == 28
    assert {stage.stage: stage.levels.count for stage in real.stages} == {"flight": 28, "ground": 26, "final": 25}
    assert {stage.stage: round(stage.levels.p, 2) for stage in real.stages} == {
        "flight": 0.94,
        "ground": 0.86,
        "final": 0.1,
    }
    assert all(stage.inside_90 == pytest.approx(0.9, abs=0.04) for stage in real.stages)
    assert all(real.acceptance.values())


@pytest.mark.not_measured
def test_flight_positions_need_half_their_statistical_radius(real):
    """As published they are too wide; with a factor that each burst's own position had no part in they are not."""
    flights = [one for one in real.pairs.levels if one.stage == "flight"]
    factors = np.arange(0.1, 1.55, 0.05)
    of_factor = [[_flight(one, float(factor)) for one in flights] for factor in factors]
    levels, logs = np.array(of_factor).transpose(2, 1, 0)
    assert Uniformity.of(levels[:, np.argmin(np.abs(factors - 1.0))]).p < 0.01
    likely = logs.sum(axis=0)
    assert factors[np.argmax(likely)] == pytest.approx(0.45, abs=0.01)
    within = factors[likely > likely.max() - 0.5]
    assert within.min() < GBM_STATISTICAL_FACTOR[Systematics.GBM_FLIGHT] < within.max()
    without = [np.argmax(likely - logs[burst]) for burst in range(len(flights))]
    left_out = Uniformity.of(levels[np.arange(len(flights)), without])
    assert left_out.p > 0.5


def _flight(burst, factor: float) -> tuple[float, float]:
    """Level and logarithm of the density of the true position if the reported radius counted this much."""
    radius_deg = burst.radius_deg * factor / GBM_STATISTICAL_FACTOR[Systematics.GBM_FLIGHT]
    density = skymap_of(Cone(0.0, 0.0, min(radius_deg, 90.0), 0.68, Systematics.GBM_FLIGHT))
    where = np.array([burst.separation_deg]), np.zeros(1), np.zeros(1, np.int64)
    return float(density.credible_level(*where)[0]), float(np.log(density.density_per_sr(*where)[0]))
