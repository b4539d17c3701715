"""JSON of strangers: bounded before it is parsed, and read field by field with what is odd noted.

What the standard leaves open or Python adds is refused: NaN and infinities, keys that come twice, text that is not
UTF-8.
"""

import json
import math
import re
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, NoReturn

from schemas.errors import BadInput, Reason

Json = Any
JsonObject = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class JsonLimits:
    """How much JSON is taken. Real notices: 4 MiB (GCN's limit), 6 levels, some 200 values.

    Attributes
    ----------
    bytes
        Of the whole text; nearly all of a large notice is one text, its sky map in base64.
    depth
        Of objects and lists within each other.
    values
        Of numbers, texts, objects and lists, keys not counted. Memory is bounded by about 100 bytes for each.
    """

    bytes: int = 32 << 20
    depth: int = 64
    values: int = 500_000


DEFAULT_LIMITS = JsonLimits()

MAX_TEXT: Final = 1000
"""Longest text that is kept as a parameter; of a longer one only the length is."""
MAX_PARAMS: Final = 500
MAX_CLASSES: Final = 100
MAX_WARNINGS: Final = 50

_BOM: Final = b"\xef\xbb\xbf"
# Possessive, with an optional end of a text: each quote starts a text at most once, so that time is linear.
_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?+|[\[\]{},]', re.DOTALL)


def parse_json(body: bytes, limits: JsonLimits = DEFAULT_LIMITS) -> Json:
    """The value in a JSON text (RFC 8259; a byte order mark is passed over).

    Raises
    ------
    BadInput
        EMPTY, TOO_LARGE, TOO_DEEP, BAD_ENCODING, NOT_FINITE or MALFORMED.
    """
    if not body.strip():
        raise BadInput(Reason.EMPTY, "the message has no bytes but blanks")
    if len(body) > limits.bytes:
        raise BadInput(Reason.TOO_LARGE, f"JSON of {len(body)} bytes; at most {limits.bytes} are read")
    body = body.removeprefix(_BOM)
    _bound_structure(body, limits)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(Reason.BAD_ENCODING, f"byte {error.start} is not UTF-8, which JSON must be") from None
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_no_duplicates)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise BadInput(Reason.BAD_ENCODING, "a text holds half of a surrogate pair, which is no character") from None
    except ValueError as error:  # also of integers with more digits than Python converts
        raise BadInput(Reason.MALFORMED, f"not valid JSON: {error}"[:300]) from None
    return value


def parse_json_object(body: bytes, limits: JsonLimits = DEFAULT_LIMITS) -> JsonObject:
    """The object in a JSON text.

    Raises
    ------
    BadInput
        As `parse_json`, and UNKNOWN_FORMAT if it holds something else.
    """
    start = body.removeprefix(_BOM).lstrip()[:1]
    if start and start != b"{":
        raise BadInput(Reason.UNKNOWN_FORMAT, f"begins with {body[:20]!r}, expected a JSON object")
    value: JsonObject = parse_json(body, limits)
    return value


def _bound_structure(body: bytes, limits: JsonLimits) -> None:
    """Count texts, brackets and commas, without keeping anything."""
    depth = values = texts = 0
    for token in _TOKEN.finditer(body):
        match token[0][:1]:
            case b'"':
                texts += 1
            case b",":
                values += 1
            case b"{" | b"[":
                values += 1
                depth += 1
            case _:
                depth -= 1
        if depth > limits.depth:
            raise BadInput(Reason.TOO_DEEP, f"JSON nests deeper than {limits.depth} levels")
        if values >= limits.values or texts > 2 * limits.values:
            raise BadInput(Reason.TOO_LARGE, f"JSON of more than {limits.values} values")
        if depth < 0:
            return  # the parser will not come further than this


def _no_constant(name: str) -> NoReturn:
    raise BadInput(Reason.NOT_FINITE, f"{name} stands where JSON allows finite numbers only")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise BadInput(Reason.NOT_FINITE, f"{text[:40]} is beyond what a 64-bit number can be")
    return value


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise BadInput(Reason.MALFORMED, f"key {twice[:60]!r} comes twice in one object")
    return made


@dataclass(frozen=True, slots=True)
class Fields:
    """A decoded object (of JSON or Avro), read field by field: what has a wrong type is noted and taken as absent.

    Attributes
    ----------
    record
        The object.
    warnings
        Where the notes go; shared with the objects inside.
    """

    record: JsonObject
    warnings: list[str] = field(default_factory=list)

    def __contains__(self, name: str) -> bool:
        return self.record.get(name) is not None

    def text(self, name: str) -> str:
        """A text without blanks around, or a number as text; empty if absent."""
        return next(iter(self.texts(name)), "")

    def texts(self, name: str) -> tuple[str, ...]:
        """A text or a list of texts (numbers as text), without blanks around and without empty ones."""
        value = self.record.get(name)
        if value is None:
            return ()
        items = value if isinstance(value, list | tuple) else [value]
        good = [str(item).strip()[:MAX_TEXT] for item in items if type(item) in {str, int, float}]
        if len(good) < len(items):
            self._odd(name, "text")
        return tuple(item for item in good if item)

    def number(self, name: str) -> float | None:
        """A finite number, also one that is sent as text; None if absent."""
        value = self.record.get(name)
        if value is None or value == "":
            return None
        number = _number(value)
        if number is None:
            self._odd(name, "a number")
        return number

    def numbers(self, name: str) -> tuple[float, ...]:
        """A number or a list of numbers; empty if absent or if one is none."""
        value = self.record.get(name)
        if value is None:
            return ()
        items = [_number(item) for item in (value if isinstance(value, list | tuple) else [value])]
        good = tuple(item for item in items if item is not None)
        if len(good) < len(items):
            self._odd(name, "a number or a list of numbers")
            return ()
        return good

    def integer(self, name: str, largest: int = 2**31 - 1) -> int | None:
        """A number of 0 to ``largest``, rounded down; None if absent or outside."""
        number = self.number(name)
        if number is None:
            return None
        if not 0 <= number <= largest:
            self._odd(name, f"0 to {largest}")
            return None
        return int(number)

    def probabilities(self, name: str) -> dict[str, float]:
        """An object of numbers from 0 to 1; others in it are left out."""
        found: dict[str, float] = {}
        for key, value in islice(self.inner(name).record.items(), MAX_CLASSES):
            number = _number(value)
            if number is not None and 0 <= number <= 1:
                found[key[:MAX_TEXT]] = number
            elif value is not None:
                self._odd(name, "probabilities from 0 to 1")
        return found

    def inner(self, name: str) -> "Fields":
        """The object in this field; an empty one if it is absent."""
        value = self.record.get(name)
        if value is not None and not isinstance(value, Mapping):
            self._odd(name, "an object")
        return Fields(value if isinstance(value, Mapping) else {}, self.warnings)

    def each(self, name: str) -> "list[Fields]":
        """The objects in the list in this field; empty if it is absent."""
        value = self.record.get(name)
        if value is not None and not isinstance(value, list | tuple):
            self._odd(name, "a list of objects")
        items = value if isinstance(value, list | tuple) else ()
        return [Fields(item, self.warnings) for item in items if isinstance(item, Mapping)]

    def warn(self, text: str) -> None:
        """Note what was odd, each thing once."""
        if text not in self.warnings and len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(text)

    def _odd(self, name: str, expected: str) -> None:
        self.warn(f"{name} is {reprlib.repr(self.record[name])}, expected {expected}; not used")


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def flat_params(record: JsonObject) -> dict[str, str]:
    """All values as text by dotted name, at most `MAX_PARAMS`; of long texts and of bytes only the length."""
    params: dict[str, str] = {}
    for name, value in _leaves("", record):
        if len(params) >= MAX_PARAMS:
            break
        params[name[:MAX_TEXT]] = _shown(value)
    return params


def _leaves(name: str, value: Json) -> Iterator[tuple[str, Json]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(f"{name}.{key}" if name else str(key), item)
    elif isinstance(value, list | tuple) and any(isinstance(item, Mapping | list | tuple) for item in value):
        for number, item in enumerate(value, 1):
            yield from _leaves(f"{name}.{number}", item)
    else:
        yield name, value


def _shown(value: Json) -> str:
    if isinstance(value, list | tuple):
        value = ", ".join(map(_shown, value))
    if isinstance(value, bytes):
        return f"({len(value)} bytes)"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = str(value)
    return text if len(text) <= MAX_TEXT else f"({len(text)} characters)"
