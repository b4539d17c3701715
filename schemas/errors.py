"""What can go wrong, as one tree.

StarcrossError
├── BadInput             a message that cannot be read: counted, quarantined, never fatal
│   ├── BadPacket        a survey packet
│   ├── BadNotice        an observatory's notice
│   ├── BadSkyMap        a sky map
│   ├── BadTransport     what a peer says in the VOEvent Transport Protocol
│   └── BadCoincidence   a coincidence of our own, read back
├── UnknownSchema        a packet whose writer schema is not at hand (it may come later)
└── ConfigurationError   a configuration or call that makes no sense: exit code 2
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why an input was rejected. A fixed list, so that rejections can be counted by reason."""

    EMPTY = "empty"
    UNKNOWN_FORMAT = "unknown_format"
    UNKNOWN_SCHEMA = "unknown_schema"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    TOO_LARGE = "too_large"
    TOO_DEEP = "too_deep"
    BAD_ENCODING = "bad_encoding"
    MALFORMED = "malformed"
    FORBIDDEN = "forbidden"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    NOT_FINITE = "not_finite"
    BAD_TIME = "bad_time"
    NOT_A_MAP = "not_a_map"
    NOT_NORMALISED = "not_normalised"
    UNSUPPORTED = "unsupported"
    UNLINKED = "unlinked"
    REFUSED = "refused"
    INTERNAL = "internal"


class StarcrossError(Exception):
    """Root of every error that Starcross raises on purpose."""


class BadInput(StarcrossError):  # noqa: N818 - named for the thing that is bad, as the log shows it
    """An input that cannot be used.

    Parameters
    ----------
    reason
        One of the fixed list, for counting.
    detail
        One sentence for a person: what, where in the input, and what was expected.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class BadPacket(BadInput):
    """A survey packet that cannot be used."""


class BadNotice(BadInput):
    """An observatory's notice that cannot be used."""


class BadSkyMap(BadInput):
    """A sky map that cannot be used."""


class BadTransport(BadInput):
    """A frame or message of the VOEvent Transport Protocol that cannot be used."""


class BadCoincidence(BadInput):
    """A serialised coincidence that cannot be used."""


class UnknownSchema(StarcrossError):  # noqa: N818
    """The writer schema of a packet is not known (yet).

    Parameters
    ----------
    schema_id
        The id in the packet's Confluent header.
    """

    def __init__(self, schema_id: int) -> None:
        super().__init__(f"no schema with id {schema_id} is known")
        self.schema_id = schema_id


class ConfigurationError(StarcrossError):
    """A configuration file, key or call that makes no sense; the message names the place."""
