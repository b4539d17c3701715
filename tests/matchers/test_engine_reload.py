"""Other matchers while the engine runs, and notices whose maps have not come."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matchers.engine import Engine
from matchers.options import build_matcher
from schemas.errors import ConfigurationError
from schemas.records import Messenger, State
from schemas.skymap import read_skymap
from tests.matchers.made import DAY, T0, notice_of
from tests.matchers.test_engine import add, all_of, engine_of, put, row, said, update
from tests.schemas.maps import flat

WIDE, NARROW = (build_matcher("grb", "grb", {"level": level}) for level in (0.9, 0.3))
SHORT = build_matcher("grb", "grb", {"after_d": 0.5})
NEUTRINO = build_matcher("neutrino", "neutrino", {})
OTHER = build_matcher("mine", "grb", {})


def searched_by(engine: Engine, *matchers):
    return all_of(engine.search_by(matchers, config_hash="new", now_us=9))


def test_what_a_matcher_that_is_gone_said_is_withdrawn_and_a_new_one_proposes():
    engine = engine_of(WIDE)
    put(engine, notice_of())
    add(engine, row(1, "in", DAY))
    changes = searched_by(engine, OTHER)
    assert said(changes) == [("in", "withdrawn", "not_searched"), ("in", "proposed", "configuration")]
    assert [change.matcher for change in changes] == ["grb", "mine"]
    assert changes[1].provenance.config_hash == "new"
    assert said(add(engine, row(2, "too", DAY))) == [("too", "proposed", "alert")]


def test_two_of_one_name_change_nothing():
    engine = engine_of(WIDE)
    with pytest.raises(ConfigurationError, match="same name"):
        searched_by(engine, OTHER, OTHER)
    put(engine, notice_of())
    assert said(add(engine, row(1, "in", DAY))) == [("in", "proposed", "alert")]


PLACES = st.lists(st.tuples(st.floats(5, 15), st.floats(15, 25), st.integers(-DAY, 3 * DAY)), max_size=12)
CHOICES = st.lists(st.sampled_from([WIDE, NARROW, SHORT, NEUTRINO, OTHER]), max_size=3, unique_by=lambda m: m.name)


@pytest.mark.not_measured
@settings(deadline=None)
@given(PLACES, CHOICES, CHOICES, st.integers(0, 12))
def test_the_same_stands_as_if_these_matchers_had_searched_from_the_beginning(places, before, after, when):
    rows = [row(n, f"o{n}", t, ra, dec) for n, (ra, dec, t) in enumerate(places)]
    events = [
        lambda engine: put(engine, notice_of()),
        lambda engine: put(engine, notice_of(ivorn="ivo://n", trigger_id="icecube:1", messenger=Messenger.NEUTRINO)),
        *(lambda engine, one=one: add(engine, one) for one in rows),
    ]

    def run(first, change_at):
        engine = Engine(first, cuts=engine_of()._cuts, carried=engine_of()._carried)
        for n, event in enumerate([*events, lambda _: None]):
            if n == change_at:
                searched_by(engine, *after)
            event(engine)
        return engine

    changed, fresh = run(before, min(when, len(events))), run(after, None)
    assert stands(changed) == stands(fresh)
    assert changed.counts.windows == +fresh.counts.windows or +changed.counts.windows == +fresh.counts.windows


def stands(engine: Engine):
    return {(c.id, c.credible_level, c.object.alert_ids) for c in engine.ledger if c.state is not State.WITHDRAWN}


def test_maps_are_missing_until_they_come_or_something_newer_tells_the_position():
    engine = engine_of()
    first = notice_of(skymap_url="https://x.org/1.fits")
    put(engine, first)
    nowhere = update(2, skymap_url="https://x.org/2.fits", localisation=None)
    put(engine, nowhere)
    assert [notice.skymap_url for notice in engine.unmapped()] == ["https://x.org/1.fits", "https://x.org/2.fits"]
    list(engine.put_skymap(first.trigger_id, nowhere.ivorn, read_skymap(flat(np.full(12, 1 / 12))), T0))
    assert list(engine.unmapped()) == []
    put(engine, update(4, skymap_url="https://x.org/4.fits"))
    assert [notice.skymap_url for notice in engine.unmapped()] == ["https://x.org/4.fits"]


def test_what_was_heard_before_a_notice_does_not_depend_on_what_came_after():
    engine = engine_of()
    first, second, third = notice_of(), update(2), update(3)
    for notice in (first, third, second):
        put(engine, notice)
    assert engine.heard_before(first) == []
    assert engine.heard_before(third) == [first]
    assert engine.heard_before(second) == [third, first]
    assert engine.heard_before(update(4)) == [second, third, first]
    assert engine.heard_before(notice_of(trigger_id="icecube:1")) == []
    assert engine.heard_before(notice_of(trigger_id=None)) == []
