import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matchers import objects as module
from matchers.objects import Objects, ObjectState, keys_of, names_of
from tests.matchers.made import T0, alerts_of


def seen(*rows: tuple[str, int, int]):
    return alerts_of(
        [
            {"id": i, "obj": obj, "t": T0 + t, "first": T0 + first, "ra": 1, "dec": 2}
            for i, (obj, t, first) in enumerate(rows)
        ]
    )


def test_the_earliest_of_all_packets_and_times_counts():
    objects = Objects()
    codes, moved = objects.observe(seen(("b", 50, 50), ("a", 30, 20), ("b", 40, 45)))
    assert codes.tolist() == [0, 1, 0]
    assert moved == ()
    assert (objects.first_us_of(codes) - T0).tolist() == [40, 20, 40]


def test_only_objects_known_before_move_and_only_to_an_earlier_time():
    objects = Objects()
    objects.observe(seen(("a", 30, 20), ("b", 30, 20)))
    _, moved = objects.observe(seen(("b", 60, 60), ("a", 60, 19), ("c", 9, 9), ("a", 61, 18)))
    assert moved == ("a",)
    assert len(objects) == 3
    assert objects.state("z") is None


def test_the_latest_non_detection_and_the_number_of_stored_alerts_are_kept():
    objects = Objects()
    alerts = seen(("a", 30, 20), ("a", 40, 20), ("b", 30, 20))
    alerts.last_non_detection_us[:2] = T0 + 5, T0 + 3
    codes, _ = objects.observe(alerts)
    objects.store(codes[:1], alerts.take(slice(0, 1)))
    assert objects.state("a") == ObjectState(T0 + 20, T0 + 40, T0 + 5, 1, {})
    assert objects.state("b") == ObjectState(T0 + 20, T0 + 30, None, 0, {})
    assert objects.state("z") is None


def test_a_long_name_widens_nothing_and_is_no_other():
    objects, n = Objects(), 1000
    objects.observe(seen(*((f"o{k}", 1, 1) for k in range(n))))
    before = objects.nbytes
    objects.observe(seen(("x" * 5000, 7, 7), ("x" * 4999, 8, 8), ("é" * 30, 9, 9)))
    assert objects.nbytes < before + 32 * 4 * n
    told = [objects.state(name) for name in ("x" * 5000, "x" * 4999, "é" * 30, "x" * 32, "é" * 29)]
    assert [state and state.first_detection_us - T0 for state in told] == [7, 8, 9, None, None]


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20) | st.sampled_from(["a", "b", "ab"])
STEPS = st.lists(
    st.tuples(st.lists(st.tuples(NAMES, st.integers(0, 20), st.integers(0, 20)), max_size=8), st.integers(0, 20)),
    max_size=8,
)


@pytest.mark.parametrize("collide", [False, True])
def test_objects_are_as_a_dictionary_would_have_them(collide):
    """Also if all names have the same key."""

    @settings(max_examples=60)
    @given(STEPS)
    def check(steps):
        objects, known = Objects(), {}
        for rows, before in steps:
            codes, moved = objects.observe(seen(*rows))
            objects.store(codes, seen(*rows))
            told = {}
            for name, t, first in rows:
                told.setdefault(name, known.get(name))
                a, b, n = known.get(name, (99, -1, 0))
                known[name] = (min(a, t, first), max(b, t), n + 1)
            assert moved == tuple(sorted(name for name, old in told.items() if old and known[name][0] < old[0]))
            objects.expire(T0 + before)
            known = {name: state for name, state in known.items() if state[1] >= before}
            assert len(objects) == len(known)
            objects = Objects.of_arrays(objects.arrays()) if before % 3 == 0 else objects
            for name in {*known, *told, "?"}:
                state = objects.state(name)
                expected = known.get(name)
                assert (state is None) == (expected is None)
                if state and expected:
                    told_of = state.first_detection_us - T0, state.last_detection_us - T0, state.detections
                    assert told_of == expected

    with pytest.MonkeyPatch.context() as patch:
        if collide:
            patch.setattr(module, "keys_of", lambda names: np.full(len(names), 7, np.uint64))
        check()


def test_many_objects_take_few_bytes_each_and_their_keys_differ():
    objects, n = Objects(), 20_000
    names = np.char.add("ZTF20", np.arange(n).astype(np.str_))
    for part in np.array_split(names, 7):
        objects.observe(alerts_of([{"id": 1, "obj": name, "t": T0, "ra": 1, "dec": 2} for name in part.tolist()]))
    assert len(objects) == n
    assert objects.nbytes < 130 * n
    assert len(np.unique(keys_of(names_of(names)) >> np.uint64(16))) == n
    assert keys_of(names_of(np.array(["abc", "a" * 30])))[0] == keys_of(names_of(np.array(["abc"])))[0]
