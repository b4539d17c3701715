"""Quality cuts on alerts.

The defaults are those of Moeller et al. 2021 (MNRAS 501, 3272, sections 3.2 and 4.2), and a distance to
known solar-system objects. Every cut has its own key and can be switched off.
"""

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from schemas.records import Alerts, Bools, Floats

REASONS = ("reliability", "bad_pixels", "aperture_minus_psf_mag", "gaia", "ps1", "solar_system")
"""Why an alert may be cut, in the order in which the cuts are tried."""


def _false_is_none(value: object) -> object:
    return None if value is False else value


Limit = Annotated[float | None, BeforeValidator(_false_is_none, json_schema_input_type=float | Literal[False] | None)]


class Cuts(BaseModel):
    """Limits that an alert must keep to; ``false`` (or None) switches a cut off.

    A cut applies only to surveys that carry its column. An unknown value fails the first three (nothing vouches for the
    detection) and passes the distances (there is no such neighbour).

    The columns are float32, as the packets are, so each limit is rounded to float32 before it is compared: a packet
    that says 0.55 is exactly at a limit of 0.55, although float32(0.55) is greater than 0.55.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    enabled: bool = Field(True, description="False switches all quality cuts off.")
    reliability_above: Limit = Field(0.55, description="Real-bogus score must be above this.")
    bad_pixels_at_most: Limit = Field(0.0, description="At most so many bad pixels (or flags) at the source.")
    aperture_minus_psf_mag_below: Limit = Field(
        0.1, description="The absolute difference of aperture and PSF magnitude must be below this."
    )
    gaia_at_least_arcsec: Limit = Field(5.0, description="Distance to the nearest Gaia source, at least.")
    ps1_at_least_arcsec: Limit = Field(5.0, description="Distance to the nearest Pan-STARRS source, at least.")
    solar_system_at_least_arcsec: Limit = Field(
        5.0, description="Distance to the nearest known solar-system object, at least."
    )

    def apply(self, alerts: Alerts, carried: frozenset[str]) -> tuple[Bools, dict[str, int]]:
        """Which alerts keep to the limits, and how many do not, by reason.

        Parameters
        ----------
        carried
            Names of the quality columns that the survey has at all, such as ``reliability`` and ``gaia_arcsec``.

        Returns
        -------
        keep
            Mask, shape (n,).
        counts
            Rejected alerts by the first of `REASONS` that they fail, so that the counts add up to the rejected.
        """
        keep = np.ones(len(alerts), np.bool_)
        counts: dict[str, int] = {}
        if not self.enabled:
            return keep, counts
        for reason, (column, passes) in zip(REASONS, self._verdicts(alerts), strict=True):
            if passes is None or column not in carried:
                continue
            failed = int(np.count_nonzero(keep & ~passes))
            if failed:
                counts[reason] = failed
            keep &= passes
        return keep, counts

    def _verdicts(self, alerts: Alerts) -> tuple[tuple[str, Bools | None], ...]:
        """By cut, in the order of `REASONS`: its column, and which alerts pass (None: the cut is off)."""
        reliability, most, below = self.reliability_above, self.bad_pixels_at_most, self.aperture_minus_psf_mag_below
        return (
            ("reliability", None if reliability is None else alerts.reliability > np.float32(reliability)),
            ("bad_pixels", None if most is None else alerts.bad_pixels <= np.float32(most)),
            ("ap_minus_psf_mag", None if below is None else np.abs(alerts.ap_minus_psf_mag) < np.float32(below)),
            ("gaia_arcsec", _far(alerts.gaia_arcsec, self.gaia_at_least_arcsec)),
            ("ps1_arcsec", _far(alerts.ps1_arcsec, self.ps1_at_least_arcsec)),
            ("solar_system_arcsec", _far(alerts.solar_system_arcsec, self.solar_system_at_least_arcsec)),
        )


def _far(distance_arcsec: Floats, limit: float | None) -> Bools | None:
    """Whether the neighbour is that far; NaN, no neighbour, is."""
    return None if limit is None else np.asarray(~(distance_arcsec < np.float32(limit)), np.bool_)
