import gzip
import os

import numpy as np
import pyarrow as pa
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.io.votable import from_table, writeto
from astropy.io.votable.tree import CooSys
from astropy.table import MaskedColumn, Table
from pyarrow import csv, parquet

from bridges.catalogue_files import CatalogueFile
from bridges.catalogue_options import CatalogueFileOptions
from schemas.annotations import Annotation, Answer, Target
from schemas.errors import ConfigurationError

RA, DEC = np.array([197.4487, 10.0, 150.0, 359.9999]), np.array([-23.3839, 0.0, 89.9, 5.0])
NAMES = ["NGC 4993", "é", "", "near the edge"]
COLUMNS = {"name": "id", "redshift": "z", "distance_mpc": "d", "values": ["mag"]}
FOUND = Annotation("host", Answer.FOUND, "NGC 4993", 3.6, "", None, 0.0098, 40.5, None, {"mag": "12.5"})


def columns():
    return {
        "ra": RA,
        "dec": DEC,
        "id": NAMES,
        "z": [0.0098, 1.0, 2.0, 3.0],
        "d": [40.5, 1.0, 1.0, 1.0],
        "mag": [12.5] * 4,
    }


def as_csv(folder):
    csv.write_csv(pa.table(columns()), folder / "host.csv")
    return "host.csv"


def as_packed_csv(folder):
    as_csv(folder)
    (folder / "host.csv.gz").write_bytes(gzip.compress((folder / "host.csv").read_bytes()))
    return "host.csv.gz"


def as_parquet(folder):
    parquet.write_table(pa.table(columns()), folder / "host.parquet")
    return "host.parquet"


def as_fits(folder):
    Table(columns() | {"id": np.char.encode(NAMES, "utf-8")}).write(folder / "host.fits")
    return "host.fits"


def as_votable(folder):
    Table(columns()).write(folder / "host.vot", format="votable")
    return "host.vot"


def as_hats(folder):
    table = pa.table(columns())
    for number in range(2):
        leaf = folder / "host" / "dataset" / "Norder=0" / "Dir=0" / f"Npix={number}"
        leaf.parent.mkdir(parents=True, exist_ok=True)
        if number:  # newer catalogues have a folder a pixel
            leaf.mkdir()
            parquet.write_table(table.slice(2), leaf / "part0.snappy.parquet")
        else:
            parquet.write_table(table.slice(0, 2), leaf.with_suffix(".parquet"))
    parquet.write_table(table, folder / "host" / "dataset" / "data_thumbnail.parquet")
    (folder / "host" / "hats.properties").write_text(
        "#HATS catalog\nobs_collection=host\ndataproduct_type=object\nhats_col_ra=ra\nhats_col_dec=dec\n"
    )
    return "host"


EVERY = [as_csv, as_packed_csv, as_parquet, as_fits, as_votable, as_hats]


def options(path, **more):
    return CatalogueFileOptions.model_validate({"path": path, "columns": COLUMNS, "radius_arcsec": 10} | more)


def target(ra_deg, dec_deg):
    return Target("ztf", "a", ra_deg, dec_deg, 0)


@pytest.mark.parametrize("write", EVERY)
def test_every_format_gives_the_same(write, tmp_path):
    catalogue = CatalogueFile.open("host", options(write(tmp_path)), tmp_path)
    assert len(catalogue) == 4
    near, none, edge, other = catalogue.look_up(
        [target(197.4487, -23.3829), target(197.4487, -23.38), target(0.0001, 5.0), target(10.0, 0.001)]
    )
    assert near == FOUND
    assert none == Annotation("host", Answer.NONE)
    assert edge.name == "near the edge"
    assert edge.separation_arcsec == pytest.approx(0.717, abs=1e-3)
    assert other.name == "é"
    assert catalogue.look_up([]) == []


@pytest.mark.parametrize("write", EVERY)
def test_what_was_read_is_mapped_next_time(write, tmp_path, monkeypatch):
    asked, cache = options(write(tmp_path)), tmp_path / "cache"
    CatalogueFile.open("host", asked, tmp_path, cache)
    (kept,) = cache.iterdir()
    monkeypatch.delattr("bridges.catalogue_files.read_catalogue")
    mapped = CatalogueFile.open("host", asked, tmp_path, cache)
    assert mapped.look_up([target(197.4487, -23.3829)]) == [FOUND]
    # What does not decide on what is read makes no new file.
    wider = asked.model_copy(update={"radius_arcsec": 100.0, "all_are": "galaxy"})
    (found,) = CatalogueFile.open("host", wider, tmp_path, cache).look_up([target(197.4487, -23.37)])
    assert (found.kind, found.separation_arcsec) == ("galaxy", pytest.approx(50.04))
    assert list(cache.iterdir()) == [kept]


def test_another_file_or_other_columns_are_read_anew(tmp_path):
    cache, path = tmp_path / "cache", as_csv(tmp_path)
    CatalogueFile.open("host", options(path), tmp_path, cache)
    first = set(cache.iterdir())
    CatalogueFile.open("host", options(path, columns={"name": "id"}), tmp_path, cache)
    second = set(cache.iterdir())
    os.utime(tmp_path / path, (1, 1))
    CatalogueFile.open("host", options(path, columns={"name": "id"}), tmp_path, cache)
    third = set(cache.iterdir())
    assert [len(files) for files in (first, second, third)] == [1, 1, 1]
    assert not first & second | second & third
    CatalogueFile.open("host2", options(path), tmp_path, cache)
    assert len(set(cache.iterdir()) - third) == 1 == len(third & set(cache.iterdir()))


def test_a_damaged_cache_is_made_anew(tmp_path):
    cache, asked = tmp_path / "cache", options(as_csv(tmp_path))
    CatalogueFile.open("host", asked, tmp_path, cache)
    (kept,) = cache.iterdir()
    whole = kept.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"nonsense" * 100):
        kept.write_bytes(damaged)
        assert CatalogueFile.open("host", asked, tmp_path, cache).look_up([target(197.4487, -23.3829)]) == [FOUND]
        assert kept.read_bytes() == whole


def test_where_nothing_can_be_written_the_catalogue_is_kept_in_memory(tmp_path):
    (tmp_path / "cache").touch()
    catalogue = CatalogueFile.open("host", options(as_csv(tmp_path)), tmp_path, tmp_path / "cache")
    assert catalogue.look_up([target(197.4487, -23.3829)]) == [FOUND]


def test_the_nearest_of_several_and_how_many_there_are(tmp_path):
    (tmp_path / "a.csv").write_text("ra,dec,id\n10,0.002,far\n10,0.001,near\n10,-0.0015,south\n")
    asked = options("a.csv", columns={"name": "id"}, all_are="AGN")
    (found,) = CatalogueFile.open("a", asked, tmp_path).look_up([target(10, 0)])
    assert (found.name, found.kind, found.separation_arcsec) == ("near", "AGN", 3.6)
    assert found.values == {"entries_within": "3"}


def test_answers_are_kept_and_made_anew_when_there_are_many(tmp_path, monkeypatch):
    monkeypatch.setattr("bridges.catalogue_files._MOST_FOUND", 2)
    catalogue = CatalogueFile.open("host", options(as_csv(tmp_path)), tmp_path)
    targets = [target(197.4487, -23.3829), target(10.0, 0.001), target(50.0, 0.0), target(197.4487, -23.3829)]
    once = [catalogue.look_up([one])[0] for one in targets]
    for _ in range(3):
        assert catalogue.look_up(targets) == once
    assert once[0] == FOUND
    catalogue.look_up([target(60.0, 0.0)])
    assert len(catalogue._found) == 1


def test_a_catalogue_of_positions_alone(tmp_path):
    (tmp_path / "a.csv").write_text("ra,dec\n10,0\n")
    (found,) = CatalogueFile.open("a", options("a.csv", columns={}), tmp_path).look_up([target(10, 0)])
    assert found == Annotation("a", Answer.FOUND, separation_arcsec=0.0)


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("ra,dec\n0.5,0.1\n", {"unit": "rad"}),
        (f"ra,dec\n{np.degrees(0.5) / 15},{np.degrees(0.1)}\n", {"unit": "hour"}),
        (f"ra;dec\n{np.degrees(0.5)};{np.degrees(0.1)}\n", {"delimiter": ";"}),
        (f"ra,dec\n{np.degrees(0.5) - 360},{np.degrees(0.1)}\n", {}),
        (f"ra,dec\n,5\n{np.degrees(0.5)},{np.degrees(0.1)}\n3,\n", {}),
        (f"ra,dec\n-999,-999\n{np.degrees(0.5)},{np.degrees(0.1)}\n", {"missing": ["-999"]}),
        (f"ra,dec\n{np.degrees(0.5)},{np.degrees(0.1)}\n", {"frame": "fk5"}),
    ],
)
def test_units_frames_and_missing_positions(text, more, tmp_path):
    (tmp_path / "a.csv").write_text(text)
    catalogue = CatalogueFile.open("a", options("a.csv", columns={}, **more), tmp_path)
    (found,) = catalogue.look_up([target(np.degrees(0.5), np.degrees(0.1))])
    assert found.separation_arcsec == pytest.approx(0.0, abs=0.05)  # FK5 and ICRS differ by less
    assert len(catalogue) == 1


def test_galactic_positions(tmp_path):
    galactic = SkyCoord(10, 20, unit="deg").galactic
    (tmp_path / "a.csv").write_text(f"l,b\n{galactic.l.deg},{galactic.b.deg}\n")
    asked = options("a.csv", columns={"ra": "l", "dec": "b"}, frame="galactic")
    (found,) = CatalogueFile.open("a", asked, tmp_path).look_up([target(10, 20)])
    assert found.separation_arcsec == pytest.approx(0.0, abs=0.001)


def write(table, path):
    table.write(path, format="votable" if path.suffix == ".vot" else "fits")


@pytest.mark.parametrize("name", ["a.fits", "a.vot"])
def test_units_that_the_file_states_count(name, tmp_path):
    table = Table({"RA": [1.0], "DEC": [0.25]}, units=["h", "rad"])
    write(table, tmp_path / name)
    catalogue = CatalogueFile.open("a", options(name, columns={"ra": "RA", "dec": "DEC"}), tmp_path)
    (found,) = catalogue.look_up([target(15, np.degrees(0.25))])
    assert found.separation_arcsec == pytest.approx(0.0, abs=0.001)


def test_masked_values_and_numbers_as_names(tmp_path):
    table = Table({"ra": [10.0, 20.0], "dec": [0.0, 0.0], "z": MaskedColumn([1.0, 2.0], mask=[True, False])})
    table["id"] = MaskedColumn([7, 8], mask=[False, True])
    for name in ("a.fits", "a.vot"):
        write(table, tmp_path / name)
        catalogue = CatalogueFile.open("a", options(name, columns={"name": "id", "redshift": "z"}), tmp_path)
        one, two = catalogue.look_up([target(10, 0), target(20, 0)])
        assert [(found.name, found.redshift) for found in (one, two)] == [("7", None), ("", 2.0)], name


def _votable_in_fk5(folder):
    votable = from_table(Table({"ra": [10.0], "dec": [0.0]}))
    votable.resources[0].coordinate_systems.append(CooSys(ID="s", system="eq_FK5", equinox="J2000"))
    writeto(votable, str(folder / "a.vot"))
    return "a.vot"


def test_the_frame_that_the_file_states_counts_and_may_not_be_contradicted(tmp_path):
    path = _votable_in_fk5(tmp_path)
    assert len(CatalogueFile.open("a", options(path, columns={}), tmp_path)) == 1
    with pytest.raises(ConfigurationError, match=r"a\.vot: states positions in eq_fk5, the configuration says icrs"):
        CatalogueFile.open("a", options(path, columns={}, frame="icrs"), tmp_path)


@pytest.mark.parametrize(
    ("text", "more", "told"),
    [
        ("ra,dec\n1,2\nx,3\n", {}, r"Row #3: CSV conversion error to double: invalid value 'x'"),
        ("ra,dec\n1,2\n3\n", {}, "Expected 2 columns, got 1"),
        ("ra,dec\n1,2\n", {"columns": {"name": "id"}}, "there is no column id; there are dec, ra"),
        ("ra,dec\n1,2\n3,91\n", {}, "row 2: column dec: 91 deg is not on the sky; see `unit` and `frame`"),
        ("ra,dec\n1,2\n361,9\n", {}, "row 2: column ra: 361 deg is not on the sky"),
        ("ra,dec\n,\n", {}, "no row has a position in the columns ra and dec"),
        ("ra,dec\n1,2\n3,4\n", {"rows_max": 1}, "has 2 rows or more, `rows_max` allows 1"),
        ("ra,dec\n1,2\n", {"columns": {"values": ["ra"]}}, "the column ra is asked for as a number and as a text"),
        ("", {}, "cannot be read as csv"),
        ("ra,dec\n1,2\n", {"format": "fits"}, "cannot be read as fits"),
        ("ra,dec\n1,2\n", {"format": "votable"}, "cannot be read as votable"),
        ("ra,dec\n1,2\n", {"format": "parquet"}, "cannot be read as parquet"),
        ("ra,dec\n1,2\n", {"format": "hats"}, "the format of the catalogue cannot be told"),
    ],
)
def test_what_is_wrong_is_named(text, more, told, tmp_path):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ConfigurationError, match=told) as caught:
        CatalogueFile.open("a", options("a.csv", **{"columns": {}} | more), tmp_path)
    assert str(tmp_path / "a.csv") in str(caught.value)


@pytest.mark.parametrize("write", [as_parquet, as_fits, as_votable, as_hats])
@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"rows_max": 3}, "rows or more, `rows_max` allows 3"),
        ({"columns": {"kind": "type"}}, "there is no column type"),
        ({"columns": {"redshift": "id"}}, "column id"),
        ({"columns": {"name": "list"}}, "column list|no column list"),
    ],
)
def test_what_is_wrong_is_named_in_every_format(write, more, told, tmp_path):
    path = write(tmp_path)
    with pytest.raises(ConfigurationError, match=told):
        CatalogueFile.open("a", options(path, **more), tmp_path)


def test_columns_of_arrays_are_refused(tmp_path):
    table = Table({"ra": [10.0], "dec": [0.0], "v": [[1.0, 2.0]]})
    for name in ("a.fits", "a.vot"):
        write(table, tmp_path / name)
        with pytest.raises(ConfigurationError, match="column v has 1 more dimensions than one"):
            CatalogueFile.open("a", options(name, columns={"redshift": "v"}), tmp_path)
    parquet.write_table(pa.table({"ra": [1.0], "dec": [2.0], "v": [[1.0]]}), tmp_path / "a.parquet")
    with pytest.raises(ConfigurationError, match="column v is of type list"):
        CatalogueFile.open("a", options("a.parquet", columns={"redshift": "v"}), tmp_path)


def test_units_that_are_no_angle(tmp_path):
    Table({"ra": [1.0], "dec": [2.0]}, units=["m", "deg"]).write(tmp_path / "a.fits")
    with pytest.raises(ConfigurationError, match="column ra is in 'm', which is no angle"):
        CatalogueFile.open("a", options("a.fits", columns={}), tmp_path)


def test_an_image_is_no_table(tmp_path):
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.zeros((2, 2)))]).writeto(tmp_path / "a.fits")
    with pytest.raises(ConfigurationError, match="extension 1 is no table"):
        CatalogueFile.open("a", options("a.fits"), tmp_path)
    with pytest.raises(ConfigurationError, match="cannot be read as fits"):
        CatalogueFile.open("a", options("a.fits", table=7), tmp_path)


def test_what_is_not_there_or_cannot_be_told(tmp_path):
    with pytest.raises(ConfigurationError, match=r"no\.csv: there is no such catalogue"):
        CatalogueFile.open("a", options("no.csv"), tmp_path)
    (tmp_path / "a.dat").touch()
    with pytest.raises(ConfigurationError, match="cannot be told from its name; set `format`"):
        CatalogueFile.open("a", options("a.dat"), tmp_path)


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        (None, "a folder is no catalogue"),
        ("dataproduct_type=margin\n", "of kind 'margin'"),
        ("dataproduct_type=object\n", "there are no files"),
    ],
)
def test_folders_that_are_no_catalogue(properties, told, tmp_path):
    as_hats(tmp_path)
    file = tmp_path / "host" / "hats.properties"
    if properties is None:
        file.unlink()
    else:
        file.write_text(properties)
        if "object" in properties:
            (tmp_path / "host" / "dataset").rename(tmp_path / "host" / "elsewhere")
    with pytest.raises(ConfigurationError, match=told):
        CatalogueFile.open("a", options("host"), tmp_path)


def test_the_position_columns_of_a_hats_catalogue_can_be_overruled(tmp_path):
    as_hats(tmp_path)
    file = tmp_path / "host" / "hats.properties"
    file.write_text(file.read_text().replace("=ra", "=z").replace("=dec", "=d"))
    with pytest.raises(ConfigurationError, match="asked for as a number"):
        CatalogueFile.open("a", options("host", columns={"values": ["z"]}), tmp_path)
    assert len(CatalogueFile.open("a", options("host", columns={"ra": "ra", "dec": "dec"}), tmp_path)) == 4
