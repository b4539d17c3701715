"""What every sink shares: the form of a publication in JSON, and what it means that one could not be delivered."""

import json
import re

from schemas.coincidence import to_document
from schemas.errors import StarcrossError
from schemas.records import Publication

_SHOWN_CHARACTERS = 200
_UNPRINTABLE = re.compile(r"[^ -~]+")


class Undelivered(StarcrossError):  # noqa: N818 - named for what became of the publications
    """The next hop does not have them; they are to be sent again later.

    Parameters
    ----------
    detail
        Where they were to go and what hindered it. No secrets.
    retry_after_s
        How long the next hop asked to be left alone; None if it did not say.
    """

    def __init__(self, detail: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class DeliveryRefused(Undelivered):
    """The next hop has read this one publication and does not want it. Those before it were delivered.

    It will most likely be refused again. So that it does not hold up those behind it for ever, whoever keeps the
    outbox tries it a few times and then sets it aside, counted and retrievable.

    Parameters
    ----------
    publication
        The one that was refused.
    """

    def __init__(self, publication: Publication, detail: str) -> None:
        super().__init__(detail)
        self.publication = publication


def publication_json(publication: Publication) -> str:
    """A publication as one line of JSON, ASCII, without the line's end: ``{"substreams":[...],"coincidence":{...}}``.

    Raises
    ------
    ValueError
        If a number that must be known is NaN or infinite.
    """
    document = {"substreams": publication.substreams, "coincidence": to_document(publication.coincidence)}
    return json.dumps(document, allow_nan=False, separators=(",", ":"))


def shown(text: str | bytes) -> str:
    """What a stranger sent, as it may stand in a log: short, printable, on one line."""
    decoded = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    printable = _UNPRINTABLE.sub(" ", decoded).strip()
    return printable if len(printable) <= _SHOWN_CHARACTERS else f"{printable[:_SHOWN_CHARACTERS]}..."
