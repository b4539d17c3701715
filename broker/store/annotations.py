"""What services answered about objects, as rows of the table `annotation`."""

import json
import sqlite3
from dataclasses import asdict
from typing import Any, Final

from broker.store.records import KeptAnnotation
from schemas.annotations import Annotation, Answer

UPSERT: Final = (
    "INSERT INTO annotation (survey, object_id, catalogue, answered_us, document) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET answered_us = excluded.answered_us, document = excluded.document"
)
_ALL: Final = "SELECT survey, object_id, answered_us, document FROM annotation ORDER BY survey, object_id, catalogue"


def annotation_row(kept: KeptAnnotation) -> tuple[Any, ...]:
    """An answer as `UPSERT` takes it."""
    document = json.dumps(asdict(kept.annotation), allow_nan=False)
    return kept.survey, kept.object_id, kept.annotation.catalogue, kept.answered_us, document


def read_annotations(database: sqlite3.Connection) -> list[KeptAnnotation]:
    """All answers that are kept, sorted by object and catalogue."""
    return [
        KeptAnnotation(survey, object_id, _annotation(json.loads(document)), answered_us)
        for survey, object_id, answered_us, document in database.execute(_ALL)
    ]


def _annotation(document: dict[str, Any]) -> Annotation:
    return Annotation(**(document | {"answer": Answer(document["answer"])}))
