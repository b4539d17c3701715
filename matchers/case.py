"""All that was heard of one trigger: what its state is folded from."""

from dataclasses import dataclass, field, fields

from matchers.statements import Statement, order_of, statements_of
from matchers.triggers import is_retracted, localising, state_of
from schemas.ivorns import ivorn_key
from schemas.records import Notice, Trigger
from schemas.sky import SkyMap

MAX_NOTICES = 500
"""Most notices of a trigger that are remembered: the last ones by their order. Real triggers have up to some fifty."""


@dataclass(slots=True)
class Case:
    """The notices of one trigger, with the densities of the positions that they gave.

    Attributes
    ----------
    heard_us
        The data's clock when something was last heard.
    id
        Canonical id of the trigger; empty: that of its newest notice.
    related
        Canonical ids of other triggers that are the same event, as far as they are known.
    trigger
        Its state as it was last folded, the same object as long as nothing in it changes; None while no notice says
        when it was.
    """

    heard_us: int
    id: str = ""
    related: tuple[str, ...] = ()
    trigger: Trigger | None = None
    _notices: dict[str, tuple[Notice, int]] = field(default_factory=dict)
    """With when each was heard, in that order; this and the others by the IVORN as it is compared."""
    _reported: dict[str, tuple[Notice, SkyMap]] = field(default_factory=dict)
    _late: dict[str, SkyMap] = field(default_factory=dict)

    def __contains__(self, ivorn: str) -> bool:
        """Whether a notice was heard before."""
        return ivorn_key(ivorn) in self._notices

    @property
    def notices(self) -> list[Notice]:
        """Those that are remembered, in the order in which they were heard."""
        return [notice for notice, _ in self._notices.values()]

    def hear(self, notice: Notice, skymap: SkyMap | None, now_us: int | None = None) -> bool:
        """Whether this notice, or the map that was made of it, was not known.

        Of several with the same IVORN the last by order counts, and of their maps that of the last that has one.

        Parameters
        ----------
        notice, skymap
            The notice and the density of its position, if it gives one.
        now_us
            The data's clock; None: as it was when something was last heard.
        """
        key = ivorn_key(notice.ivorn)
        known = self._notices.get(key)
        newer = known is None or order_of(notice) > order_of(known[0])
        if newer:
            self._notices[key] = notice, self.heard_us if now_us is None else now_us
        mapped = self._reported.get(key)
        better = skymap is not None and (mapped is None or order_of(notice) > order_of(mapped[0]))
        if skymap is not None and better:
            self._reported[key] = notice, skymap
        return newer or better

    def shed(self) -> list[Notice]:
        """Let go of the notices that are first by order, beyond `MAX_NOTICES`; returns them."""
        surplus = len(self._notices) - MAX_NOTICES
        if surplus <= 0:
            return []
        gone = sorted(self.notices, key=order_of)[:surplus]
        for notice in gone:
            for part in (self._notices, self._reported, self._late):
                part.pop(ivorn_key(notice.ivorn), None)
        return gone

    def hear_skymap(self, ivorn: str, skymap: SkyMap) -> None:
        """Take the map that a notice linked to; it stands above what the notice said itself."""
        self._late[ivorn_key(ivorn)] = skymap

    def absorb(self, other: "Case") -> None:
        """Take in all that was heard of a trigger that turned out to be this one."""
        notices, reported, late = other._notices, other._reported, other._late  # noqa: SLF001 - of its own kind
        for key, (notice, heard_us) in notices.items():
            self.hear(notice, None, heard_us)
            if key in reported:
                self.hear(*reported[key], heard_us)
        self._notices = dict(sorted(self._notices.items(), key=lambda item: item[1][1]))
        self._late = late | self._late
        self.heard_us = max(self.heard_us, other.heard_us)

    def before(self, ivorn: str) -> list[Notice]:
        """The notices that were heard before this one, the latest first; all if it was not heard."""
        heard = list(self._notices)
        place = heard.index(ivorn_key(ivorn)) if ivorn in self else len(heard)
        return [self._notices[known][0] for known in reversed(heard[:place])]

    def unmapped(self) -> list[Notice]:
        """The notices with links to maps that have not come and would count, oldest first.

        Of the forms of one notice one map will do.
        """
        if all(notice.skymap_url is None for notice, _ in self._notices.values()):
            return []
        said = statements_of(self.notices)
        position = localising(said, self._skymaps())
        missing: list[Notice] = []
        for statement in said[position.place if position else 0 :]:
            if not any(self._has_official_map(form) for form in statement.forms):
                missing += [form for form in statement.forms if form.skymap_url is not None]
        return missing

    @property
    def retracted(self) -> bool:
        """Whether the newest notice is a retraction, even if no notice says when the event was."""
        return is_retracted(self.notices)

    def fold(self) -> Trigger | None:
        """The trigger's state anew; see `matchers.triggers.fold`."""
        said = statements_of(self.notices)
        position = localising(said, self._skymaps())
        if position is not None:
            self._drop_maps(said[: max(position.place - 1, 0)])
        trigger = state_of(said, self._skymaps(), self.id, self.related)
        if trigger is None or self.trigger is None or not _same_state(trigger, self.trigger):
            self.trigger = trigger
        return self.trigger

    def _skymaps(self) -> dict[str, SkyMap]:
        return {key: skymap for key, (_, skymap) in self._reported.items()} | self._late

    def _has_official_map(self, notice: Notice) -> bool:
        skymap = self._skymaps().get(ivorn_key(notice.ivorn))
        return skymap is not None and skymap.shape is None

    def _drop_maps(self, older: list[Statement]) -> None:
        """A position gives way only to that of a newer notice: older maps are large and not needed again.

        The one before stays, as with a form of it that comes late it may turn out to say the same.
        """
        for statement in older:
            for form in statement.forms:
                self._reported.pop(ivorn_key(form.ivorn), None)
                self._late.pop(ivorn_key(form.ivorn), None)


def _same_state(one: Trigger, other: Trigger) -> bool:
    """Whether nothing is different; sky maps are the same only if they are one object."""
    return one.skymap is other.skymap and all(getattr(one, name) == getattr(other, name) for name in _STATE)


_STATE = tuple(part.name for part in fields(Trigger) if part.name != "skymap")
