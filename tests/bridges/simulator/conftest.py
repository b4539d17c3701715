"""A night small enough to be simulated in each worker."""

import pytest

from bridges.simulator import NightPlan, SimulatedNight, simulate

SMALL = NightPlan(
    nights=4,
    history_d=4.0,
    variables=25,
    supernovae=60,
    outbursts=40,
    asteroids=40,
    artefacts=40,
    bursts_seen=3,
    bursts_unseen=1,
)


@pytest.fixture(scope="session")
def small_plan() -> NightPlan:
    return SMALL


@pytest.fixture(scope="session")
def night() -> SimulatedNight:
    return simulate(20, SMALL)
