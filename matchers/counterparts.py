"""What the optical counterpart of a trigger may be, before any is seen: whether anything shines, and of which class."""

import math
from functools import cache

import numpy as np

from matchers.source_classes import class_priors
from matchers.visibility import CLASSES, CounterpartOptions
from schemas.pixels import Array
from schemas.records import Messenger, Trigger

_SIGNALNESS = 0.5
"""Of a neutrino that does not tell."""
_BURST_OF_GRAVITATIONAL_WAVES = 0.1
"""That something shines, of a gravitational wave of which no class is told: nearly all are of two black holes."""
_NSBH_WITH_REMNANT = 0.2
"""That a black hole leaves something of a neutron star to shine (Biscoveanu et al. 2023, MNRAS 518, 5298)."""


def class_weights(trigger: Trigger, options: CounterpartOptions) -> Array:
    """Probability that a trigger has a counterpart of each class, shape (classes,); the sum is at most 1.

    Of several triggers that are one event the most promising says whether there is light, and the class is the mean.
    """
    messengers = {trigger.messenger.value, *(link.messenger for link in trigger.linked)} & set(Messenger)
    priors = _mean_priors(tuple(sorted(messengers)))
    others = messengers - {trigger.messenger.value, Messenger.NEUTRINO, Messenger.GRAVITATIONAL_WAVE}
    return priors * (1.0 if others else _shines(trigger, options))


@cache
def _mean_priors(messengers: tuple[str, ...]) -> Array:
    of_each = [class_priors(Messenger(name)) for name in messengers]
    return np.asarray(np.mean([[priors[name] for name in CLASSES] for priors in of_each], axis=0), np.float64)


def _shines(trigger: Trigger, options: CounterpartOptions) -> float:
    """Probability that a trigger is of a kind that shines at all."""
    match trigger.messenger:
        case Messenger.NEUTRINO:
            told = trigger.significance if trigger.significance_unit == "signalness" else None
            return options.neutrino_sources * _fraction(_SIGNALNESS if told is None else told)
        case Messenger.GRAVITATIONAL_WAVE:
            classes = trigger.classification
            if not classes:
                return _BURST_OF_GRAVITATIONAL_WAVES
            remnant = _has_remnant(trigger)
            if remnant is not None:
                return remnant * (1.0 - _fraction(classes.get("Terrestrial", 0.0)))
            return _fraction(classes.get("BNS", 0.0) + _NSBH_WITH_REMNANT * classes.get("NSBH", 0.0))
        case _:
            return 1.0


def _has_remnant(trigger: Trigger) -> float | None:
    """LVK's probability that matter was left outside, given that it was a merger; None if it does not say."""
    for name, value in trigger.notice.params.items():
        if name.rpartition(".")[2] == "HasRemnant":
            try:
                return _fraction(float(value))
            except ValueError:
                return None
    return None


def _fraction(value: float) -> float:
    return min(max(value, 0.0), 1.0) if math.isfinite(value) else 0.0
