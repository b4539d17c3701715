"""Survey packets: one detection with its history as an Avro container in ZTF's schema 3.3.

Nothing in a packet can be taken for an observation: the publisher, the programme's name, the object
(``SIM...`` where ZTF writes ``ZTF...``) and the file names say that it is simulated.
"""

import gzip
import io
import json
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from importlib.resources import files
from typing import Any

import fastavro
import numpy as np

from bridges.simulator.detections import NONE_NEAR, Detection, night_number, processing_number
from bridges.simulator.survey import Visits, julian_date
from schemas.times import US_PER_DAY

PUBLISHER = "Starcross simulator: not an observation"
SCHEMA_VERSION = "3.3"

_LIMITS_KEPT = 50_000
_STAMP_SIDE = 9
_FITS_BLOCK = 2880
_CARD = 80
_FIRST_BRANCH, _SECOND_BRANCH = b"\0", b"\x02"
"""Which branch of a union follows: all unions of the schema begin with null."""
_REFERENCE_START_JD, _REFERENCE_END_JD = 2_458_200.5, 2_458_500.5


def read_schema() -> dict[str, Any]:
    """The packet's Avro schema, as shipped."""
    text = files("schemas").joinpath("avro/ztf/3/3/alert.avsc").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


class PacketWriter:
    """Makes packets; equal seeds give equal bytes.

    Parameters
    ----------
    seed
        Of the simulation; the container's sync marker and the stamps depend on it alone.
    visits
        The exposures that detections refer to.
    """

    def __init__(self, seed: int, visits: Visits) -> None:
        schema = read_schema()
        self._visits = visits
        self._sync = blake2b(f"starcross simulator {seed}".encode(), digest_size=16).digest()
        empty = io.BytesIO()
        fastavro.writer(empty, schema, [], codec="null", sync_marker=self._sync)
        self._header = empty.getvalue()
        types = {field["name"]: field["type"] for field in schema["fields"]}
        entry = types["prv_candidates"][1]["items"]
        self._candidate_schema = fastavro.parse_schema(types["candidate"])
        self._entry_schema = fastavro.parse_schema(entry)
        self._entry_fields = tuple(field["name"] for field in entry["fields"])
        self._stamps = _stamps(np.random.default_rng([seed, 63]))
        self._limits: dict[tuple[int, int], bytes] = {}

    def entry(self, detection: Detection) -> bytes:
        """A detection as the history of a later packet lists it, encoded."""
        candidate = self._candidate(detection)
        return _encode(self._entry_schema, {name: candidate[name] for name in self._entry_fields})

    def limit(self, row: int, rcid: int) -> bytes:
        """An exposure that showed nothing, as a history lists it, encoded."""
        known = self._limits.get((row, rcid))
        if known is None:
            if len(self._limits) >= _LIMITS_KEPT:
                self._limits.clear()
            pid = processing_number(int(self._visits.time_us[row]), rcid)
            values = dict.fromkeys(self._entry_fields) | self._exposure(row, pid, rcid)
            known = self._limits[row, rcid] = _encode(self._entry_schema, values)
        return known

    def packet(self, detection: Detection, history: Sequence[bytes], first_us: int, covered: int) -> bytes:
        """The packet of a detection.

        An Avro record is the concatenation of its fields, so what packets share is encoded once.

        Parameters
        ----------
        history
            Of `entry` and `limit`, in order of time.
        first_us
            First detection of the object ever.
        covered
            How often the place was exposed.
        """
        candidate = self._candidate(detection)
        candidate["jdstarthist"] = julian_date(first_us)
        candidate["jdendhist"] = candidate["jd"]
        # Of what is older than the history only the first is known: about one detection in ten days.
        candidate["ndethist"] = 1 + int((detection.time_us - first_us) // (10 * US_PER_DAY))
        candidate["ncovhist"] = covered
        name = f"simulated_{detection.candid}"
        body = b"".join(
            (
                *(_avro_text(text) for text in (SCHEMA_VERSION, PUBLISHER, detection.source.object_id)),
                _avro_long(detection.candid),
                _encode(self._candidate_schema, candidate),
                *((_SECOND_BRANCH, _avro_long(len(history)), *history, b"\0") if history else (_FIRST_BRANCH,)),
                *(
                    _SECOND_BRANCH + _avro_text(f"{name}_{kind}.fits.gz") + _avro_long(len(stamp)) + stamp
                    for kind, stamp in zip(("sci", "ref", "refmsci"), self._stamps, strict=True)
                ),
            )
        )
        return self._header + _avro_long(1) + _avro_long(len(body)) + body + self._sync

    def _exposure(self, row: int, pid: int, rcid: int) -> dict[str, Any]:
        """What a packet says of an exposure, whether it shows the object or not."""
        visits = self._visits
        time_us, field, fid = int(visits.time_us[row]), int(visits.field[row]), int(visits.fid[row])
        return {
            "jd": julian_date(time_us),
            "fid": fid,
            "pid": pid,
            "diffmaglim": float(visits.limit_mag[row]),
            "pdiffimfilename": f"simulated_{field:06d}_f{fid}_{pid}_scimrefdiffimg.fits",
            "programpi": "SIMULATED",
            "programid": 1,
            "nid": night_number(time_us),
            "rcid": rcid,
            "field": field,
            "magzpsci": 26.1,
            "magzpsciunc": 5e-6,
            "magzpscirms": 0.035,
            "clrcoeff": 0.095,
            "clrcounc": 1e-5,
            "rbversion": "simulated",
        }

    def _candidate(self, d: Detection) -> dict[str, Any]:
        near, fwhm = d.source.neighbours, d.fwhm_pix
        magap = d.mag + d.ap_minus_psf_mag
        snr = 1.0857 / d.mag_err
        limit = float(self._visits.limit_mag[d.visit])
        host = 18.0 + near.star_score
        ps1_number = int(d.source.ra_deg * 1e6) * 1_000_000_000 + int((d.source.dec_deg + 90.0) * 1e6)
        return self._exposure(d.visit, d.pid, d.rcid) | {
            "candid": d.candid,
            "isdiffpos": "t" if d.brighter else "f",
            "tblid": d.candid % 1000,
            "xpos": d.x_pix,
            "ypos": d.y_pix,
            "ra": d.ra_deg,
            "dec": d.dec_deg,
            "magpsf": d.mag,
            "sigmapsf": d.mag_err,
            "chipsf": 1.0 + 0.1 * (fwhm - 2.0),
            "magap": magap,
            "sigmagap": d.mag_err * 1.1,
            "distnr": near.ps1_arcsec / 1.01 if near.ps1_arcsec > 0 else 30.0,
            "magnr": host,
            "sigmagnr": 0.05,
            "chinr": 1.0,
            "sharpnr": 0.0,
            "sky": 0.1,
            "magdiff": d.ap_minus_psf_mag,
            "fwhm": fwhm,
            "classtar": 1.0 / d.elongation,
            "mindtoedge": min(d.x_pix, d.y_pix, 3072.0 - d.x_pix, 3080.0 - d.y_pix),
            "magfromlim": limit - magap,
            "seeratio": fwhm / 2.0,
            "aimage": fwhm / 2.4 * d.elongation,
            "bimage": fwhm / 2.4,
            "aimagerat": d.elongation / 2.4,
            "bimagerat": 1.0 / 2.4,
            "elong": d.elongation,
            "nneg": int(min(d.bad_pixels * 3, 25)),
            "nbad": d.bad_pixels,
            "rb": d.real_bogus,
            "ssdistnr": near.solar_system_arcsec,
            "ssmagnr": d.mag if near.solar_system_arcsec >= 0 else NONE_NEAR,
            "ssnamenr": near.solar_system_name,
            "sumrat": 1.0,
            "magapbig": magap - 0.02,
            "sigmagapbig": d.mag_err * 1.4,
            "ranr": d.source.ra_deg,
            "decnr": d.source.dec_deg,
            "sgmag1": host + 0.4 if near.ps1_arcsec > 0 else NONE_NEAR,
            "srmag1": host if near.ps1_arcsec > 0 else NONE_NEAR,
            "simag1": host - 0.2 if near.ps1_arcsec > 0 else NONE_NEAR,
            "szmag1": host - 0.3 if near.ps1_arcsec > 0 else NONE_NEAR,
            "sgscore1": near.star_score if near.ps1_arcsec > 0 else NONE_NEAR,
            "distpsnr1": near.ps1_arcsec,
            "scorr": snr,
            "tooflag": 0,
            "objectidps1": ps1_number if near.ps1_arcsec > 0 else None,
            "sgmag2": NONE_NEAR,
            "srmag2": NONE_NEAR,
            "simag2": NONE_NEAR,
            "szmag2": NONE_NEAR,
            "sgscore2": NONE_NEAR,
            "distpsnr2": NONE_NEAR,
            "sgmag3": NONE_NEAR,
            "srmag3": NONE_NEAR,
            "simag3": NONE_NEAR,
            "szmag3": NONE_NEAR,
            "sgscore3": NONE_NEAR,
            "distpsnr3": NONE_NEAR,
            "nmtchps": 1 if near.ps1_arcsec > 0 else 0,
            "rfid": int(self._visits.field[d.visit]) * 1_000_000 + int(self._visits.fid[d.visit]) * 10_000 + d.rcid,
            "jdstartref": _REFERENCE_START_JD,
            "jdendref": _REFERENCE_END_JD,
            "nframesref": 20,
            "dsnrms": snr,
            "ssnrms": snr + 1.0,
            "dsdiff": -1.0,
            "nmatches": 1500,
            "zpclrcov": -7e-6,
            "zpmed": 26.1,
            "clrmed": 0.5,
            "clrrms": 0.2,
            "neargaia": near.gaia_arcsec,
            "neargaiabright": NONE_NEAR,
            "maggaia": 18.0 if near.gaia_arcsec >= 0 else NONE_NEAR,
            "maggaiabright": NONE_NEAR,
            "exptime": 30.0,
            "drb": d.deep_real_bogus,
            "drbversion": "simulated",
        }


def _encode(schema: Any, values: Mapping[str, Any]) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, values)
    return out.getvalue()


def _avro_text(text: str) -> bytes:
    raw = text.encode()
    return _avro_long(len(raw)) + raw


def _avro_long(number: int) -> bytes:
    """A non-negative number as Avro writes a long: zigzag, then seven bits a byte."""
    zigzag, out = number << 1, bytearray()
    while zigzag > 0x7F:  # noqa: PLR2004
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    out.append(zigzag)
    return bytes(out)


def _stamps(random: np.random.Generator) -> tuple[bytes, bytes, bytes]:
    """Science, reference and difference image of a star, 9 x 9 pixels, as gzipped FITS."""
    y, x = np.mgrid[:_STAMP_SIDE, :_STAMP_SIDE] - _STAMP_SIDE // 2
    star = 100.0 * np.exp(-(x**2 + y**2) / 4.0)
    reference = random.normal(0.0, 1.0, star.shape)
    science = star + reference + random.normal(0.0, 3.0, star.shape)
    return _fits_gz(science), _fits_gz(reference), _fits_gz(science - reference)


def _fits_gz(image: np.ndarray[Any, Any]) -> bytes:
    cards = {"SIMPLE": "T", "BITPIX": "-32", "NAXIS": "2", "NAXIS1": str(_STAMP_SIDE), "NAXIS2": str(_STAMP_SIDE)}
    header = "".join(f"{name:<8}= {value:>20}".ljust(_CARD) for name, value in cards.items()) + "END"
    pixels = image.astype(">f4").tobytes()
    blocks = header.ljust(_FITS_BLOCK).encode() + pixels.ljust(_FITS_BLOCK, b"\0")
    return gzip.compress(blocks, mtime=0)
