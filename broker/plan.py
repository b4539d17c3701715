"""A configuration, checked to the last part, from which the service is made."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from broker.audience import Audience
from broker.catalogues import CACHE, Catalogues, catalogue_options
from broker.config import Config
from broker.interfaces import Matcher, Source
from broker.parts import SINK_KINDS, SOURCE_KINDS, Surroundings, sink_options, source_options
from broker.registry import make_matchers
from broker.substreams import Substream, make_substreams
from matchers.upload import UploadSearch
from schemas.errors import ConfigurationError
from schemas.voevent_out import VoeventAuthor

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plan:
    """A configuration, checked to the last part: what a service is made of.

    Attributes
    ----------
    folder
        Where relative paths of the configuration start.
    sources, sinks, catalogues
        Options by name.
    """

    config: Config
    folder: Path
    matchers: list[Matcher]
    substreams: list[Substream]
    sources: dict[str, Any]
    sinks: dict[str, Any]
    catalogues: dict[str, Any]

    @classmethod
    def of(cls, config: Config, folder: Path) -> Self:
        """Check everything that can be checked without connecting.

        Raises
        ------
        ConfigurationError
            Naming the key.
        """
        return cls(
            config,
            folder,
            [*make_matchers(config, folder), *([UploadSearch()] if config.http.enabled else [])],
            make_substreams(config.substreams, folder),
            source_options(config),
            sink_options(config),
            catalogue_options(config),
        )

    @property
    def with_reactor(self) -> bool:
        """Whether a source needs Twisted's reactor."""
        return any(SOURCE_KINDS[self.config.sources[name].kind].with_reactor for name in self.sources)

    @property
    def author(self) -> VoeventAuthor:
        """Who publishes VOEvents."""
        return VoeventAuthor(**self.config.voevent.model_dump())

    def made(self, around: Surroundings, before: "Plan | None" = None) -> dict[str, Source]:
        """The sources that another plan has not, or has otherwise, by name; all if there is none before.

        Such sinks are made too, to see that they can be: they are made anew each time that they are opened.

        Raises
        ------
        ConfigurationError
            Naming the part that cannot be made: a secret or a certificate is not there.
        """
        for name, options in self.sinks.items():
            if before is None or before.sinks.get(name) != options:
                _made(f"sinks.{name}", SINK_KINDS[self.config.sinks[name].kind].make, name, options, around)
        return {
            name: _made(f"sources.{name}", SOURCE_KINDS[self.config.sources[name].kind].make, name, options, around)
            for name, options in self.sources.items()
            if before is None or before.sources.get(name) != options
        }

    def open_catalogues(self, *, services: bool = True) -> Catalogues:
        """Its catalogues, ready to be looked up; see `Catalogues.open`, which takes its time."""
        cache = self.folder / self.config.store.folder / CACHE
        return Catalogues.open(self.config, self.catalogues, self.folder, cache, services=services)

    def audience(self) -> Audience:
        """Which sink gets what."""
        every = frozenset(self.config.substreams)
        sections = {name: self.config.sinks[name] for name in self.sinks}
        return Audience(
            {name: every if s.substreams is None else frozenset(s.substreams) for name, s in sections.items()},
            tuple(name for name, section in sections.items() if section.relay_notices),
        )


def _made(key: str, make: Callable[[str, Any, Surroundings], T], name: str, options: Any, around: Surroundings) -> T:
    try:
        return make(name, options, around)
    except ConfigurationError as error:
        raise ConfigurationError(f"{key}: {error}") from error
