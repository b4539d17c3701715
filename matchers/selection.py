"""Conditions on coincidences, as a person writes them: ``trigger.messenger == "gamma-ray" and credible_level < 0.5``.

The names are those of the published form (`schemas.coincidence`), and are known with their types before
anything is evaluated, so that a wrong name or a comparison of a number with a text is found when the condition is read.
What is unknown is NaN or an empty text: no comparison with it holds, but ``!=``.
"""

import decimal
import re
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import rule_engine
from pydantic import BaseModel
from rule_engine import DataType
from rule_engine.errors import EngineError, RuleSyntaxError, SymbolResolutionError
from rule_engine.errors import ObjectAttributeError as UnknownAttribute

from schemas.coincidence_documents import CoincidenceDocument, Instant, ObjectDocument, TriggerDocument
from schemas.errors import ConfigurationError
from schemas.records import Coincidence

MOST_CHARACTERS = 2000
MOST_NESTED = 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOT_ASKED = {
    "schema_version",
    "provenance",
    "light_curve",
    "alert_ids",
    "last_non_detection_utc",
    "annotations",
    "linked",
    "classification",
    "evidence",
    "statistics",
}
_DETECTIONS = "detections"
_NESTED: dict[str, type[BaseModel]] = {"trigger": TriggerDocument, "object": ObjectDocument}
_AS_IN_IEEE_754 = decimal.Context(prec=28, traps=[])
"""Comparisons with NaN are false and a division by zero is infinite; neither raises."""


@dataclass(frozen=True, slots=True)
class Selection:
    """A condition, checked and ready.

    Attributes
    ----------
    text
        As it was written.
    """

    text: str
    _rule: rule_engine.Rule

    @classmethod
    def of(cls, text: str) -> "Selection":
        """Check a condition.

        Raises
        ------
        ConfigurationError
            Saying what is wrong, and where in the text.
        """
        if len(text) > MOST_CHARACTERS:
            raise ConfigurationError(f"the condition has {len(text)} characters; at most {MOST_CHARACTERS} are read")
        if _nesting(text) > MOST_NESTED:
            raise ConfigurationError(f"the condition has more than {MOST_NESTED} brackets inside each other")
        try:
            rule = rule_engine.Rule(text, context=_context())
        except RuleSyntaxError as error:
            place = error.token.lexpos if error.token is not None else len(text)
            raise ConfigurationError(_pointed("it cannot be read on from here", text, place)) from error
        except (SymbolResolutionError, UnknownAttribute) as error:
            name = error.symbol_name if isinstance(error, SymbolResolutionError) else error.attribute_name
            raise ConfigurationError(
                _pointed(_unknown_name(name, error.suggestion), text, _place(text, name))
            ) from error
        except (EngineError, re.error, RecursionError) as error:
            message = getattr(error, "message", "") or str(error)
            raise ConfigurationError(_pointed(message, text, None)) from error
        kind = rule.statement.expression.result_type
        if kind != DataType.BOOLEAN:
            raise ConfigurationError(_pointed(f"it is no condition but a value ({kind.name.lower()})", text, None))
        return cls(text, rule)

    def holds(self, coincidence: Coincidence) -> bool:
        """Whether the condition holds; one that cannot be computed (a link that is not there) does not."""
        try:
            return bool(self._rule.evaluate(coincidence))
        except EngineError:
            return False


def fields_of_conditions() -> dict[str, str]:
    """What a condition may name, with the sense of each: for the documentation and for the help."""
    told = {}
    documents: dict[str, type[BaseModel]] = {"": CoincidenceDocument} | {f"{name}.": of for name, of in _NESTED.items()}
    for prefix, document in documents.items():
        for name, field in document.model_fields.items():
            if name not in _NOT_ASKED and name not in _NESTED:
                told[f"{prefix}{name}"] = field.description or ""
    told[f"object.{_DETECTIONS}"] = "How many alerts of the object match."
    return told


@cache
def _context() -> rule_engine.Context:
    nested = {
        name: DataType.OBJECT(name, attributes=_types(document), accessor=_reader(document))
        for name, document in _NESTED.items()
    }
    read = _reader(CoincidenceDocument)
    return rule_engine.Context(
        type_resolver=_types(CoincidenceDocument) | nested,
        resolver=read,
        default_timezone="utc",
        decimal_context=_AS_IN_IEEE_754,
    )


def _types(document: type[BaseModel]) -> dict[str, Any]:
    known = {
        name: _type_of(field.rebuild_annotation())
        for name, field in document.model_fields.items()
        if name not in _NOT_ASKED and name not in _NESTED
    }
    return known | ({_DETECTIONS: DataType.FLOAT} if document is ObjectDocument else {})


def _type_of(annotation: Any) -> Any:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation == Instant:
        return DataType.DATETIME
    if origin is Annotated:
        return _type_of(arguments[0])
    if origin in {types.UnionType, Union}:  # a number or text that may be unknown
        return _type_of(next(argument for argument in arguments if argument is not type(None)))
    if origin is tuple:
        return DataType.ARRAY(_type_of(arguments[0]))
    if origin is dict:
        return DataType.MAPPING(DataType.STRING, DataType.STRING)
    scalars = {str: DataType.STRING, Literal: DataType.STRING, bool: DataType.BOOLEAN}
    return scalars.get(origin or annotation, DataType.FLOAT)


def _reader(document: type[BaseModel]) -> Callable[[Any, str], Any]:
    """What gives the value of a published name, of the record of which the document is the published form."""
    sources = {"ivorn": "notice_ivorn", "origin": "notice_origin"} if document is TriggerDocument else {}
    instants = {name for name, kind in _types(document).items() if kind == DataType.DATETIME}
    numbers = {name for name, kind in _types(document).items() if kind == DataType.FLOAT}

    def read(record: Any, name: str) -> Any:
        if name == _DETECTIONS:
            return len(record.alert_ids)
        if name in instants:
            return _EPOCH + timedelta(microseconds=getattr(record, name.removesuffix("_utc") + "_us"))
        value = getattr(record, sources.get(name, name))
        if value is None:
            return float("nan") if name in numbers else ""
        if isinstance(value, StrEnum):
            return value.value
        return dict(value) if isinstance(value, Mapping) else value

    return read


def _unknown_name(name: str, suggestion: str | None) -> str:
    meant = f"; is {suggestion} meant?" if suggestion else ""
    return f"there is no {name}{meant}"


def _place(text: str, name: str) -> int | None:
    found = re.search(rf"\b{re.escape(name)}\b", text)
    return found.start() if found else None


def _nesting(text: str) -> int:
    depth = deepest = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    return deepest


def _pointed(what: str, text: str, place: int | None) -> str:
    """What is wrong, with the text and a mark below the place."""
    if place is None or "\n" in text:
        return f"{what}: {text}"
    return f"{what} (character {place + 1}):\n    {text}\n    {' ' * place}^"
