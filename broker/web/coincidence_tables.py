"""Coincidences as tables, for those who work with CSV or with Virtual Observatory tools."""

import csv
import io
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from astropy.table import MaskedColumn, Table
from pydantic import BaseModel

from schemas.coincidence import to_document
from schemas.coincidence_documents import CoincidenceDocument, ObjectDocument, StatisticsDocument, TriggerDocument
from schemas.records import Coincidence

CSV: Final = "text/csv"
VOTABLE: Final = "application/x-votable+xml"

_PARTS: Final[dict[str, type[BaseModel]]] = {
    "": CoincidenceDocument,
    "trigger": TriggerDocument,
    "object": ObjectDocument,
    "statistics": StatisticsDocument,
}
COLUMNS: Final = (
    ("statistics", "rank"), ("", "id"), ("", "revision"), ("", "state"), ("trigger", "id"), ("object", "survey"),
    ("object", "object_id"), ("object", "ra_deg"), ("object", "dec_deg"), ("object", "first_detection_utc"),
    ("object", "first_match_utc"), ("object", "mag"), ("object", "mag_err"), ("object", "band"), ("", "delta_t_s"),
    ("", "separation_deg"), ("", "credible_level"), ("", "overlap"), ("statistics", "posterior"),
    ("statistics", "chance_probability"), ("statistics", "far_per_year"), ("statistics", "credible_level_3d"),
)  # fmt: skip
"""The part of a coincidence that has it, and the published name, of each column."""


def as_table(coincidences: Sequence[Coincidence], content_type: str) -> bytes:
    """The coincidences in this order, as CSV or as VOTable with units and descriptions; what is unknown is empty."""
    documents = [to_document(coincidence) for coincidence in coincidences]
    columns = [_column(documents, part, name) for part, name in COLUMNS]
    return _WRITERS[content_type](Table(columns))


def _column(documents: Sequence[dict[str, Any]], part: str, name: str) -> MaskedColumn:
    field = _PARTS[part].model_fields[name]
    values = [((document[part] or {}) if part else document).get(name) for document in documents]
    unknown = [value is None for value in values]
    kind = str if any(isinstance(value, str) for value in values) else float
    filled = [("" if kind is str else np.nan) if value is None else value for value in values]
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    return MaskedColumn(
        np.array(filled, kind if not values or kind is str else None),
        name=f"{part}_{name}".lstrip("_"),
        mask=unknown,
        unit=extra.get("unit"),
        description=field.description,
    )


def _csv(table: Table) -> bytes:
    """As RFC 4180 has it; what ends a line is quoted."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(table.colnames)
    writer.writerows(zip(*(table[name].tolist() for name in table.colnames), strict=True))
    return stream.getvalue().encode()


def _votable(table: Table) -> bytes:
    stream = io.BytesIO()
    table.write(stream, format="votable")
    return stream.getvalue()


_WRITERS: Final[dict[str, Callable[[Table], bytes]]] = {CSV: _csv, VOTABLE: _votable}
