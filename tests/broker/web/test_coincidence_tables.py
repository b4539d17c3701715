"""Coincidences as tables, read back by the library that astronomers read them with."""

import csv
import io
import warnings

import numpy as np
import pytest
from astropy import units
from astropy.io.votable import parse, validate
from astropy.table import Table
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from broker.web.coincidence_tables import COLUMNS, CSV, VOTABLE, as_table
from tests.coincidences import COINCIDENCE, changed, coincidences

NAMES = [f"{part}_{name}".lstrip("_") for part, name in COLUMNS]
UNKNOWN = changed(id="b", statistics=None, object={"mag": None, "mag_err": None, "band": ""})


def read(body, content_type):
    if content_type == CSV:
        return Table.read(body.decode(), format="ascii.csv")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Table.read(io.BytesIO(body), format="votable")


@pytest.mark.parametrize("content_type", [CSV, VOTABLE])
def test_values_come_back(content_type):
    table = read(as_table([COINCIDENCE, UNKNOWN], content_type), content_type)
    assert table.colnames == NAMES
    first, second = table
    assert (first["id"], first["object_object_id"], first["object_band"]) == (
        COINCIDENCE.id,
        "ZTF20aaeqmed",
        COINCIDENCE.object.band,
    )
    assert first["object_ra_deg"] == COINCIDENCE.object.ra_deg
    assert first["object_mag"] == pytest.approx(COINCIDENCE.object.mag)
    assert first["statistics_rank"] == 1
    assert first["statistics_posterior"] == 0.625
    assert first["object_first_detection_utc"].startswith("2020-01-08T03:22:10.5")
    for name in ("object_mag", "statistics_posterior", "statistics_rank"):
        assert np.ma.is_masked(second[name]), name


def test_units_and_descriptions_are_told():
    table = read(as_table([COINCIDENCE], VOTABLE), VOTABLE)
    assert table["object_ra_deg"].unit == units.deg
    assert table["delta_t_s"].unit == units.s
    assert table["object_mag"].unit == units.mag
    assert all(table[name].description for name in NAMES)


@pytest.mark.parametrize("content_type", [CSV, VOTABLE])
def test_an_empty_table_has_its_columns(content_type):
    table = read(as_table([], content_type), content_type)
    assert (table.colnames, len(table)) == (NAMES, 0)


def test_a_votable_is_one(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parse(io.BytesIO(as_table([COINCIDENCE, UNKNOWN], VOTABLE)), verify="exception")
    path = tmp_path / "table.xml"
    path.write_bytes(as_table([COINCIDENCE], VOTABLE))
    out = io.StringIO()
    assert validate(path, output=out), out.getvalue()


ODD = st.text(st.sampled_from("a,;\"'\n\r\t<&> é="), max_size=12)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow], phases=[Phase.generate])
@given(st.lists(coincidences(ODD), min_size=1, max_size=3))
def test_any_coincidence_makes_tables_that_can_be_read(found):
    rows = list(csv.DictReader(io.StringIO(as_table(found, CSV).decode(), newline="")))
    assert [row["object_object_id"] for row in rows] == [one.object.object_id for one in found]
    assert [float(row["separation_deg"]) for row in rows] == [one.separation_deg for one in found]
    table = read(as_table(found, VOTABLE), VOTABLE)
    assert table["separation_deg"].tolist() == [one.separation_deg for one in found]
