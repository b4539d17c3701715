"""The life of a coincidence: what is published, what is only kept, why it goes, and how it comes back."""

from dataclasses import replace

import pytest

from matchers import assessing
from matchers.engine import Engine
from matchers.ledger import Changes
from matchers.options import build_matcher
from matchers.revisions import RevisionOptions
from schemas.annotations import Annotation, Answer
from schemas.densities import skymap_of
from schemas.records import Citation, Coincidence, Kind, Messenger, Notice
from tests.matchers.made import DAY, MINUTE, T0, alerts_of, cone, notice_of, taken
from tests.matchers.test_engine import SWIFT, UNMOVED, add, all_of, engine_of, put, row, said, update

NOW = T0 + 5 * DAY
STAR = Annotation("gaia", Answer.FOUND, name="a star", separation_arcsec=0.3, star_probability=1.0)


def changes_of(engine: Engine, notice: Notice, now_us: int = NOW) -> Changes:
    return Changes.of(engine.put_notice(notice, notice.localisation and skymap_of(notice.localisation), now_us))


def annotate(engine: Engine, *annotations: Annotation, name: str = "a") -> list[Coincidence]:
    return all_of(engine.put_annotations("ztf", name, annotations, NOW))


class TestSmallChanges:
    def test_they_are_kept_and_add_up(self):
        engine = engine_of(
            revisions=RevisionOptions(level=0.1, light_curve=False, posterior=1, chance_factor=1e6, ranks=())
        )
        put(engine, notice_of(localisation=cone(10, 20, 2, 0.9)))
        add(engine, row(1, "a", DAY, dec=20.9))
        (first,) = engine.ledger.current()
        told = []
        for number, ra in enumerate([10.1, 10.2, 10.3, 10.4, 10.5, 10.6], 2):
            changes = changes_of(engine, update(number, localisation=cone(ra, 20, 2, 0.9)))
            told.append((len(changes.published), len(changes.quiet)))
            (standing,) = engine.standing()
            published = engine.ledger.get(first.id)
            assert abs(standing.credible_level - published.credible_level) <= 0.1
            if changes.quiet:
                assert changes.quiet == [standing]
                assert (standing.revision, standing.reason) == (published.revision, published.reason)
        assert (0, 1) in told
        assert (1, 0) in told
        assert engine.ledger.get(first.id).changed == ("level",)
        assert engine.counts.quiet == told.count((0, 1))

    def test_a_notice_that_says_the_same_makes_no_revision_but_is_kept(self):
        engine = engine_of()
        put(engine, notice_of())
        add(engine, row(1, "a", DAY))
        changes = changes_of(engine, update(2, links={"more": "https://example.org"}))
        (kept,) = changes.quiet
        assert changes.published == []
        assert (kept.trigger.notice_ivorn, kept.revision) == ("ivo://t/n#2", 1)
        assert engine.standing("fermi-gbm:1") == [kept]

    def test_what_differs_is_said(self):
        engine = engine_of()
        put(engine, notice_of())
        add(engine, row(1, "a", DAY))
        (change,) = add(engine, row(2, "a", 2 * DAY))
        assert (change.state, change.changed) == ("updated", ("light_curve",))
        (change,) = put(engine, update(2, localisation=cone(10.5, 20, 2), names=("GRB 200107A",)))
        assert {"level", "trigger"} <= set(change.changed)


class TestAssessment:
    def test_a_new_candidate_is_worth_something_and_makes_the_others_worth_less(self):
        engine = engine_of(revisions=RevisionOptions(posterior=0.001))
        put(engine, notice_of(), NOW)
        (alone,) = taken(engine, alerts_of([row(1, "a", DAY)]), NOW).published
        assert alone.statistics.rank == 1
        assert 0 < alone.statistics.posterior < 1
        first, second = taken(engine, alerts_of([row(2, "b", DAY)]), NOW).published
        assert said([first, second]) == [("a", "updated", "assessment"), ("b", "proposed", "alert")]
        assert first.statistics.posterior < alone.statistics.posterior
        assert "posterior" in first.changed
        worth = [c.statistics for c in engine.standing()]
        assert sum(one.posterior for one in worth) + worth[0].posterior_none == pytest.approx(1)
        assert sorted(one.rank for one in worth) == [1, 2]

    def test_all_that_stands_is_assessed_once_an_hour(self):
        engine = engine_of(revisions=RevisionOptions(posterior=0.0))
        put(engine, notice_of(), NOW)
        taken(engine, alerts_of([row(1, "a", DAY)]), NOW)
        all_of(engine.reassess(NOW))
        assert not engine.is_reassessment_due(NOW + 59 * MINUTE)
        assert all_of(engine.reassess(NOW + 59 * MINUTE)) == []
        # The sky was looked at again, and there was nothing.
        engine.add_alerts(alerts_of([row(k, f"x{k}", 4 * DAY, dec=20 + k / 99, reliability=0.1) for k in range(9, 30)]))
        assert engine.is_reassessment_due(NOW + 60 * MINUTE)
        (change,) = all_of(engine.reassess(NOW + 60 * MINUTE))
        assert (change.reason, change.changed) == ("assessment", ("posterior",))
        assert engine.standing()[0].statistics == change.statistics

    def test_nothing_is_assessed_of_a_trigger_that_is_forgotten(self):
        engine = engine_of()
        put(engine, notice_of(), T0)
        add(engine, row(1, "a", DAY))
        engine.expire(T0 + 50 * DAY)
        before = engine.standing()
        assert len(before) == 1
        assert all_of(engine.reassess(T0 + 50 * DAY)) == []
        assert engine.standing() == before

    def test_many_are_told_in_steps(self, monkeypatch):
        monkeypatch.setattr(assessing, "_AT_ONCE", 10)
        engine = engine_of()
        taken(engine, alerts_of([row(k, f"o{k}", DAY, dec=19 + k / 50) for k in range(100)]))
        steps = list(engine.put_notice(notice_of(), skymap_of(cone()), NOW))
        assert max(len(changes.published) for changes in steps) == 10
        assert len(engine.ledger) > 90


class TestTriggersOfOneEvent:
    def test_another_trigger_of_the_same_event_sharpens_the_search(self):
        engine = engine_of()
        put(engine, notice_of(localisation=cone(10, 20, 4)))
        add(engine, row(1, "far", DAY, 12.5), row(2, "near", DAY, 10.05))
        changes = put(engine, notice_of(ivorn="s1", localisation=cone(10, 20, 0.05, 0.9), **SWIFT))
        assert said(changes) == [
            ("far", "withdrawn", "moved_out"),
            ("near", "updated", "linked"),
            ("near", "proposed", "notice"),
        ]
        assert {c.trigger.id: [link.id for link in c.trigger.linked] for c in engine.standing()} == {
            "fermi-gbm:1": ["swift:7"],
            "swift:7": ["fermi-gbm:1"],
        }
        assert changes[1].changed[:2] == ("level", "links")
        back = put(engine, notice_of(ivorn="s2", issued_us=T0 + DAY, kind=Kind.RETRACTION, localisation=None, **SWIFT))
        assert said(back) == [
            ("far", "proposed", "linked"),
            ("near", "updated", "linked"),
            ("near", "withdrawn", "retracted"),
        ]
        assert engine.standing("swift:7") == []

    def test_they_are_forgotten_together(self):
        engine = engine_of(build_matcher("grb", "grb", {"missions": ["Fermi"]}))
        put(engine, notice_of(), T0)
        put(engine, notice_of(ivorn="s1", **SWIFT), T0)
        assert [bool(engine.book.windows(one.id)) for one in engine.triggers()] == [True, False]
        engine.expire(T0 + 30 * DAY)
        assert len(list(engine.triggers())) == 2
        assert engine.expire(T0 + 50 * DAY) == ["fermi-gbm:1", "swift:7"]

    def test_what_merges_is_withdrawn_and_proposed_under_the_one_name(self):
        engine = engine_of()
        put(engine, notice_of("fermi-gbm:bn200107123", "ivo://t/n#1"))
        add(engine, row(1, "a", DAY))
        number = notice_of("fermi-gbm:1", "ivo://t/n#2", serial=1, aliases=("fermi-gbm:bn200107123",))
        assert said(put(engine, number)) == [("a", "proposed", "notice"), ("a", "withdrawn", "merged")]
        (standing,) = engine.standing("fermi-gbm:bn200107123")
        assert standing.trigger.id == "fermi-gbm:1"
        assert [trigger.id for trigger in engine.triggers()] == ["fermi-gbm:1"]
        assert +engine.counts.windows == {"grb": 1}
        assert engine.trigger_of(replace(number, trigger_id="fermi-gbm:bn200107123")) == "fermi-gbm:1"
        changes = all_of(engine.put_skymap("fermi-gbm:bn200107123", "ivo://t/n#2", skymap_of(cone(100, -20)), NOW))
        assert said(changes) == [("a", "withdrawn", "moved_out")]

    def test_what_was_said_in_a_name_that_merged_is_taken_back_even_if_its_alerts_are_dropped(self):
        engine = engine_of(retention_us=DAY)
        put(engine, notice_of("fermi-gbm:bn200107123", "ivo://t/n#1"), T0)
        add(engine, row(1, "a", DAY))
        engine.expire(T0 + 30 * DAY)
        number = notice_of("fermi-gbm:1", "ivo://t/n#2", serial=1, aliases=("fermi-gbm:bn200107123",))
        assert put(engine, number, T0 + 30 * DAY) == []
        retraction = notice_of("fermi-gbm:1", "ivo://t/n#3", kind=Kind.RETRACTION, localisation=None, serial=2)
        assert said(put(engine, retraction, T0 + 30 * DAY)) == [("a", "withdrawn", "retracted")]

    def test_a_notice_without_an_id_counts_for_the_trigger_that_it_cites(self):
        engine = engine_of()
        put(engine, notice_of())
        add(engine, row(1, "a", DAY))
        retraction = notice_of(
            None,
            "ivo://t/n#3",
            kind=Kind.RETRACTION,
            localisation=None,
            serial=3,
            citations=(Citation("ivo://t/n#1", "retraction"),),
        )
        assert engine.trigger_of(retraction) is None
        assert said(put(engine, retraction)) == [("a", "withdrawn", "retracted")]
        assert engine.trigger_of(retraction) == "fermi-gbm:1"
        assert engine.heard_before(retraction) == [notice_of()]


GW = {"messenger": Messenger.GRAVITATIONAL_WAVE, "mission": "LVK", "trigger_id": "lvk:S1"}


class TestTriggersClasses:
    def engine(self, **options: object) -> Engine:
        engine = engine_of(build_matcher("gw", "gw", options))
        put(engine, notice_of(ivorn="g1", classification={"BNS": 0.9, "Terrestrial": 0.1}, **GW))
        add(engine, row(1, "a", DAY))
        return engine

    @pytest.mark.parametrize("options", [{"classes_above": {"BNS": 0.5}}, {"classes_below": {"Terrestrial": 0.5}}])
    def test_one_that_is_of_another_class_is_not_searched_any_more_and_can_come_back(self, options):
        engine = self.engine(**options)
        terrestrial = {"BNS": 0.2, "Terrestrial": 0.8}
        changes = put(engine, notice_of(ivorn="g2", serial=1, classification=terrestrial, **GW))
        assert said(changes) == [("a", "withdrawn", "reclassified")]
        changes = put(engine, notice_of(ivorn="g3", serial=2, classification={"BNS": 0.7}, **GW))
        assert said(changes) == [("a", "proposed", "notice")]
        assert (changes[0].revision, changes[0].changed) == (3, ("trigger_class",))

    def test_without_such_an_option_it_is_an_update(self):
        (change,) = put(self.engine(), notice_of(ivorn="g2", serial=1, classification={"Terrestrial": 0.8}, **GW))
        assert (change.state, change.changed) == ("updated", ("trigger_class",))

    def test_one_that_is_of_no_class_is_searched(self):
        matcher = build_matcher("gw", "gw", {"classes_above": {"BNS": 0.5}})
        assert matcher.suits(next(engine_triggers(notice_of(ivorn="g1", **GW))))


def engine_triggers(notice: Notice):
    engine = engine_of()
    put(engine, notice)
    return engine.triggers()


class TestAnnotations:
    def test_an_answer_that_comes_later_revises(self):
        engine = engine_of()
        put(engine, notice_of())
        add(engine, row(1, "a", DAY, gaia_arcsec=9.0))
        assert said(annotate(engine, Annotation("simbad", Answer.PENDING))) == [("a", "updated", "annotation")]
        (change,) = annotate(engine, Annotation("simbad", Answer.FOUND, name="M 31"))
        assert change.changed == ("annotations",)
        assert [(one.catalogue, one.answer) for one in change.object.annotations] == [
            ("gaia", "found"),
            ("ps1", "none"),
            ("solar_system", "none"),
            ("simbad", "found"),
        ]
        assert annotate(engine, Annotation("simbad", Answer.FOUND, name="M 31")) == []
        assert annotate(engine, Annotation("simbad", Answer.FOUND), name="unknown") == []

    def test_a_contaminant_is_withdrawn_and_what_is_known_at_once_is_never_proposed(self):
        engine = engine_of(
            build_matcher("grb", "grb", {"exclude": 'object.annotations["stars"].separation_arcsec < 1'})
        )
        put(engine, notice_of())
        add(engine, row(1, "a", DAY), row(2, "b", DAY))
        star = replace(STAR, catalogue="stars")
        assert said(annotate(engine, star)) == [("a", "withdrawn", "contaminant")]
        assert [c.statistics.rank for c in engine.standing()] == [1]
        assert annotate(engine, star, name="c") == []
        assert said(add(engine, row(3, "a", 2 * DAY), row(4, "c", 2 * DAY))) == []
        assert said(annotate(engine, replace(star, separation_arcsec=2.0))) == [("a", "proposed", "annotation")]
        assert said(annotate(engine, replace(star, separation_arcsec=2.0), name="c")) == [
            ("c", "proposed", "annotation")
        ]

    def test_what_is_worth_too_little_may_be_left_out_but_counts_among_the_others(self):
        options = RevisionOptions(posterior=0.0)
        everything = engine_of(build_matcher("grb", "grb", {}), revisions=options)
        best = engine_of(build_matcher("grb", "grb", {"exclude": "statistics.rank > 1"}), revisions=options)
        for engine in (everything, best):
            put(engine, notice_of())
            add(engine, row(1, "a", DAY, dec=20.0), row(2, "b", DAY, dec=20.5), row(3, "c", DAY, dec=21.0))
        assert len(everything.standing()) == 3
        (first,) = best.standing()
        assert first.statistics == next(c.statistics for c in everything.standing() if c.statistics.rank == 1)
        assert said(all_of(best.search_by([build_matcher("grb", "grb", {})], config_hash="", now_us=0))) == [
            (name, "proposed", "assessment") for name in "abc" if name != first.object.object_id
        ]
        again = build_matcher("grb", "grb", {"exclude": "statistics.rank > 2"})
        assert [reason for _, _, reason in said(all_of(best.search_by([again], config_hash="", now_us=0)))] == [
            "contaminant"
        ]


def test_a_cut_object_may_still_say_that_it_was_there_before():
    engine = engine_of(revisions=UNMOVED)
    put(engine, notice_of())
    add(engine, row(1, "a", DAY))
    (change,) = add(engine, row(2, "a", DAY // 2, reliability=0.1))
    assert (change.reason, change.changed) == ("alert", ("onset",))
