"""From sources in the sky to detections in exposures, with the noise and the quality of each."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from bridges.simulator.light_curves import LightCurve, Variable
from bridges.simulator.sphere import galactic_latitude_deg
from bridges.simulator.survey import Visits, fields, julian_date
from schemas.times import US_PER_DAY

NONE_NEAR = -999.0
"""What a packet says where there is no neighbour."""

_SNR_LIMIT = 5.0
_MAG_ERROR_FLOOR = 0.02
_PS1_PER_ARCSEC2_AT_POLE = 8.0 / 3600.0
_GAIA_PER_ARCSEC2_AT_POLE = 1.0 / 3600.0
_PS1_REACH_ARCSEC = 30.0
_GAIA_REACH_ARCSEC = 90.0
_NID_EPOCH_JD = 2_457_754.5
_TBLID_MAX = 999


class Nature(StrEnum):
    """What a source is, as the truth of the simulation knows it."""

    VARIABLE = "variable"
    SUPERNOVA = "supernova"
    OUTBURST = "outburst"
    ASTEROID = "asteroid"
    ARTEFACT = "artefact"
    AFTERGLOW = "afterglow"
    KILONOVA = "kilonova"
    NEUTRINO_SOURCE = "neutrino counterpart"


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The nearest catalogued things, in arcsec; -999 where there are none in reach."""

    gaia_arcsec: float = NONE_NEAR
    ps1_arcsec: float = NONE_NEAR
    solar_system_arcsec: float = NONE_NEAR
    solar_system_name: str = "null"
    star_score: float = 0.5

    @classmethod
    def by_chance(cls, random: Generator, ra_deg: float, dec_deg: float) -> "Neighbours":
        """Unrelated neighbours: about 8 PS1 and 1 Gaia source an arcmin2 at the Galactic poles, more in the plane."""
        latitude = abs(float(galactic_latitude_deg(ra_deg, dec_deg)))
        crowding = min(1.0 / np.sin(np.radians(max(latitude, 5.0))), 8.0)
        ps1 = _nearest(random, _PS1_PER_ARCSEC2_AT_POLE * crowding, _PS1_REACH_ARCSEC)
        gaia = _nearest(random, _GAIA_PER_ARCSEC2_AT_POLE * crowding, _GAIA_REACH_ARCSEC)
        return cls(gaia, ps1, star_score=round(float(random.uniform()), 3))


@dataclass(frozen=True, slots=True)
class Source:
    """Something that may make alerts.

    Attributes
    ----------
    known_since_us
        First detection, if it was before the exposures that are simulated.
    """

    nature: Nature
    object_id: str
    ra_deg: float
    dec_deg: float
    light_curve: LightCurve
    neighbours: Neighbours
    known_since_us: int | None = None


@dataclass(frozen=True, slots=True)
class Detection:
    """A source in an exposure. `visit` is the exposure's row in the `Visits`."""

    source: Source
    visit: int
    time_us: int
    candid: int
    pid: int
    rcid: int
    x_pix: float
    y_pix: float
    ra_deg: float
    dec_deg: float
    mag: float
    mag_err: float
    ap_minus_psf_mag: float
    real_bogus: float
    deep_real_bogus: float
    bad_pixels: int
    fwhm_pix: float
    elongation: float
    brighter: bool

    @property
    def is_good(self) -> bool:
        """Whether the published quality cuts keep it (Moeller et al. 2021, MNRAS 501, 3272, sect. 3.2 and
        4.2), so that the truth can say why an injected source cannot be found."""
        near = self.source.neighbours
        return (
            self.real_bogus > 0.55  # noqa: PLR2004
            and self.bad_pixels == 0
            and abs(self.ap_minus_psf_mag) < 0.1  # noqa: PLR2004
            and all(d == NONE_NEAR or d >= 5.0 for d in (near.gaia_arcsec, near.ps1_arcsec, near.solar_system_arcsec))  # noqa: PLR2004
        )


class Camera:
    """Turns sources into detections, and numbers them as the survey does.

    Parameters
    ----------
    random
        Source of noise; it is consumed in the order in which sources are looked at.
    visits
        The exposures.
    """

    def __init__(self, random: Generator, visits: Visits) -> None:
        self._random = random
        self.visits = visits
        self.rows_of_field = visits.by_field()
        self._next_tblid: dict[int, int] = {}

    def rows_at(self, ra_deg: float, dec_deg: float) -> NDArray[np.int64]:
        """The exposures that cover a position."""
        field = fields().number_of(ra_deg, dec_deg)
        return self.rows_of_field.get(-1 if field is None else field, np.empty(0, np.int64))

    def look(self, source: Source) -> list[Detection]:
        """Every detection of a source, in order of time."""
        rows = self.rows_at(source.ra_deg, source.dec_deg)
        if not len(rows):
            return []
        true_mag = source.light_curve.mag(self.visits.time_us[rows], self.visits.fid[rows])
        true_snr = _SNR_LIMIT * 10.0 ** (0.4 * (self.visits.limit_mag[rows] - true_mag))
        snr = true_snr + self._random.normal(0.0, 1.0, len(rows))
        seen = (snr >= _SNR_LIMIT) & (true_snr > 1.0)
        return [self._detect(source, int(row), float(s)) for row, s in zip(rows[seen], snr[seen], strict=True)]

    def _detect(self, source: Source, row: int, snr: float) -> Detection:
        random, time_us = self._random, int(self.visits.time_us[row])
        artefact = source.nature is Nature.ARTEFACT
        mag_err = float(np.hypot(1.0857 / snr, _MAG_ERROR_FLOOR))
        mag = float(self.visits.limit_mag[row]) - 2.5 * float(np.log10(snr / _SNR_LIMIT))
        scatter_deg = (0.06 + 0.5 / snr) / 3600.0
        dec = source.dec_deg + random.normal(0.0, scatter_deg)
        ra = source.ra_deg + random.normal(0.0, scatter_deg) / max(np.cos(np.radians(dec)), 0.01)
        field = int(self.visits.field[row])
        rcid, x_pix, y_pix = fields().on_camera(field, ra % 360.0, dec)
        curve = source.light_curve
        brighter = curve.is_brighter(time_us) if isinstance(curve, Variable) else True
        pid = processing_number(time_us, rcid)
        aperture_scatter = 0.4 if artefact else float(np.hypot(0.02, 0.3 * mag_err))
        real_bogus = random.beta(2.0, 3.5) if artefact else random.beta(9.0, 1.6)
        return Detection(
            source=source,
            visit=row,
            time_us=time_us,
            candid=self._number(pid, brighter=brighter),
            pid=pid,
            rcid=rcid,
            x_pix=x_pix,
            y_pix=y_pix,
            ra_deg=round(float(ra % 360.0), 7) % 360.0,
            dec_deg=round(float(dec), 7),
            mag=mag,
            mag_err=mag_err,
            ap_minus_psf_mag=float(random.normal(0.0, aperture_scatter)),
            real_bogus=float(real_bogus),
            deep_real_bogus=float(real_bogus**2 if artefact else real_bogus**0.2),
            bad_pixels=int(random.poisson(1.2 if artefact else 0.02)),
            fwhm_pix=float(random.gamma(20.0, 0.1) + (random.exponential(2.0) if artefact else 0.0)),
            elongation=float(1.0 + random.exponential(0.5 if artefact else 0.08)),
            brighter=brighter,
        )

    def _number(self, pid: int, *, brighter: bool) -> int:
        tblid = self._next_tblid.get(pid, 0) + 1
        if tblid > _TBLID_MAX:
            raise ValueError(f"more than {_TBLID_MAX} detections in one readout channel: the plan is too crowded")
        self._next_tblid[pid] = tblid
        return pid * 1_000_000 + (15_000 if brighter else 10_000) + tblid


def night_number(time_us: int) -> int:
    """ZTF's number of a night (`nid`): days since 2017-01-01 UTC."""
    return int(julian_date(time_us) - _NID_EPOCH_JD)


def processing_number(time_us: int, rcid: int) -> int:
    """ZTF's `pid`: night, fraction of the day in 1e-5, readout channel and a constant 15."""
    fraction = int(time_us % US_PER_DAY * 100_000 // US_PER_DAY)
    return ((night_number(time_us) * 100_000 + fraction) * 100 + rcid) * 100 + 15


def _nearest(random: Generator, per_arcsec2: float, reach_arcsec: float) -> float:
    """Distance to the nearest of things scattered at random (Rayleigh), or -999 beyond the reach."""
    distance = float(np.sqrt(-np.log(random.uniform(1e-12, 1.0)) / (np.pi * per_arcsec2)))
    return round(distance, 4) if distance <= reach_arcsec else NONE_NEAR
