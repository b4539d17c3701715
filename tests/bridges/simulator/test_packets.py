import gzip
import io
from pathlib import Path

import fastavro
import numpy as np
import pytest
from astropy.io import fits

from bridges.simulator.packets import PacketWriter, read_schema


def decoded(timed):
    (record,) = fastavro.reader(io.BytesIO(timed.message.body))
    return record


@pytest.fixture(scope="module")
def records(night):
    return [(timed, decoded(timed)) for timed in night.alerts()]


def plain(schema):
    """A schema without documentation and defaults, unions sorted."""
    if isinstance(schema, list):
        return sorted((plain(branch) for branch in schema), key=str)
    if isinstance(schema, dict) and schema["type"] == "record":
        return schema["name"], [(field["name"], plain(field["type"])) for field in schema["fields"]]
    if isinstance(schema, dict):
        return schema["type"], plain(schema["items"])
    return schema


def test_the_schema_is_that_of_real_packets(data_dir: Path):
    with (data_dir / "alerts-ztf/fink-client/datatest/ZTF19acihgng.avro").open("rb") as file:
        real = fastavro.reader(file).writer_schema
    assert plain(fastavro.parse_schema(read_schema())) == plain(fastavro.parse_schema(real))


def test_every_packet_says_that_it_is_no_observation(records):
    for _, record in records:
        assert "not an observation" in record["publisher"]
        assert record["objectId"].startswith("SIM")
        assert record["candidate"]["programpi"] == "SIMULATED"
        assert record["cutoutScience"]["fileName"].startswith("simulated_")


def test_histories_hold_detections_and_limits_in_order_and_within_reach(records, night):
    lengths = []
    for _, record in records:
        candidate, history = record["candidate"], record["prv_candidates"] or []
        times = [entry["jd"] for entry in history]
        assert times == sorted(times)
        assert all(0 < candidate["jd"] - jd <= night.plan.history_d + 1e-6 for jd in times)
        found = [entry for entry in history if entry["candid"] is not None]
        assert all((entry["magpsf"] is None) == (entry["candid"] is None) for entry in history)
        assert candidate["jdstarthist"] <= min([entry["jd"] for entry in found], default=candidate["jd"])
        assert candidate["ndethist"] >= 1
        lengths.append((len(found), len(history)))
    assert max(found for found, _ in lengths) >= 3
    assert max(total for _, total in lengths) >= 5


def test_a_later_packet_repeats_what_an_earlier_one_said(records):
    said = {record["candid"]: record["candidate"] for _, record in records}
    repeated = 0
    for _, record in records:
        for entry in record["prv_candidates"] or []:
            if entry["candid"] in said:
                repeated += 1
                assert entry == {name: said[entry["candid"]][name] for name in entry}
    assert repeated > 20


def test_asteroids_have_known_names_and_stars_have_neighbours(records):
    distances = np.array([record["candidate"]["ssdistnr"] for _, record in records])
    names = [record["candidate"]["ssnamenr"] for _, record in records]
    assert ((distances == -999) == (np.array(names) == "null")).all()
    assert 5 < (distances >= 0).sum() < len(records)


def test_stamps_are_fits_images(records):
    stamp = records[0][1]["cutoutDifference"]["stampData"]
    with fits.open(io.BytesIO(gzip.decompress(stamp))) as image:
        assert image[0].data.shape == (9, 9)
        assert image[0].data.argmax() == 40


def test_writers_of_equal_seeds_are_equal_and_of_others_not(night):
    detection = next(seen[0] for seen in night._seen)
    visits = night._camera.visits
    packets = [PacketWriter(seed, visits).packet(detection, [], detection.time_us, 1) for seed in (1, 1, 2)]
    assert packets[0] == packets[1] != packets[2]
    assert decoded_bytes(packets[0])["prv_candidates"] is None


def decoded_bytes(body):
    (record,) = fastavro.reader(io.BytesIO(body))
    return record


def test_limits_are_kept_in_bounded_number(night, monkeypatch):
    monkeypatch.setattr("bridges.simulator.packets._LIMITS_KEPT", 5)
    writer = PacketWriter(1, night._camera.visits)
    first = writer.limit(0, 3)
    for channel in range(20):
        writer.limit(1, channel)
    assert len(writer._limits) <= 5
    assert writer.limit(0, 3) == first
