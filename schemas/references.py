"""What notices call the triggers of others, such as ``S230518h-2-Initial`` and ``Fermi 694215970``, as their ids."""

import re
from collections.abc import Mapping
from typing import Final

_SUPEREVENT: Final = re.compile(r"([MT]?(?:S|GW)\d{6}[a-z]{1,8})(?:-\d{1,3}-\w{1,20})?", re.ASCII)
_BURST: Final = re.compile(r"bn\d{9}", re.ASCII)
_NUMBER: Final = re.compile(r"\d{4,12}", re.ASCII)
_RUN_EVENT: Final = re.compile(r"(\d{1,10})_(\d{1,12})(?:_\d+)?", re.ASCII)
_SVOM_BURST: Final = re.compile(r"sb\d{8}", re.ASCII)
_MAX_TEXT: Final = 100

_OBSERVATORIES: Final[Mapping[str, str]] = {
    "lat": "fermi-lat",
    "gbm": "fermi-gbm",
    "fermi": "fermi-gbm",
    "guano": "swift-guano",
    "swift": "swift",
    "bat": "swift",
    "icecube": "icecube",
    "svom": "svom",
    "eclairs": "svom",
    "grm": "svom",
    "einstein": "einstein-probe",
    "wxt": "einstein-probe",
    "integral": "integral",
    "chime": "chime",
}
"""Namespace by a word in the name of an observatory, an instrument or a topic; the first that is in it counts."""


def run_and_event(text: str) -> str:
    """IceCube's number of the run and of the event without zeros in front; empty if it is no such pair.

    A third number, of the readout's part, is not in the classic form.

    Examples
    --------
    >>> run_and_event("137840_057034692_0")
    '137840_57034692'
    """
    found = _RUN_EVENT.fullmatch(text)
    return f"{int(found[1])}_{int(found[2])}" if found else ""


def trigger_id_of(text: str, observatory: str = "") -> str | None:
    """The id of a trigger that a notice refers to by name or number; None if it is not known whose it is.

    Parameters
    ----------
    text
        As it stands in the notice; the observatory may stand before the number.
    observatory
        Whose trigger it is, as far as the notice says: ``Fermi``, ``Fermi-GBM``, ``gcn.notices.LVK.alert``.

    Examples
    --------
    >>> trigger_id_of("S230914ak-2-Preliminary"), trigger_id_of("Fermi 694215970"), trigger_id_of("12345", "Swift")
    ('lvk:S230914ak', 'fermi-gbm:694215970', 'swift:12345')
    """
    before, _, name = text.strip()[:_MAX_TEXT].rpartition(" ")
    if found := _SUPEREVENT.fullmatch(name):
        return f"lvk:{found[1]}"
    if _BURST.fullmatch(name):
        return f"fermi-gbm:{name}"
    if _SVOM_BURST.fullmatch(name):
        return f"svom:{name}"
    words = set(re.findall(r"[a-z]+", f"{before} {observatory[:_MAX_TEXT]}".casefold()))
    namespace = next((known for word, known in _OBSERVATORIES.items() if word in words), None)
    if namespace == "icecube":
        return f"icecube:{pair}" if (pair := run_and_event(name)) else None
    return f"{namespace}:{name}" if namespace is not None and _NUMBER.fullmatch(name) else None
