"""All that was heard of one trigger: what its state is folded from."""

from dataclasses import dataclass, field

from matchers.triggers import fold, is_retracted, order_of
from schemas.records import Notice, Trigger
from schemas.sky import SkyMap


@dataclass(slots=True)
class Case:
    """The notices of one trigger, with the densities of the positions that they gave.

    Attributes
    ----------
    heard_us
        The data's clock when something was last heard.
    id
        Canonical id of the trigger; empty: that of its newest notice.
    trigger
        Its state as it was last folded; None while no notice says when it was.
    """

    heard_us: int
    id: str = ""
    trigger: Trigger | None = None
    _notices: dict[str, Notice] = field(default_factory=dict)
    _reported: dict[str, tuple[Notice, SkyMap]] = field(default_factory=dict)
    _late: dict[str, SkyMap] = field(default_factory=dict)

    def __contains__(self, ivorn: str) -> bool:
        """Whether a notice was heard before."""
        return ivorn in self._notices

    def hear(self, notice: Notice, skymap: SkyMap | None) -> bool:
        """Whether this notice, or the map that was made of it, is news.

        Of several with the same IVORN the last by order counts, and of their maps that of the last that has one.
        """
        known = self._notices.get(notice.ivorn)
        newer = known is None or order_of(notice) > order_of(known)
        if newer:
            self._notices[notice.ivorn] = notice
        mapped = self._reported.get(notice.ivorn)
        better = skymap is not None and (mapped is None or order_of(notice) > order_of(mapped[0]))
        if skymap is not None and better:
            self._reported[notice.ivorn] = (notice, skymap)
        return newer or better

    def hear_skymap(self, ivorn: str, skymap: SkyMap) -> None:
        """Take the map that a notice linked to; it stands above what the notice said itself."""
        self._late[ivorn] = skymap

    def absorb(self, other: "Case") -> None:
        """Take in all that was heard of a trigger that turned out to be this one."""
        for notice in other._notices.values():  # noqa: SLF001 - of its own kind
            mapped = other._reported.get(notice.ivorn)  # noqa: SLF001
            if mapped is not None and mapped[0] is not notice:
                self.hear(*mapped)
            self.hear(notice, mapped[1] if mapped is not None and mapped[0] is notice else None)
        self._late = other._late | self._late  # noqa: SLF001
        self.heard_us = max(self.heard_us, other.heard_us)

    def before(self, ivorn: str) -> list[Notice]:
        """The notices that were heard before this one, the latest first; all if it was not heard."""
        heard = list(self._notices)
        place = heard.index(ivorn) if ivorn in self._notices else len(heard)
        return [self._notices[known] for known in reversed(heard[:place])]

    def unmapped(self) -> list[Notice]:
        """The notices with links to maps that have not come and would count, oldest first."""
        localising = self.trigger.localised_by if self.trigger is not None else None
        since = () if localising is None else order_of(localising)
        linking = (notice for notice in self._notices.values() if notice.skymap_url is not None)
        missing = [notice for notice in linking if notice.ivorn not in self._late and order_of(notice) >= since]
        return sorted(missing, key=order_of)

    @property
    def retracted(self) -> bool:
        """Whether the newest notice is a retraction, even if no notice says when the event was."""
        return is_retracted(self._notices.values())

    def fold(self) -> Trigger | None:
        """The trigger's state anew; see `matchers.triggers.fold`."""
        reported = {ivorn: skymap for ivorn, (_, skymap) in self._reported.items()}
        trigger = fold(self._notices.values(), reported | self._late, self.id)
        if trigger is not None and trigger.localised_by is not None:
            self._drop_older_maps(trigger.localised_by.ivorn)
        self.trigger = trigger
        return trigger

    def _drop_older_maps(self, localising: str) -> None:
        """A position gives way only to that of a newer notice: older maps are large and not needed again."""
        older = self._notices.keys() - {localising}
        for ivorn in older:
            self._reported.pop(ivorn, None)
            self._late.pop(ivorn, None)
