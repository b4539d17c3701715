"""Triggers with sky maps for the tests of pictures."""

from schemas.densities import skymap_of
from schemas.localisation import Cone, Localisation
from schemas.records import Kind, Message, Messenger, Notice, Role, Trigger


def trigger(
    name: str,
    messenger: Messenger = Messenger.GAMMA_RAY,
    localisation: Localisation | None = None,
    *,
    retracted: bool = False,
) -> Trigger:
    """A trigger with this localisation, or without any."""
    notice = Notice(Message(b"", "x"), "T", "ivo://x", name, messenger, "M", "I", Role.OBSERVATION, Kind.INITIAL)
    skymap = None if localisation is None else skymap_of(localisation)
    return Trigger(name, messenger, "M", "I", 0, None, 1, notice, notice, skymap, retracted)


def cone(ra_deg: float, dec_deg: float, radius_deg: float) -> Cone:
    """A circle that holds 90 %."""
    return Cone(ra_deg, dec_deg, radius_deg, 0.9)
