"""Blobs of alerts, those of earlier versions too."""

import base64
import math

import pytest

from broker.store.columns import OBJECT_COLUMNS, pack_alerts, unpack_alerts
from tests.matchers.made import T0, alerts_of

BEFORE_STAR_GALAXY = base64.b64decode(
    "KLUv/WA0AV0KAOaRPy9w1zmwqgiFKziqKpbBg0iBNluUlWSWdqlURHJkwrGT/9sOEsr/NANbgv6T9OuiFDAALwA0AI6ttA5YLbWZ"
    "Y9xRXti3nyttY6K53MDSrbSOr5Za7HlG13oz1Er3MHMlBrXyoIubCb+x1yttAzKGma+9pV/zyHUcT9ka1/28fDrGU8aHK+000Sy1"
    "GNeWGJ0bvWmO8N4VIIhC1BodFGAhgaFAQCcJpbKQUCp6UMRmswzus4/d5lNiJMfWOjlJ73J5xeb+zhhKj+WFC1MvmvOxOqqqnI9q"
    "pRAhKoUIoRaE0IIQdrSjWfb4vtDj+0IRj2rEo5o4ECg8BjKghDZU1SggHgAvo9iNDzLCcFv0mEIGBOOBgcEwQIIrbgEM47I4jVB+"
    "IskmGlALL2McSDS7MIG7YPigCocO3M0s9DJuUwNDVWgzT1hU+apslgE="
)
"""Two alerts, packed by the version before that column came."""


def test_a_blob_that_lacks_a_later_column_is_read():
    alerts = unpack_alerts("ztf", BEFORE_STAR_GALAXY)
    assert alerts.object_id.tolist() == ["ZTF0", "ZTF1"]
    assert alerts.time_us.tolist() == [T0, T0 + 1]
    assert alerts.ps1_arcsec.tolist() == [0.0, 1.0]
    assert all(math.isnan(score) for score in alerts.star_galaxy)


def test_the_star_galaxy_score_is_kept():
    made = alerts_of([{"id": 1, "obj": "a", "t": T0, "ra": 1, "dec": 2, "star_galaxy": 0.25}])
    assert unpack_alerts("ztf", pack_alerts(made)).star_galaxy.tolist() == [0.25]


@pytest.mark.parametrize("blob", [b"", b"no zstandard", pack_alerts(alerts_of([]))[:-3]])
def test_what_is_no_blob_is_named(blob):
    with pytest.raises(ValueError, match="a blob of ztf alerts cannot be read"):
        unpack_alerts("ztf", blob)


def test_of_alerts_that_are_not_stored_it_is_kept_where_the_survey_looked():
    made = alerts_of([{"id": 1, "obj": "a", "t": T0, "ra": 1, "dec": 2}])
    assert unpack_alerts("ztf", pack_alerts(made, OBJECT_COLUMNS)).pixel.tolist() == made.pixel.tolist()
    before = tuple(name for name in OBJECT_COLUMNS if name != "pixel")
    assert unpack_alerts("ztf", pack_alerts(made, before)).pixel.tolist() == [-1]
