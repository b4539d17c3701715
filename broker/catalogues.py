"""The catalogues and services of a configuration: their kinds, and what is at hand of them where an object is judged.

Their modules are imported when one is asked for, as those of sources and sinks are.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from bridges.asker import Service
from bridges.options import Options
from broker.config import Config, problems
from matchers.neighbourhood import PACKET_CATALOGUES
from schemas.annotations import Annotation, Answer, Target
from schemas.errors import ConfigurationError

CACHE = "catalogues"
"""Folder of mapped catalogues, within that of the store."""


class Catalogue(Protocol):
    """A catalogue that is at hand."""

    def look_up(self, targets: Sequence[Target]) -> Sequence[Annotation]:
        """What it says of each target: always the same of the same position."""

    def __len__(self) -> int:
        """How many entries it has."""


@dataclass(frozen=True, slots=True)
class CatalogueKind:
    """A kind of catalogue or service.

    Attributes
    ----------
    options
        Name of its options in `bridges.catalogue_options`.
    make
        Makes one of its name, its options, the folder where relative paths of the configuration start, and the folder
        of mapped catalogues. It may take seconds.
    summary
        What it is, in a line.
    is_service
        Whether it is asked over the network.
    """

    options: str
    make: Callable[[str, Any, Path, Path | None], Any]
    summary: str
    is_service: bool = True


def _file(name: str, options: Any, folder: Path, cache: Path | None) -> Any:
    return import_module("bridges.catalogue_files").CatalogueFile.open(name, options, folder, cache)


def _service(where: str, *, with_folder: bool = False) -> Callable[[str, Any, Path, Path | None], Any]:
    module, _, class_name = where.partition(":")

    def make(name: str, options: Any, folder: Path, _cache: Path | None) -> Any:
        try:
            service = getattr(import_module(module), class_name)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.split(".")[0] in {"bridges", "schemas"}:
                raise
            raise ConfigurationError(f"needs {error.name}: pip install 'starcross[services]'") from error
        return service(name, options, folder) if with_folder else service(name, options)

    return make


CATALOGUE_KINDS: Mapping[str, CatalogueKind] = {
    "file": CatalogueKind("CatalogueFileOptions", _file, "a catalogue as a file or a HATS folder", is_service=False),
    "xmatch": CatalogueKind(
        "XMatchOptions", _service("bridges.catalogue_services:XMatchService"), "SIMBAD or VizieR by CDS X-Match"
    ),
    "skybot": CatalogueKind(
        "SkybotOptions", _service("bridges.catalogue_services:SkybotService"), "solar-system objects by SkyBoT"
    ),
    "tns": CatalogueKind(
        "TnsOptions", _service("bridges.tns:TnsService", with_folder=True), "reported transients by TNS"
    ),
}


def catalogue_options(config: Config) -> dict[str, Options]:
    """The checked options of every enabled catalogue, by name.

    Raises
    ------
    ConfigurationError
        Naming the key, such as ``catalogues.glade.path``, or a matcher that there is not.
    """
    return {
        name: _checked(f"catalogues.{name}", name, section, config)
        for name, section in sorted(config.catalogues.items())
        if section.enabled
    }


def catalogue_options_class(kind: CatalogueKind) -> type[Options]:
    """The model of a kind's options."""
    found: type[Options] = getattr(import_module("bridges.catalogue_options"), kind.options)
    return found


def _checked(key: str, name: str, section: Any, config: Config) -> Options:
    if name in PACKET_CATALOGUES:
        raise ConfigurationError(f"{key}: this name is that of what survey packets carry; give it another")
    unknown = sorted(set(section.matchers or ()) - config.matchers.keys())
    if unknown:
        known = ", ".join(sorted(config.matchers))
        raise ConfigurationError(f"{key}.matchers: there is no matcher {unknown[0]}; there are {known}")
    if section.kind not in CATALOGUE_KINDS:
        known = ", ".join(sorted(CATALOGUE_KINDS))
        raise ConfigurationError(f"{key}.kind: there is no kind {section.kind!r}; there are {known}")
    try:
        return catalogue_options_class(CATALOGUE_KINDS[section.kind]).model_validate(section.model_extra or {})
    except ValidationError as error:
        raise ConfigurationError("\n".join(problems(error, key))) from error


@dataclass(frozen=True, slots=True)
class Catalogues:
    """Catalogues at hand and services, by name.

    Attributes
    ----------
    matchers
        By name: the matchers that ask for it; all without an entry.
    """

    files: Mapping[str, Catalogue] = field(default_factory=dict)
    services: Mapping[str, Service] = field(default_factory=dict)
    matchers: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def open(
        cls, config: Config, options: Mapping[str, Any], folder: Path, cache: Path | None, *, services: bool = True
    ) -> "Catalogues":
        """Read or map all files, and make ready to ask services. It may take seconds, and is to be done in a thread.

        Parameters
        ----------
        options
            As `catalogue_options` gives them.
        services
            False leaves these out.

        Raises
        ------
        ConfigurationError
            Naming the catalogue and what is wrong with it.
        """
        files: dict[str, Catalogue] = {}
        asked: dict[str, Service] = {}
        for name, own in options.items():
            kind = CATALOGUE_KINDS[config.catalogues[name].kind]
            if kind.is_service and not services:
                continue
            try:
                made = kind.make(name, own, folder, cache)
            except ConfigurationError as error:
                raise ConfigurationError(f"catalogues.{name}: {error}") from error
            if kind.is_service:
                asked[name] = made
            else:
                files[name] = made
        named = {name: config.catalogues[name].matchers for name in (*files, *asked)}
        return cls(files, asked, {name: frozenset(of) for name, of in named.items() if of is not None})

    def look_up(self, matcher: str, targets: Sequence[Target]) -> list[tuple[Annotation, ...]]:
        """What the catalogues say that a matcher asks for; a service has not answered yet. See
        `matchers.neighbourhood.LookUp`.
        """
        found = [file.look_up(targets) for name, file in self.files.items() if self._is_asked(name, matcher)]
        pending = [Annotation(name, Answer.PENDING) for name in self.services_of(matcher)]
        if not found:
            return [tuple(pending)] * len(targets)
        return [(*said, *pending) for said in zip(*found, strict=True)]

    def services_of(self, matcher: str) -> Iterable[str]:
        """Names of the services that a matcher asks."""
        return (name for name in self.services if self._is_asked(name, matcher))

    def _is_asked(self, name: str, matcher: str) -> bool:
        return name not in self.matchers or matcher in self.matchers[name]
