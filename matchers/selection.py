"""Conditions on coincidences, as a person writes them: ``trigger.messenger == "gamma-ray" and credible_level < 0.5``.

The names are those of the published form (`schemas.coincidence_documents`), and are known with their types before
anything is evaluated, so that a wrong name or a comparison of a number with a text is found when the condition is read.
What is unknown is NaN or an empty text: no comparison with it holds, but ``!=``. A record of a list is asked for by its
key, ``object.annotations["gaia"].separation_arcsec < 2``; of one that is not there everything is unknown.
"""

import decimal
import re
import types
from collections import UserDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import rule_engine
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from rule_engine import DataType
from rule_engine.errors import EngineError, RuleSyntaxError, SymbolResolutionError
from rule_engine.errors import ObjectAttributeError as UnknownAttribute

from schemas.coincidence_documents import (
    AnnotationDocument,
    CoincidenceDocument,
    Instant,
    LinkDocument,
    ObjectDocument,
    RateDocument,
    TriggerDocument,
)
from schemas.errors import ConfigurationError
from schemas.records import Coincidence

MOST_CHARACTERS = 2000
MOST_NESTED = 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLAIN = re.compile(
    r"""(?:\s++|[A-Za-z_]\w*+|\.|\d{1,20}(?:\.\d{1,20})?(?:[eE][+-]?\d{1,3})?(?!\w)
    |[dt]?"[^"\\]*+"|[dt]?'[^'\\]*+'|[=!<>]=|[<>](?![<>])|\*(?!\*)|/(?!/)|[-+(),\[\]])*+""",
    re.ASCII | re.VERBOSE,
)
"""Comparisons, and computing with small numbers: each takes some microseconds. What else the language has may take for
ever: a regular expression that tries all ways, a list of 10^9 numbers, a shift by as many bits."""
_NOT_PLAIN = re.compile(r"\b(?:for|if|else)\b", re.ASCII)
_NOT_ASKED = {"schema_version", "provenance", "light_curve", "alert_ids", "last_non_detection_utc"}
"""What has no use in a condition; of the last non-detection, which may be unknown, ``evidence.onset_after_s`` tells."""
_DETECTIONS = "detections"
_KEYS: dict[type[BaseModel], str] = {LinkDocument: "id", AnnotationDocument: "catalogue", RateDocument: "band"}
"""Fields by which the records of a list are asked for: ``evidence.rates["g"]``."""
_RECORD_NAMES: dict[type[BaseModel], dict[str, str]] = {
    TriggerDocument: {"ivorn": "notice_ivorn", "origin": "notice_origin"}
}
"""Where a record calls a field otherwise than the published form."""
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

    @classmethod
    def of_stranger(cls, text: str) -> "Selection":
        """Check a condition of somebody who is not trusted: of the language only what surely takes little time.

        That is comparisons, ``in``, ``and``, ``or``, ``not`` and the four kinds of arithmetic.

        Raises
        ------
        ConfigurationError
            Saying what is wrong, and where in the text.
        """
        found = _PLAIN.match(text[: MOST_CHARACTERS + 1])
        end = found.end() if found else 0
        if end < len(text) and len(text) <= MOST_CHARACTERS:
            told = "expected here are comparisons, in, and, or, not, + - * / and plain texts and numbers"
            raise ConfigurationError(_pointed(told, text, end))
        if word := _NOT_PLAIN.search(text):
            raise ConfigurationError(_pointed("no comprehension and no choice is taken here", text, word.start()))
        return cls.of(text)

    def holds(self, coincidence: Coincidence) -> bool:
        """Whether the condition holds; one that cannot be computed (an integer of what is unknown) does not."""
        try:
            return bool(self._rule.evaluate(coincidence))
        except (EngineError, ArithmeticError, LookupError, TypeError, ValueError):  # the library lets Python's own pass
            return False


def fields_of_conditions() -> dict[str, str]:
    """What a condition may name, with the sense of each: for the documentation and for the help.

    ``<id>`` and the like stand for a key of one's own.
    """
    return dict(_told(CoincidenceDocument, ""))


def _told(document: type[BaseModel], prefix: str) -> Iterator[tuple[str, str]]:
    for name, field in _asked(document).items():
        whole, said = f"{prefix}{name}", field.description or ""
        inner, key = _document_in(field.rebuild_annotation())
        if inner is None:
            yield whole, said
        elif key:
            yield whole, said
            yield from _told(inner, f'{whole}["<{key}>"].')
        else:
            yield from _told(inner, f"{whole}.")
    if document is ObjectDocument:
        yield f"{prefix}{_DETECTIONS}", "How many alerts of the object match."


def _asked(document: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a document that a condition may name."""
    return {
        name: field
        for name, field in document.model_fields.items()
        if name not in _NOT_ASKED and name != _KEYS.get(document)
    }


def _document_in(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """The kind of records that a field holds, if any, and what they are asked for by, if there are many."""
    arguments = get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, ""
    if get_origin(annotation) is tuple and arguments[0] in _KEYS:
        return arguments[0], _KEYS[arguments[0]]
    found = [argument for argument in arguments if _document_in(argument)[0] is not None]
    return (found[0], "") if found else (None, "")


@cache
def _context() -> rule_engine.Context:
    return rule_engine.Context(
        type_resolver=_types(CoincidenceDocument),
        resolver=_reader(CoincidenceDocument),
        default_timezone="utc",
        decimal_context=_AS_IN_IEEE_754,
        mapping_attribute_lookup=False,
    )


@cache
def _types(document: type[BaseModel]) -> dict[str, Any]:
    known = {name: _type_of(field.rebuild_annotation()) for name, field in _asked(document).items()}
    return known | ({_DETECTIONS: DataType.FLOAT} if document is ObjectDocument else {})


def _type_of(annotation: Any) -> Any:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation == Instant:
        return DataType.DATETIME
    document, key = _document_in(annotation)
    if document is not None:
        of_one = DataType.OBJECT(document.__name__, attributes=_types(document), accessor=_reader(document))
        return DataType.MAPPING(DataType.STRING, of_one) if key else of_one
    if origin in {Annotated, types.UnionType, Union}:  # bounded, or perhaps unknown
        return _type_of(next(argument for argument in arguments if argument is not type(None)))
    if origin is tuple:
        return DataType.ARRAY(_type_of(arguments[0]))
    if origin is dict:
        return DataType.MAPPING(DataType.STRING, _type_of(arguments[1]))
    scalars = {str: DataType.STRING, Literal: DataType.STRING, bool: DataType.BOOLEAN}
    return scalars.get(origin or annotation, DataType.FLOAT)


def _reader(document: type[BaseModel]) -> Callable[[Any, str], Any]:
    """What gives the value of a published name, of the record of which the document is the published form.

    Of what there is no record, each number is NaN, each text empty, and nothing is in it.
    """
    renamed = _RECORD_NAMES.get(document, {})
    kinds = _types(document)
    keys = {name: _document_in(field.rebuild_annotation())[1] for name, field in _asked(document).items()}

    def read(record: Any, name: str) -> Any:
        if name == _DETECTIONS:
            return len(record.alert_ids)
        kind = kinds[name]
        if kind == DataType.DATETIME:
            return _EPOCH + timedelta(microseconds=getattr(record, name.removesuffix("_utc") + "_us"))
        value = None if record is None else getattr(record, renamed.get(name, name))
        if DataType.is_type(kind, DataType.MAPPING):
            key = keys[name]
            entries = {getattr(one, key): one for one in value or ()} if key else value or {}
            return _ByName(entries, _unknown(kind.value_type))
        if value is None:
            return _unknown(kind)
        return value.value if isinstance(value, StrEnum) else value

    return read


class _ByName(UserDict[str, Any]):
    """Values by name; what a name without any gives is unknown too."""

    def __init__(self, values: Mapping[str, Any], unknown: Any) -> None:
        super().__init__(values)
        self._unknown = unknown

    def __missing__(self, name: str) -> Any:
        return self._unknown


def _unknown(kind: Any) -> Any:
    """What stands for an unknown value of a type; of a record there is none."""
    if DataType.is_type(kind, DataType.ARRAY):
        return ()
    return float("nan") if kind == DataType.FLOAT else "" if kind == DataType.STRING else None


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
