"""What is known of the neighbourhood of objects: what packets carry, and what catalogues and services answered."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any

from numpy.typing import NDArray

from schemas.annotations import Annotation, Answer, Target
from schemas.records import Alerts
from schemas.survey import SURVEYS

GAIA, PS1, SOLAR_SYSTEM = "gaia", "ps1", "solar_system"
PACKET_CATALOGUES: Mapping[str, str] = {
    GAIA: "gaia_arcsec",
    PS1: "ps1_arcsec",
    SOLAR_SYSTEM: "solar_system_arcsec",
}
"""Catalogues whose nearest entry a packet may carry, and the column of its distance."""
FROM_PACKET: Mapping[str, str] = {"source": "packet"}
"""Tells such an annotation from one of a catalogue that was asked."""


def packet_annotations(alerts: Alerts, row: int) -> tuple[Annotation, ...]:
    """What the packet of one alert carries of its neighbourhood, by name of the catalogue.

    A catalogue of which the survey's packets say nothing is left out; where they name no entry, there is none.
    """
    found = []
    for catalogue, column in PACKET_CATALOGUES.items():
        away_arcsec = _number(getattr(alerts, column), row)
        if away_arcsec is not None:
            score = _number(alerts.star_galaxy, row) if catalogue == PS1 else None
            found.append(
                Annotation(
                    catalogue,
                    Answer.FOUND,
                    separation_arcsec=away_arcsec,
                    # ZTF gives 0.5 where it does not know: as likely a star as a galaxy.
                    star_probability=None if score is None else min(score, 1.0),
                    values=FROM_PACKET,
                )
            )
        elif column in _carried(alerts.survey):
            found.append(Annotation(catalogue, Answer.NONE, values=FROM_PACKET))
    return tuple(found)


LookUp = Callable[[str, Sequence[Target]], Sequence[tuple[Annotation, ...]]]
"""Asks the catalogues at hand that a matcher asks for about targets; always the same of the same position."""


def nothing_at_hand(_matcher: str, targets: Sequence[Target]) -> Sequence[tuple[Annotation, ...]]:
    """A `LookUp` without catalogues."""
    return [()] * len(targets)


class Neighbourhood:
    """What is known of the neighbourhood of objects.

    Catalogues at hand are looked up each time, as a position asks them; what services answered about an object is kept
    here, the newest answer of each.
    """

    def __init__(self, look_up: LookUp = nothing_at_hand) -> None:
        self._look_up = look_up
        self._known: dict[tuple[str, str], dict[str, Annotation]] = {}

    def around(self, matcher: str, targets: Sequence[Target]) -> list[tuple[Annotation, ...]]:
        """All that is known around each target, sorted by name of the catalogue."""
        return [
            self._with_answers(target, near)
            for target, near in zip(targets, self._look_up(matcher, targets), strict=True)
        ]

    def known(self, survey: str, object_id: str) -> tuple[Annotation, ...]:
        """All answers of services about an object, sorted by name of the catalogue."""
        answers = self._known.get((survey, object_id), {})
        return tuple(answers[name] for name in sorted(answers))

    def put(self, survey: str, object_id: str, annotations: Iterable[Annotation]) -> bool:
        """Take in answers; returns whether that changed what is known.

        An answer replaces what the same catalogue said before; only that one is still asked, or failed to answer, does
        not replace what it found.
        """
        answers = self._known.setdefault((survey, object_id), {})
        before = dict(answers)
        for annotation in annotations:
            said = answers.get(annotation.catalogue)
            if said is None or annotation.answer in _ANSWERED or said.answer not in _ANSWERED:
                answers[annotation.catalogue] = annotation
        if not answers:
            del self._known[survey, object_id]
        return answers != before

    def forget(self, survey: str, object_ids: Iterable[str]) -> None:
        """Drop what is known of objects, such as of those that are not stored any more."""
        for object_id in object_ids:
            self._known.pop((survey, object_id), None)

    def _with_answers(self, target: Target, near: tuple[Annotation, ...]) -> tuple[Annotation, ...]:
        # An answer stands in the place of what says that it is asked for.
        answers = self._known.get((target.survey, target.object_id))
        said = near if answers is None else ({one.catalogue: one for one in near} | answers).values()
        return tuple(sorted(said, key=attrgetter("catalogue")))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Surveys and objects of which something is known, in no order."""
        return iter(self._known)


_ANSWERED = frozenset({Answer.FOUND, Answer.NONE})


@cache
def _carried(survey: str) -> frozenset[str]:
    return next((known.quality_columns for known in SURVEYS if known.name == survey), frozenset())


def _number(column: NDArray[Any], row: int) -> float | None:
    """The shortest number that is this float32, as in the packet; None for NaN."""
    value = column[row]
    return float(str(value)) if math.isfinite(value) else None
