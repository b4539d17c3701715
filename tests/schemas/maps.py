"""Sky maps as files, written by astropy, for the tests of what reads them."""

import io
from typing import Any

import numpy as np
from astropy.io import fits
from cdshealpix import from_ring, nested

FORMATS = {"f8": "D", "f4": "E", "i8": "K", "i4": "J", "i2": "I", "u1": "B"}


def fits_file(columns: dict[str, Any], header: dict[str, Any], units: dict[str, str] | None = None) -> bytes:
    """A binary table with these columns (a two-dimensional one has several values a row; uint64 is stored
    the standard's way) and keywords."""
    made = []
    for name, given in columns.items():
        values, zero = np.asarray(given), None
        if values.dtype == np.uint64:
            zero = 2**63
            code = "K"
        else:
            code = FORMATS[values.dtype.str[1:]]
        repeat = values.shape[1] if values.ndim > 1 else 1
        made.append(fits.Column(name, f"{repeat}{code}", (units or {}).get(name), array=values, bzero=zero))
    table = fits.BinTableHDU.from_columns(made)
    table.header.update(header)
    return hdus(table)


def hdus(*parts: Any) -> bytes:
    """A FITS file of these parts after an empty primary."""
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), *parts]).writeto(out)
    return out.getvalue()


def flat(probability: np.ndarray, **header: Any) -> bytes:
    """A flat map of probabilities in NESTED order, or what the keywords say."""
    nside = round((probability.size / 12) ** 0.5)
    words = {
        "PIXTYPE": "HEALPIX",
        "ORDERING": "NESTED",
        "COORDSYS": "C",
        "NSIDE": nside,
        "INDXSCHM": "IMPLICIT",
    } | header
    return fits_file({"PROB": probability}, {k: v for k, v in words.items() if v is not None}, {"PROB": "pix-1"})


def multi_order(uniq: np.ndarray, density: np.ndarray, **header: Any) -> bytes:
    """A multi-order map of densities per steradian."""
    words = {"PIXTYPE": "HEALPIX", "ORDERING": "NUNIQ", "COORDSYS": "C", "INDXSCHM": "EXPLICIT"} | header
    columns = {"UNIQ": uniq, "PROBDENSITY": density}
    return fits_file(columns, {k: v for k, v in words.items() if v is not None}, {"PROBDENSITY": "sr-1"})


def blob(order: int, ra_deg: float = 100.0, dec_deg: float = 30.0, sigma_deg: float = 20.0) -> np.ndarray:
    """Probability of each NESTED pixel of a round blob."""
    lon, lat = nested.healpix_to_lonlat(np.arange(12 << 2 * order, dtype=np.uint64), order)
    cosine = np.sin(lat.rad) * np.sin(np.radians(dec_deg))
    cosine += np.cos(lat.rad) * np.cos(np.radians(dec_deg)) * np.cos(lon.rad - np.radians(ra_deg))
    density = np.exp((cosine - 1) / np.radians(sigma_deg) ** 2)
    return np.asarray(density / density.sum())


def ring_order(nested_values: np.ndarray) -> np.ndarray:
    """The same map in RING order."""
    order = round(np.log2(nested_values.size / 12) / 2)
    return np.asarray(nested_values[from_ring(np.arange(nested_values.size, dtype=np.uint64), order)])
