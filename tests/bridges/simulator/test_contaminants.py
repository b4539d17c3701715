from collections import Counter, defaultdict
from itertools import count

import numpy as np
import pytest

from bridges.simulator import NightPlan
from bridges.simulator.contaminants import contaminants
from bridges.simulator.detections import Camera, Nature
from bridges.simulator.sphere import ecliptic_latitude_deg
from bridges.simulator.survey import observe

PLAN = NightPlan(nights=5, variables=80, supernovae=150, outbursts=150, asteroids=200, artefacts=100)


@pytest.fixture(scope="module")
def sky():
    visits = observe(np.random.default_rng(1), PLAN.start_us, range(-6, PLAN.nights), 2)
    camera = Camera(np.random.default_rng(2), visits)
    numbers = count()
    sources = list(contaminants(np.random.default_rng(3), PLAN, camera, lambda: f"SIM{next(numbers)}"))
    seen = defaultdict(list)
    for source in sources:
        found = camera.look(source)
        if found:
            seen[source.nature].append((source, found))
    return sources, seen


def test_there_are_as_many_as_planned_each_with_its_own_name(sky):
    sources, _ = sky
    assert Counter(s.nature for s in sources) == {
        Nature.VARIABLE: 80,
        Nature.SUPERNOVA: 150,
        Nature.OUTBURST: 150,
        Nature.ASTEROID: 200,
        Nature.ARTEFACT: 100,
    }
    assert len({s.object_id for s in sources}) == len(sources)


def test_variables_are_old_and_have_a_catalogued_source_on_top(sky):
    for source, _ in sky[1][Nature.VARIABLE]:
        assert source.known_since_us < PLAN.start_us
        assert 0 <= source.neighbours.ps1_arcsec < 2
    assert sum(0 <= s.neighbours.gaia_arcsec < 2 for s, _ in sky[1][Nature.VARIABLE]) > 20


def test_some_supernovae_are_new_and_some_are_not(sky):
    new = [found[0].time_us >= PLAN.start_us and s.known_since_us is None for s, found in sky[1][Nature.SUPERNOVA]]
    assert 5 < sum(new) < len(new) - 5


def test_moving_things_and_artefacts_are_seen_once(sky):
    for nature in (Nature.ASTEROID, Nature.ARTEFACT):
        assert {len(found) for _, found in sky[1][nature]} == {1}
        assert len(sky[1][nature]) > 80


def test_asteroids_are_near_the_ecliptic_and_mostly_known(sky):
    asteroids = [s for s, _ in sky[1][Nature.ASTEROID]]
    latitudes = [abs(float(ecliptic_latitude_deg(s.ra_deg, s.dec_deg))) for s in asteroids]
    assert np.median(latitudes) < 15
    known = np.mean([s.neighbours.solar_system_arcsec >= 0 for s in asteroids])
    assert 0.7 < known < 0.9


def test_outbursts_are_new(sky):
    assert all(s.known_since_us is None for s, _ in sky[1][Nature.OUTBURST])


def test_a_few_of_all_kinds_but_variables_survive_the_published_cuts(sky):
    surviving = {
        nature: sum(any(d.is_good and d.time_us >= PLAN.start_us for d in found) for _, found in found_of)
        for nature, found_of in sky[1].items()
    }
    assert surviving[Nature.ASTEROID] > 5
    assert surviving[Nature.SUPERNOVA] > 5
    assert surviving[Nature.OUTBURST] > 5
    assert surviving[Nature.ARTEFACT] < 10
    assert surviving[Nature.VARIABLE] == 0
