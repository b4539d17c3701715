"""What the configuration says of catalogues: files of the user's, and services of others."""

from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from bridges.options import Options, Secret
from schemas.point_index import RADIUS_MAX_DEG

ARCSEC_PER_DEG: Final = 3600
_XMATCH_RADIUS_MAX_ARCSEC: Final = 180.0
"""The service's own limit."""
_SKYBOT_RADIUS_MAX_ARCSEC: Final = 3600.0
_TNS_RADIUS_MAX_ARCSEC: Final = 3600.0


class Columns(Options):
    """Which column of a catalogue has what. What is not named is not read."""

    ra: str = Field("ra", description="Right ascension (galactic longitude if `frame` is that).")
    dec: str = Field("dec", description="Declination (galactic latitude).")
    name: str = Field("", description="Name of the entry.")
    kind: str = Field("", description="What it is, such as a class.")
    star_probability: str = Field("", description="0 for a galaxy, 1 for a star.")
    redshift: str = Field("", description="Redshift.")
    distance_mpc: str = Field("", description="Luminosity distance in Mpc.")
    distance_err_mpc: str = Field("", description="Its error in Mpc.")
    values: tuple[str, ...] = Field((), max_length=20, description="Further columns to pass on, as text.")


class CatalogueFileOptions(Options):
    """A catalogue as a file, or as a folder in HATS form: read once, then mapped."""

    path: Path = Field(description="The file or the HATS folder; relative to the configuration file.")
    format: Literal["auto", "fits", "votable", "csv", "parquet", "hats"] = Field(
        "auto", description="Its format; `auto` goes by the name's ending, and by what lies in a folder."
    )
    columns: Columns = Columns()
    radius_arcsec: float = Field(5.0, gt=0, le=RADIUS_MAX_DEG * ARCSEC_PER_DEG, description="How far to look.")
    frame: Literal["icrs", "fk5", "galactic"] = Field("icrs", description="Frame of the positions (equinox J2000).")
    unit: Literal["deg", "rad", "hour"] = Field(
        "deg", description="Unit of the positions where the file states none; `hour`: right ascension in hours."
    )
    all_are: str = Field("", description="What every entry is, where no column says it, such as `AGN`.")
    table: int = Field(1, ge=0, le=1000, description="Number of the extension of a FITS file, or of a VOTable's table.")
    delimiter: str = Field(",", min_length=1, max_length=1, description="Between the columns of a CSV file.")
    missing: tuple[str, ...] = Field(
        ("", "null", "nan", "NaN", "N/A"), description="What stands in a CSV file where there is no value."
    )
    rows_max: int = Field(50_000_000, ge=1, description="A catalogue with more rows is refused.")


class ServiceOptions(Options):
    """What all services have."""

    timeout_s: float = Field(60.0, gt=0, le=600, description="Longest time of one request, redirects included.")
    answer_mib: int = Field(8, ge=1, le=256, description="Largest answer, in MiB.")
    pause_s: float = Field(1.0, ge=0, le=600, description="Pause between two requests.")
    queue: int = Field(10_000, ge=1, le=1_000_000, description="Most objects that wait; beyond, they are not asked.")
    retry_s: float = Field(30.0, gt=0, description="Pause after the first failure; doubled after each further one...")
    retry_most_s: float = Field(1800.0, gt=0, description="...up to this.")
    patience_s: float = Field(86_400.0, gt=0, description="So long an object is asked again, then it counts as failed.")
    keep_d: float = Field(30.0, gt=0, le=3650, description="An answer is kept so long, and not asked again meanwhile.")


class XMatchOptions(ServiceOptions):
    """SIMBAD or a table of VizieR, by the cross-match service of the CDS."""

    catalogue: str = Field(
        "simbad", pattern=r"^(?:simbad|vizier:[A-Za-z0-9+./_-]{1,100})$", description="`simbad` or `vizier:TABLE`."
    )
    radius_arcsec: float = Field(5.0, gt=0, le=_XMATCH_RADIUS_MAX_ARCSEC, description="How far to look.")
    url: str = Field("https://cdsxmatch.u-strasbg.fr/xmatch/api/v1/sync", description="Where the service is.")
    columns: Columns | None = Field(None, description="As for files, but for the position; ready for SIMBAD.")
    batch: int = Field(200, ge=1, le=5000, description="Most objects asked in one request.")
    gather_s: float = Field(5.0, ge=0, le=600, description="How long to wait for more objects before asking.")

    @model_validator(mode="after")
    def _columns_of_a_table(self) -> Self:
        if self.columns is None and self.catalogue != "simbad":
            raise ValueError("say which `columns` of the table are to be read")
        return self


class SkybotOptions(ServiceOptions):
    """Known objects of the solar system at the instant of a detection, by SkyBoT of the IMCCE."""

    radius_arcsec: float = Field(15.0, gt=0, le=_SKYBOT_RADIUS_MAX_ARCSEC, description="How far to look.")
    url: str = Field("https://ssp.imcce.fr/webservices/skybot/api/conesearch.php", description="Where the service is.")
    observatories: dict[str, str] = Field(
        {"ztf": "I41", "lsst": "X05"}, description="IAU code of the observatory, by survey; others: the geocentre."
    )
    position_error_arcsec: float = Field(
        10.0, gt=0, le=120, description="Objects whose position is less certain than this are left out."
    )


class TnsOptions(ServiceOptions):
    """The Transient Name Server."""

    url: str = Field("https://www.wis-tns.org/api/get", description="Where its API is.")
    api_key: Secret = Field(description="Key of your bot.")
    bot_id: int = Field(ge=1, description="Number of your bot.")
    bot_name: str = Field(pattern=r"^[A-Za-z0-9 ._-]{1,60}$", description="Its name.")
    radius_arcsec: float = Field(5.0, gt=0, le=_TNS_RADIUS_MAX_ARCSEC, description="How far to look.")
    keep_d: float = Field(
        1.0, gt=0, le=3650, description="An answer is kept so long: what is new today was reported by nobody yesterday."
    )

    @field_validator("url")
    @classmethod
    def _no_trailing_slash(cls, url: str) -> str:
        return url.rstrip("/")
