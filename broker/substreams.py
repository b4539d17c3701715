"""Substreams: which coincidences go to which subscribers.

A substream that has sent a coincidence sends all its later revisions, whatever its condition says of them: who was told
of a proposal hears of its changes and of its withdrawal.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydantic import Field

from bridges.options import Options
from broker.python_files import load_from_file
from matchers.nights import night_of
from matchers.rank import rank
from schemas.errors import ConfigurationError
from schemas.records import Coincidence, State

Condition = Callable[[Coincidence], bool]


class SubstreamOptions(Options):
    """One substream: a condition, or a function of the user's for what a condition cannot say."""

    where: str = Field("", description="A condition on coincidence, trigger and object; empty admits all.")
    python: str | None = Field(
        None, description="Instead: `file.py:function`, given a coincidence; relative to this file."
    )
    include_tests: bool = Field(False, description="Send coincidences with test and mock triggers too.")
    most_per_night: int | None = Field(
        None, ge=1, description="New coincidences that are sent a night, the best ranked first; what is beyond is kept."
    )
    description: str = Field("", description="What it is for, in a sentence.")


@dataclass(frozen=True, slots=True)
class Substream:
    """A substream, its condition checked and ready."""

    name: str
    options: SubstreamOptions
    condition: Condition

    def admits(self, coincidence: Coincidence) -> bool:
        """Whether a coincidence that was not sent before belongs to it; what is private belongs to none."""
        if coincidence.state is State.WITHDRAWN or coincidence.trigger.private_to:
            return False
        if coincidence.trigger.test and not self.options.include_tests:
            return False
        return self.condition(coincidence)


def make_substreams(options: Mapping[str, SubstreamOptions], folder: Path) -> list[Substream]:
    """The substreams of a configuration, sorted by name.

    Parameters
    ----------
    folder
        Where relative paths of the configuration start.

    Raises
    ------
    ConfigurationError
        Naming the key, such as ``substreams.bright.where``, and the place in its text.
    """
    return [Substream(name, given, _condition(name, given, folder)) for name, given in sorted(options.items())]


def _condition(name: str, options: SubstreamOptions, folder: Path) -> Condition:
    key = f"substreams.{name}"
    if options.python:
        if options.where:
            raise ConfigurationError(f"{key}: has both where and python; one of them decides")
        function = load_from_file(f"{key}.python", options.python, folder)
        if not callable(function):
            raise ConfigurationError(f"{key}.python: {options.python} is no function")
        return lambda coincidence: bool(function(coincidence))
    if not options.where.strip():
        return lambda _: True
    # The language takes a third of a second: it is for who has a condition.
    from matchers.selection import Selection  # noqa: PLC0415

    try:
        return Selection.of(options.where).holds
    except ConfigurationError as error:
        raise ConfigurationError(f"{key}.where: {error}") from error


@dataclass(slots=True)
class Routes:
    """What goes where.

    Attributes
    ----------
    sent
        By change, in the order given: the substreams that send it, sorted; those that none sends are left out.
    capped
        Name of a substream and the coincidence that was beyond its number of the night.
    failed
        Name of a substream and what its function raised.
    """

    sent: list[tuple[Coincidence, tuple[str, ...]]] = field(default_factory=list)
    capped: list[tuple[str, Coincidence]] = field(default_factory=list)
    failed: list[tuple[str, Exception]] = field(default_factory=list)


class Router:
    """Decides for each change which substreams send it, and remembers what each has sent.

    Parameters
    ----------
    sent
        What substreams sent in earlier runs: name of the substream, id of the coincidence, and the instant (us) of
        the revision that was sent first.
    """

    def __init__(self, substreams: Sequence[Substream], sent: Iterable[tuple[str, str, int]] = ()) -> None:
        self.substreams = list(substreams)
        self._sent: defaultdict[str, set[str]] = defaultdict(set)
        self._of_night: Counter[tuple[str, int]] = Counter()
        for name, coincidence_id, changed_us in sent:
            self._remember(name, coincidence_id, changed_us)

    def with_substreams(self, substreams: Sequence[Substream]) -> "Router":
        """A router of other substreams that remembers what those of the same names have sent."""
        router = Router(substreams)
        router._sent, router._of_night = self._sent, self._of_night
        return router

    def route(self, changes: Sequence[Coincidence]) -> Routes:
        """Where these changes go; of new ones the best ranked are admitted first."""
        admitted: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
        routes = Routes()
        places: dict[str, int] = {}
        for place, change in enumerate(rank(changes)):
            places.setdefault(change.id, place)
        # Of one coincidence the earlier revision is asked first: what it is not sent for, a better one does not change.
        for change in sorted(changes, key=lambda change: (places[change.id], change.revision)):
            revision = change.id, change.revision
            for substream in self.substreams:
                if change.id in self._sent[substream.name]:
                    admitted[revision].add(substream.name)
                elif self._admits(substream, change, routes):
                    if self._is_full(substream, change.changed_us):
                        routes.capped.append((substream.name, change))
                    else:
                        self._remember(substream.name, change.id, change.changed_us)
                        admitted[revision].add(substream.name)
        for change in changes:
            names = admitted.get((change.id, change.revision))
            if names:
                routes.sent.append((change, tuple(sorted(names))))
        return routes

    def _admits(self, substream: Substream, change: Coincidence, routes: Routes) -> bool:
        try:
            return substream.admits(change)
        except Exception as error:  # noqa: BLE001 - the user's function may raise anything, and stops nothing
            routes.failed.append((substream.name, error))
            return False

    def _is_full(self, substream: Substream, now_us: int) -> bool:
        most = substream.options.most_per_night
        return most is not None and self._of_night[substream.name, night_of_instant(now_us)] >= most

    def _remember(self, name: str, coincidence_id: str, changed_us: int) -> None:
        if coincidence_id not in self._sent[name]:
            self._sent[name].add(coincidence_id)
            self._of_night[name, night_of_instant(changed_us)] += 1


def night_of_instant(instant_us: int) -> int:
    """Number of the night in which an instant lies, as `matchers.nights.night_of` counts."""
    return int(night_of(np.array([instant_us]))[0])
