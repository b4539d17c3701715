"""An example of a substream of one's own: what rises high over one observatory; of gravitational waves everything."""

from schemas.records import Coincidence

LATITUDE_DEG = 33.36
LEAST_ALTITUDE_DEG = 40.0


def wanted(coincidence: Coincidence) -> bool:
    """Whether the object comes high enough at its culmination."""
    if coincidence.trigger.messenger == "gravitational-wave":
        return True
    return 90.0 - abs(LATITUDE_DEG - coincidence.object.dec_deg) > LEAST_ALTITUDE_DEG
