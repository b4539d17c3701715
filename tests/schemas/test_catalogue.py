import json

import pytest

from schemas.catalogue import SchemaCatalogue, full_name
from schemas.errors import BadPacket, Reason, UnknownSchema
from schemas.writer_schema import AvroLimits
from tests.survey_packets import LSST, LSST_PARTS, LSST_WHOLE, ZTF


def _texts(*schemas):
    return [json.dumps(schema).encode() for schema in schemas]


def test_a_schema_by_its_id():
    catalogue = SchemaCatalogue()
    catalogue.add(7, *_texts(ZTF))
    assert catalogue.get(7).source["name"] == "ztf.alert"
    assert (7 in catalogue, 8 in catalogue, len(catalogue)) == (True, False, 1)
    with pytest.raises(UnknownSchema) as caught:
        catalogue.get(8)
    assert caught.value.schema_id == 8


def test_a_newer_schema_replaces_the_one_with_its_id():
    catalogue = SchemaCatalogue()
    catalogue.add(7, *_texts(ZTF))
    catalogue.add(7, *_texts(LSST_WHOLE))
    assert catalogue.get(7).source["name"] == "lsst.v10_0.alert"


def test_versions_of_lsst_out_of_their_parts_in_any_order():
    catalogue = SchemaCatalogue()
    parts = [LSST, *LSST_PARTS.values()]
    older = json.loads(json.dumps(parts).replace("v10_0", "v7_4"))
    assert catalogue.add_lsst(_texts(*older, *reversed(parts), ZTF, "long")) == (704, 1000)
    whole = SchemaCatalogue()
    whole.add(1000, *_texts(LSST_WHOLE))
    assert [f["name"] for f in catalogue.get(1000).tree["fields"]] == [
        f["name"] for f in whole.get(1000).tree["fields"]
    ]
    assert catalogue.get(1000).smallest_bytes == catalogue.get(704).smallest_bytes == whole.get(1000).smallest_bytes


def test_a_part_that_is_missing_is_named():
    with pytest.raises(BadPacket, match=r"lsst\.v10_0\.diaSource"):
        SchemaCatalogue().add_lsst(_texts(LSST))


@pytest.mark.parametrize("schema_id", [-1, 1 << 32])
def test_an_id_has_32_bits(schema_id):
    with pytest.raises(BadPacket) as caught:
        SchemaCatalogue().add(schema_id, *_texts(ZTF))
    assert caught.value.reason is Reason.OUT_OF_RANGE


def test_limits_hold_for_what_is_added():
    with pytest.raises(BadPacket) as caught:
        SchemaCatalogue(AvroLimits(schema_bytes=100)).add(1, *_texts(ZTF))
    assert caught.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ({"name": "a"}, "a"),
        ({"name": "a", "namespace": ""}, "a"),
        ({"name": "a", "namespace": "x.y"}, "x.y.a"),
        ({"name": "z.a", "namespace": "x.y"}, "z.a"),
        ({"name": 3}, None),
        ([], None),
        ("long", None),
    ],
)
def test_full_names(source, name):
    assert full_name(source) == name
