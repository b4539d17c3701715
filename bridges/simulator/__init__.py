"""Simulated nights: alerts in ZTF's own format, notices of bursts, mergers and neutrinos, and the truth.

Nothing here can be taken for an observation: VOEvents have ``role="test"``, gravitational-wave candidates
are mocks (``MS...``), objects are called ``SIM...`` and packets name the simulator as their publisher.
"""

from bridges.simulator.night import SimulatedNight, TimedMessage, simulate, simulate_on
from bridges.simulator.plan import NightPlan
from bridges.simulator.source import SimulatorSource
from bridges.simulator.truth import Injection

__all__ = ["Injection", "NightPlan", "SimulatedNight", "SimulatorSource", "TimedMessage", "simulate", "simulate_on"]
