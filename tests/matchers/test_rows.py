import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from matchers.rows import Rows, Texts
from tests.matchers.made import T0, alerts_of

TEXTS = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9), max_size=9)


def column(texts: list[str]) -> np.ndarray:
    return np.array(texts, np.str_) if texts else np.zeros(0, "U1")


@given(st.lists(TEXTS, min_size=1, max_size=4), st.data())
def test_texts_come_back_as_they_were_from_any_rows_of_any_parts(parts, data):
    columns = [Texts.of(column(part)) for part in parts]
    whole, everything = Texts.concatenate(columns), [text for part in parts for text in part]
    rows = [
        np.array(data.draw(st.lists(st.integers(0, len(part) - 1), max_size=9)) if part else [], np.int64)
        for part in [everything, *parts]
    ]
    assert whole.take(rows[0]).tolist() == [everything[row] for row in rows[0]]
    assert whole.picked(rows[0]).take(np.arange(len(rows[0]))).tolist() == [everything[row] for row in rows[0]]
    taken = Texts.taken(list(zip(columns, rows[1:], strict=True)))
    assert taken.tolist() == [part[row] for part, some in zip(parts, rows[1:], strict=True) for row in some]
    assert len(whole.utf8) == sum(len(text.encode()) for text in everything)


def test_rows_are_the_alerts_they_were_made_of():
    made = [{"id": k, "obj": f"o{k}" * k, "t": T0 + k, "ra": k, "dec": 2, "origin": "é" * k} for k in range(5)]
    alerts = alerts_of(made)
    rows = Rows.concatenate([Rows.of(alerts.take(slice(0, 2))), Rows.of(alerts.take(slice(2, None)))])
    for some in (rows, Rows.of_arrays("ztf", rows.arrays())):
        back = Rows.taken([(some.picked(np.array([4, 3, 1])), np.array([1, 2])), (some, np.array([0]))])
        for name, values in alerts.take(np.array([3, 1, 0])).columns().items():
            assert np.array_equal(getattr(back, name), values, equal_nan=values.dtype.kind == "f"), name


def test_names_that_are_no_text_come_back_as_they_were():
    column = Texts.of(np.array(["a", "\udcff\udcfe.avro", "é"]))
    assert column.take(np.array([2, 1, 0])).tolist() == ["é", "\udcff\udcfe.avro", "a"]
