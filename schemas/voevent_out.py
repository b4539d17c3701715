"""A coincidence as a VOEvent 2.0 packet (IVOA Recommendation, 2011).

A packet is a function of the coincidence and of its author alone: its date is the clock of the data, its
IVORN is made of id and revision. What a first packet says, each later one repeats, changed or not, so that
the newest is enough.

Citations: the trigger's notice and the first matching alert as ``followup``; the packet of the revision
before as ``supersedes``, or as ``retraction`` once the coincidence is withdrawn. Surveys give their alerts no IVORN, so
that one is made in the author's own name space.

``Inference/@probability`` is the posterior once there is one. Before, it is 1 - credible level: how often a true
counterpart lies as far out in the localisation as this object, or further, which judges the position alone. A
withdrawn coincidence has 0.

No packet is longer than `MAX_PACKET_BYTES`: texts are clipped, and details are added as long as there is room.
"""

from typing import Any, Final
from urllib.parse import quote

from lxml import etree

from schemas.coincidence import to_document
from schemas.records import Coincidence, State
from schemas.voevent_packet import (
    NAMESPACE,
    SCHEMA_URL,
    VoeventAuthor,
    add,
    add_citations,
    add_position,
    add_time,
    add_where_when,
    add_who,
    clean,
    is_ivorn,
    packet,
    written,
)
from schemas.voevent_what import MAX_TEXT, POSITION_RADIUS_ARCSEC, add_as_fit, add_details, add_what

__all__ = ["NAMESPACE", "SCHEMA_URL", "VoeventAuthor", "is_ivorn", "ivorn_of", "voevent_bytes"]

_SITES: Final = {
    "ztf": "Palomar Observatory, Samuel Oschin 48-inch telescope",
    "lsst": "Vera C. Rubin Observatory, Cerro Pachon",
    "decam": "Cerro Tololo Inter-American Observatory, Blanco 4-m telescope",
}
_ANY_SITE: Final = "GEOSURFACE"
"""STC's name for an unspecified place on the ground."""

MAX_PACKET_BYTES: Final = 99_000
"""Comet, and so many a broker, closes the line at 100 kB."""
_MOST_NAMES: Final = 20
_MOST_LINKED: Final = 3


def ivorn_of(coincidence: Coincidence, author: VoeventAuthor, revision: int | None = None) -> str:
    """IVORN of the packet of a coincidence at its revision, or at another one."""
    number = coincidence.revision if revision is None else revision
    return f"ivo://{author.authority}/{author.stream}#{quote(clean(coincidence.id), safe='')}.r{number}"


def voevent_bytes(coincidence: Coincidence, author: VoeventAuthor) -> bytes:
    """The packet of this revision, as UTF-8 XML; the same for the same coincidence and author.

    Characters that XML 1.0 cannot carry are written as U+FFFD.

    Raises
    ------
    ValueError
        If a number that must be known is NaN or infinite.
    """
    document = to_document(coincidence)
    root = packet(ivorn_of(coincidence, author), "test" if coincidence.trigger.test else "observation")
    add_who(root, author, document["changed_utc"])
    what = add_what(root, document)
    _where_when(root, document)
    _how(root, document)
    _why(root, document)
    _citations(root, coincidence, author)
    add(root, "Description", _sentence(document))
    details = list(add_details(what, document))
    whole = written(root)
    if 2 * len(whole) <= MAX_PACKET_BYTES:  # so that they fit, however generously they are counted
        return whole
    for group in details:
        what.remove(group)
    add_as_fit(what, details, MAX_PACKET_BYTES - len(written(root)))
    return written(root)


def _where_when(root: etree._Element, document: dict[str, Any]) -> None:
    source = document["object"]
    coordinates = add_where_when(root, _SITES.get(source["survey"], _ANY_SITE), "UTC-ICRS-TOPO")
    add_time(coordinates, source["first_match_utc"])
    add_position(coordinates, source["ra_deg"], source["dec_deg"], f"{POSITION_RADIUS_ARCSEC / 3600:.9f}")


def _how(root: etree._Element, document: dict[str, Any]) -> None:
    trigger = document["trigger"]
    names = [_clipped(name) for name in (document["object"]["survey"], trigger["id"], document["matcher"])]
    add(
        add(root, "How"),
        "Description",
        f"Alerts of {names[0]} compared with the position of {names[1]} by the matcher {names[2]} of "
        f"{_clipped(document['provenance']['software'])}. Model of the position: "
        f"{_clipped(trigger['localisation_model']).removesuffix('.')}.",
    )


def _why(root: etree._Element, document: dict[str, Any]) -> None:
    trigger = document["trigger"]
    probability, meaning = _judgement(document)
    why = add(root, "Why")
    inference = add(why, "Inference", probability=f"{probability:.6g}", relation="associated")
    names = [trigger["id"], *trigger["names"]]
    for link in trigger["linked"]:
        names += [link["id"], *link["names"]]
    for name in list(dict.fromkeys(names))[:_MOST_NAMES]:
        add(inference, "Name", _clipped(name))
    add(inference, "Concept", "process.variation;em.opt")
    add(inference, "Description", meaning)


def _judgement(document: dict[str, Any]) -> tuple[float, str]:
    """How probable the association is, and what that number is."""
    if document["state"] == State.WITHDRAWN:
        return 0.0, f"The association is withdrawn: {_clipped(document['reason'])}."
    if document["statistics"] is not None:
        return document["statistics"]["posterior"], (
            "The object may be the optical counterpart. The probability is the posterior: its position, time and "
            "light curve, weighed against those of all other objects found for the trigger, against the number of "
            "unrelated objects that is expected there, and against there being no counterpart among them."
        )
    return 1.0 - document["credible_level"], (
        "The object may be the optical counterpart. The probability is 1 - credible level: how often a true "
        "counterpart lies as far out in the localisation as this object, or further. It weighs neither the "
        "number of unrelated sources in the region nor the light curve."
    )


def _sentence(document: dict[str, Any]) -> str:
    trigger, source = document["trigger"], document["object"]
    days = document["delta_t_s"] / 86400
    news = [_clipped(document["reason"])]
    if document["changed"]:
        news.append(_clipped(f"changed: {', '.join(document['changed'])}"))
    others = " and ".join(_event(link) for link in trigger["linked"][:_MOST_LINKED])
    return (
        f"{_clipped(source['survey'])} object {_clipped(source['object_id'])}, first matching detection "
        f"{abs(days):.3f} d {'before' if days < 0 else 'after'} {_event(trigger)}"
        f"{f', linked with {others}' if others else ''}, at credible level {document['credible_level']:.3f} of its "
        f"position: {document['state']} ({'; '.join(news)}), revision {document['revision']}."
    )


def _event(trigger: dict[str, Any]) -> str:
    return _clipped(f"{trigger['id']} ({trigger['mission']} {trigger['instrument']})")


def _clipped(text: str) -> str:
    return text[:MAX_TEXT]


def _citations(root: etree._Element, coincidence: Coincidence, author: VoeventAuthor) -> None:
    source = coincidence.object
    cited: list[tuple[str, str]] = []
    if is_ivorn(coincidence.trigger.notice_ivorn):
        cited.append((coincidence.trigger.notice_ivorn, "followup"))
    if source.alert_ids:
        survey = quote(clean(source.survey), safe="")
        cited.append((f"ivo://{author.authority}/alerts/{survey}#{source.alert_ids[0]}", "followup"))
    if coincidence.revision > 1:
        relation = "retraction" if coincidence.state is State.WITHDRAWN else "supersedes"
        cited.append((ivorn_of(coincidence, author, coincidence.revision - 1), relation))
    add_citations(root, cited)
