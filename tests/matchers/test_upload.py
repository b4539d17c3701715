"""The matcher of uploads: the window is what the upload asks for, and nothing else is its own."""

import pytest

from matchers.triggers import fold
from matchers.upload import UploadSearch
from schemas.densities import skymap_of
from schemas.localisation import Cone, Systematics
from schemas.records import Kind, Message, Messenger, Notice, Role
from schemas.times import US_PER_DAY, US_PER_S
from tests.matchers.made import T0, alerts_of

CONE = Cone(10.0, 20.0, 2.0, 0.9, Systematics.INCLUDED)
SEARCH = {"before_s": "3600.0", "after_d": "3.0", "level": "0.9", "new_object": "True"}


def trigger(*, localisation=CONE, kind=Kind.INITIAL, mission="upload", params=SEARCH):
    notice = Notice(
        message=Message(b"{}", "upload"), notice_type="STARCROSS_UPLOAD", ivorn="ivo://starcross.invalid/uploads#1.1",
        trigger_id="upload:1", messenger=Messenger.GRAVITATIONAL_WAVE, mission=mission, instrument="ada",
        role=Role.OBSERVATION, kind=kind, serial=1, trigger_time_us=T0, localisation=localisation, params=params,
    )  # fmt: skip
    skymaps = {} if localisation is None else {notice.ivorn: skymap_of(localisation)}
    return fold([notice], skymaps)


def test_the_window_is_what_is_asked_for():
    window = UploadSearch().window(trigger())
    assert (window.start_us, window.end_us) == (T0 - 3600 * US_PER_S, T0 + 3 * US_PER_DAY)
    for ra_deg, inside in ((10.0, True), (11.9, True), (12.5, False)):
        alerts = alerts_of([{"id": 1, "ra": ra_deg, "dec": 20.0, "t": T0}])
        found = window.region.contains(alerts.ra_deg, alerts.dec_deg, alerts.pixel)
        assert bool(found[0]) is inside


def test_a_lower_level_is_a_smaller_region():
    regions = [UploadSearch().window(trigger(params=SEARCH | {"level": level})).region for level in ("0.5", "0.9")]
    sizes = [int((region.hi - region.lo).sum()) for region in regions]
    assert sizes[0] < sizes[1] / 2


OTHERS = [
    trigger(kind=Kind.RETRACTION), trigger(localisation=None), trigger(mission="Fermi"), trigger(mission="LVK")
]  # fmt: skip


@pytest.mark.parametrize("other", OTHERS)
def test_what_is_no_upload_or_was_taken_back_or_has_no_position_has_none(other):
    assert UploadSearch().window(other) is None


def test_new_objects_are_those_that_were_not_seen_before_the_window():
    matcher, begin = UploadSearch(), T0 - 3600 * US_PER_S
    first = [begin - 1, begin, T0]
    alerts = alerts_of([{"id": n, "obj": f"ZTF{n}", "t": T0, "ra": 10, "dec": 20, "first": first[n]} for n in range(3)])
    assert matcher.match(alerts, trigger()).tolist() == [False, True, True]
    assert matcher.match(alerts, trigger(params=SEARCH | {"new_object": "False"})).tolist() == [True, True, True]
