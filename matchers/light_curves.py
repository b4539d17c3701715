"""What the light curve of an object tells of it."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from matchers.rates import RateHistogram
from schemas.records import Measurement, Messenger
from schemas.statistics import LightCurveEvidence, SourceClass
from schemas.times import US_PER_S


def evidence(
    points: Sequence[Measurement],  # noqa: ARG001
    *,
    trigger_time_us: int,
    first_detection_us: int,
    last_non_detection_us: int | None,
    background: RateHistogram,  # noqa: ARG001
) -> LightCurveEvidence:
    """What a light curve tells, in the light of a trigger."""
    return LightCurveEvidence(
        onset_after_s=(None if last_non_detection_us is None else (last_non_detection_us - trigger_time_us) / US_PER_S),
        onset_before_s=(first_detection_us - trigger_time_us) / US_PER_S,
        log_likelihood_ratio=dict.fromkeys(SourceClass, 0.0),
    )


def class_priors(messenger: Messenger) -> Mapping[SourceClass, float]:  # noqa: ARG001
    """What the counterpart of a trigger is, before anything is known of it; the sum is 1."""
    return MappingProxyType(dict.fromkeys(SourceClass, 1 / len(SourceClass)))
