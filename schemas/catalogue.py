"""Writer schemas by the id that Confluent-framed records carry."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from schemas.errors import BadPacket, Reason, UnknownSchema
from schemas.writer_schema import DEFAULT_LIMITS, AvroLimits, Json, WriterSchema, judged, schema_json

_LSST_ALERT = re.compile(r"lsst\.v(\d{1,4})_(\d{1,2})\.alert")
_IDS = range(1 << 32)


class SchemaCatalogue:
    """Knows writer schemas by id. Filled by `bridges.schema_registry`, asked by `schemas.survey`.

    Parameters
    ----------
    limits
        What is asked of a schema.
    """

    def __init__(self, limits: AvroLimits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._schemas: dict[int, WriterSchema] = {}

    def __contains__(self, schema_id: int) -> bool:
        return schema_id in self._schemas

    def __len__(self) -> int:
        return len(self._schemas)

    def get(self, schema_id: int) -> WriterSchema:
        """The schema with this id.

        Raises
        ------
        UnknownSchema
            If there is none.
        """
        try:
            return self._schemas[schema_id]
        except KeyError:
            raise UnknownSchema(schema_id) from None

    def add(self, schema_id: int, text: bytes) -> None:
        """Take a schema from its JSON text; one that has the id already is replaced.

        Raises
        ------
        BadPacket
            If it cannot be used, or the id is no number of 32 bits.
        """
        self._put(schema_id, judged(schema_json(text, self._limits), {}, self._limits))

    def add_lsst(self, texts: Iterable[bytes]) -> tuple[int, ...]:
        """Take every version of the LSST alert schema from files of one named type each.

        The id of version ``major.minor`` is 100 x major + minor, as Rubin's registry counts.

        Parameters
        ----------
        texts
            JSON of ``lsst.v10_0.alert.avsc``, ``lsst.v10_0.diaSource.avsc`` and so on, in any order.

        Returns
        -------
        tuple of int
            The ids that were added, sorted.

        Raises
        ------
        BadPacket
            If a text is no schema, or an alert schema refers to a type that none of them defines.
        """
        definitions: dict[str, Json] = {}
        for text in texts:
            source = schema_json(text, self._limits)
            name = full_name(source)
            if name:
                definitions[name] = source
        added = []
        for name, source in definitions.items():
            if found := _LSST_ALERT.fullmatch(name):
                schema_id = 100 * int(found[1]) + int(found[2])
                others = {other: value for other, value in definitions.items() if other != name}
                self._put(schema_id, judged(source, others, self._limits))
                added.append(schema_id)
        return tuple(sorted(added))

    def _put(self, schema_id: int, schema: WriterSchema) -> None:
        if schema_id not in _IDS:
            raise BadPacket(Reason.OUT_OF_RANGE, f"schema id {schema_id} is no number of 32 bits")
        self._schemas[schema_id] = schema


def full_name(source: Any) -> str | None:
    """Name of a schema's outermost type with its namespace; None if it has none."""
    if not isinstance(source, Mapping) or not isinstance(source.get("name"), str):
        return None
    name, namespace = source["name"], source.get("namespace")
    return name if "." in name or not isinstance(namespace, str) or not namespace else f"{namespace}.{name}"
