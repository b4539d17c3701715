import numpy as np

from matchers.objects import FirstDetections
from tests.matchers.made import T0, alerts_of


def seen(*rows: tuple[str, int, int]):
    return alerts_of(
        [
            {"id": i, "obj": obj, "t": T0 + t, "first": T0 + first, "ra": 1, "dec": 2}
            for i, (obj, t, first) in enumerate(rows)
        ]
    )


def test_the_earliest_of_all_packets_and_times_counts():
    objects = FirstDetections()
    codes, moved = objects.observe(seen(("b", 50, 50), ("a", 30, 20), ("b", 40, 45)))
    assert codes.tolist() == [0, 1, 0]
    assert moved == ()
    assert (objects.first_us(codes) - T0).tolist() == [40, 20, 40]


def test_only_objects_known_before_move_and_only_to_an_earlier_time():
    objects = FirstDetections()
    objects.observe(seen(("a", 30, 20), ("b", 30, 20)))
    _, moved = objects.observe(seen(("b", 60, 60), ("a", 60, 19), ("c", 9, 9), ("a", 61, 18)))
    assert moved == ("a",)
    assert len(objects) == 3
    assert objects.code_of("z") is None


def test_objects_last_detected_long_ago_are_forgotten_and_others_get_new_codes():
    objects = FirstDetections()
    objects.observe(seen(("a", 10, 1), ("b", 90, 2), ("c", 10, 3), ("d", 80, 4), ("a", 9, 1)))
    assert objects.expire(T0 + 5) is None
    recoded = objects.expire(T0 + 80)
    assert recoded is not None
    assert recoded.tolist() == [-1, 0, -1, 1]
    assert objects.code_of("a") is None
    d = objects.code_of("d")
    assert (objects.first_us(np.array([d])) - T0).tolist() == [4]
    codes, moved = objects.observe(seen(("a", 95, 95), ("d", 96, 3)))
    assert codes.tolist() == [2, 1]
    assert moved == ("d",)
    assert (objects.first_us(codes) - T0).tolist() == [95, 3]
