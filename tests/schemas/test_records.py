import numpy as np

from schemas.records import COLUMNS, NEVER_US, Alerts


def test_what_is_not_given_is_unknown_and_never_was():
    alerts = Alerts.from_columns(
        "ztf", alert_id=[1, 2], object_id=["a", "b"], time_us=[0, 1], ra_deg=[0, 1], dec_deg=[0, 1]
    )
    assert alerts.last_non_detection_us.tolist() == [NEVER_US] * 2
    assert np.iinfo(np.int64).min == NEVER_US
    assert np.isnan(alerts.mag).all()
    assert alerts.columns().keys() == COLUMNS.keys()
