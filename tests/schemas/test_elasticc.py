import math

import pytest

from schemas.catalogue import SchemaCatalogue
from schemas.records import Message
from schemas.survey import is_survey_schema, quality_columns, read_alerts
from schemas.times import iso_from_us
from tests.survey_packets import container, maybe, record

SOURCE = record(
    "elasticc.v0_9.diaSource", diaSourceId="long", diaObjectId="long", midPointTai="double", filterName="string",
    ra="double", decl="double", psFlux="float", psFluxErr="float", snr="float", nobs=maybe("float"),
)  # fmt: skip
SCHEMA = record(
    "elasticc.v0_9.alert",
    alertId="long",
    diaSource=SOURCE,
    prvDiaSources=maybe({"type": "array", "items": "elasticc.v0_9.diaSource"}),
    diaObject=maybe(record("elasticc.v0_9.diaObject", diaObjectId="long", mwebv="float")),
)


def test_an_alert_of_the_simulation():
    source = {
        "diaSourceId": 12, "diaObjectId": 7, "midPointTai": 60674.0, "filterName": "Y", "ra": 49.0, "decl": -41.0,
        "psFlux": 100.0, "psFluxErr": 10.0, "snr": 10.0, "nobs": None,
    }  # fmt: skip
    alert = {"alertId": 1, "diaSource": source, "prvDiaSources": [source | {"midPointTai": 60670.0}], "diaObject": None}
    (found,), rejections = read_alerts(Message(container(SCHEMA, [alert]), "e.avro"), SchemaCatalogue())
    assert rejections == []
    assert (found.survey, found.alert_id[0], found.object_id[0], found.band[0]) == ("elasticc", 12, "7", "Y")
    assert (found.ra_deg[0], found.dec_deg[0]) == (49.0, -41.0)
    assert iso_from_us(found.time_us[0]) == "2024-12-29T23:59:23.000000Z"
    assert iso_from_us(found.first_detection_us[0]) == "2024-12-25T23:59:23.000000Z"
    assert found.mag[0] == pytest.approx(22.5)
    assert found.mag_err[0] == pytest.approx(0.1086, rel=1e-3)
    assert math.isnan(found.reliability[0])


def test_it_is_not_taken_for_an_early_lsst_packet():
    assert is_survey_schema(SCHEMA).name == "elasticc"
    assert quality_columns("elasticc") == frozenset()
