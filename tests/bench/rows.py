"""What a benchmark tells: one row a measurement, with its spread and, if there is one, a baseline of the same run."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement.

    Attributes
    ----------
    name, size
        What was measured, and on how much.
    unit
        ``alerts/s``, where more is better, or ``ms``, ``s``, ``MB`` or ``%``, where less is.
    median, low, high
        Over the repeats.
    baseline, baseline_median
        What else did the same work in the same run, and its figure in the same unit; empty and None without.
    bytes_an_alert
        Memory of what was measured, where that is told.
    """

    name: str
    size: str
    unit: str
    median: float
    low: float
    high: float
    baseline: str = ""
    baseline_median: float | None = None
    bytes_an_alert: float | None = None

    @property
    def amount(self) -> int:
        """The number that the size begins with."""
        return int(self.size.split()[0].replace(",", ""))

    @property
    def ratio(self) -> float | None:
        """How many times better than the baseline."""
        if self.baseline_median is None:
            return None
        better, worse = self.median, self.baseline_median
        return better / worse if self.unit == "alerts/s" else worse / better


def seconds_of(work: Callable[[], object], repeats: int, *, warm: bool = True) -> list[float]:
    """How long it takes, each time."""
    if warm:
        work()
    return [_seconds(work) for _ in range(repeats)]


def row_of_rates(name: str, size: str, alerts: int, seconds: list[float], **more: object) -> Row:
    """Of how long so many alerts took, each time."""
    rates = [alerts / value for value in seconds]
    return Row(name, size, "alerts/s", median(rates), min(rates), max(rates), **more)  # type: ignore[arg-type]


def row_of_ms(name: str, size: str, seconds: list[float], **more: object) -> Row:
    """Of how long each of several like things took."""
    return row_of(name, size, "ms", [value * 1e3 for value in seconds], **more)


def slowest_in_100(name: str, size: str, seconds: list[float]) -> Row:
    """Of the slowest hundredth of like things; its lowest is what 99 % did not exceed."""
    return row_of_ms(f"{name}, slowest in 100", size, sorted(seconds)[-max(len(seconds) // 100, 1) :])


def row_of(name: str, size: str, unit: str, values: list[float], **more: object) -> Row:
    """Of values of which less is better."""
    return Row(name, size, unit, median(values), min(values), max(values), **more)  # type: ignore[arg-type]


def rate(alerts: int, seconds: list[float]) -> float:
    """Alerts a second, in the median."""
    return alerts / median(seconds)


def _seconds(work: Callable[[], object]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start
