"""The configuration: one TOML file, checked to the last key; every key has a default.

An error names the key and the place: ``config.toml: cuts.reliabilty_above: unknown key``.
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, IPvAnyAddress, StringConstraints, ValidationError, field_validator

from bridges.map_fetcher import MapFetchOptions
from bridges.options import Options
from broker.store.options import StoreOptions
from broker.substreams import SubstreamOptions
from broker.web.options import HttpOptions
from matchers.cuts import Cuts
from matchers.linking import LinkOptions
from matchers.options import BUILTIN
from matchers.revisions import RevisionOptions
from matchers.visibility import CounterpartOptions
from schemas.errors import ConfigurationError
from schemas.survey import SURVEYS

_DECIDING = {"catalogues", "counterparts", "cuts", "survey_cuts", "triggers", "revisions", "matchers"}
Section = Options
CatalogueName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class TriggersSection(Section):
    """Which triggers are searched."""

    include_tests: bool = Field(False, description="Search for counterparts of test and mock triggers too.")


class MatcherSection(BaseModel):
    """One matcher: of a built-in kind, or a class in a Python file of the user's. Its other keys are its options."""

    model_config = ConfigDict(extra="allow", frozen=True)

    kind: str | None = Field(
        None, description="A built-in kind: grb, gw, neutrino or xray. By default the name itself."
    )
    python: str | None = Field(None, description="Instead of a kind: `file.py:ClassName`, relative to this file.")
    enabled: bool = Field(True, description="False switches the matcher off.")


class SourceSection(BaseModel):
    """One source of messages. Its other keys are the options of its kind."""

    model_config = ConfigDict(extra="allow", frozen=True)

    kind: str = Field(description="What it is; `starcross check` names the kinds.")
    enabled: bool = Field(True, description="False switches the source off.")


class SinkSection(BaseModel):
    """One sink of coincidences. Its other keys are the options of its kind."""

    model_config = ConfigDict(extra="allow", frozen=True)

    kind: str = Field(description="What it is; `starcross check` names the kinds.")
    enabled: bool = Field(True, description="False switches the sink off; what waits for it in the store is kept.")
    substreams: tuple[str, ...] | None = Field(None, description="Names of substreams to send; by default all.")
    relay_notices: bool = Field(
        False, description="Also pass on the notices that came in over Kafka, where the kind can."
    )


class CatalogueSection(BaseModel):
    """One catalogue, or service that is asked about objects. Its other keys are the options of its kind."""

    model_config = ConfigDict(extra="allow", frozen=True)

    kind: str = Field("file", description="What it is: a file, or a service.")
    enabled: bool = Field(True, description="False switches the catalogue off.")
    matchers: tuple[str, ...] | None = Field(
        None, description="Names of the matchers whose coincidences it annotates; by default all."
    )


class ServiceSection(Section):
    """The process of `starcross run`."""

    http_address: IPvAnyAddress = Field(
        IPv4Address("127.0.0.1"), description="Address of health, readiness, metrics and status."
    )
    http_port: int = Field(8090, ge=0, le=65535, description="Its port; 0 takes a free one.")
    clock: Literal["wall", "data"] = Field(
        "wall", description="`data`: the latest instant that came in, for past or simulated nights."
    )
    step_alerts: int = Field(500, ge=1, le=100_000, description="Alerts matched before others get a turn.")
    stop_within_s: float = Field(20.0, gt=0, le=600, description="Time to finish and flush after SIGTERM.")
    maintain_every_s: float = Field(60.0, gt=0, le=86_400, description="Pause between expiry and sealing of nights.")
    log_format: Literal["auto", "console", "json"] = Field("auto", description="`auto`: readable on a terminal.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least that is logged.")


class LsstSection(Section):
    """Where the schemas of Rubin's packets in Confluent's wire format are found. Tried in this order."""

    schema_folder: Path | None = Field(None, description="Folder of `.avsc` files, as in Rubin's alert_packet.")
    schema_registry_url: str | None = Field(None, description="URL of a schema registry.")
    schema_package: bool = Field(True, description="Use the package lsst-alert-packet where it is installed.")


class VoeventSection(Section):
    """The author of the VOEvents that are written."""

    authority: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._~-]{2,}$")] = Field(
        "starcross.invalid", description="Naming authority of the IVORNs, such as your institute's domain."
    )
    stream: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._~/-]*$")] = Field(
        "coincidence", description="Name of the stream in the IVORNs."
    )
    title: str = Field("Starcross", description="Title of the author.")
    contact_name: str = Field("", description="Whom to ask.")
    contact_email: str = Field("", description="How to reach them.")


class ReplaySection(Section):
    """How a replay reads and paces its input."""

    batch_alerts: int = Field(2000, ge=1, le=1_000_000, description="Alerts that are matched at a time.")
    batch_s: float = Field(60.0, gt=0, le=86_400, description="Longest span of data time that is matched at a time.")
    message_mib: int = Field(64, ge=1, le=4096, description="Largest file or archive member that is read, in MiB.")
    ask_services: bool = Field(
        False, description="Ask the services of `[catalogues]` too once all is played; files are always looked up."
    )


class Config(Section):
    """The whole configuration."""

    cuts: Cuts = Field(default_factory=Cuts)
    survey_cuts: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="By survey: keys of `[cuts]` that differ for it."
    )
    triggers: TriggersSection = TriggersSection()
    links: LinkOptions = LinkOptions()
    counterparts: CounterpartOptions = CounterpartOptions()
    revisions: RevisionOptions = RevisionOptions()
    matchers: dict[str, MatcherSection] = Field(default_factory=dict, validate_default=True)
    lsst: LsstSection = LsstSection()
    voevent: VoeventSection = VoeventSection()
    replay: ReplaySection = ReplaySection()
    sources: dict[str, SourceSection] = Field(default_factory=dict)
    sinks: dict[str, SinkSection] = Field(default_factory=dict)
    catalogues: dict[CatalogueName, CatalogueSection] = Field(default_factory=dict)
    substreams: dict[str, SubstreamOptions] = Field(default_factory=lambda: {"all": SubstreamOptions()})
    store: StoreOptions = StoreOptions()
    maps: MapFetchOptions = MapFetchOptions()
    http: HttpOptions = HttpOptions()
    service: ServiceSection = ServiceSection()

    @field_validator("matchers", mode="before")
    @classmethod
    def _builtin_matchers_are_always_there(cls, given: Any) -> Any:
        """A file that changes one matcher does not lose the others; `enabled = false` switches one off."""
        return {name: {} for name in BUILTIN} | given if isinstance(given, dict) else given

    def cuts_of(self, survey: str) -> Cuts:
        """The quality cuts of one survey."""
        return Cuts.model_validate(self.cuts.model_dump() | self.survey_cuts.get(survey, {}))

    def fingerprint(self) -> str:
        """First 16 hex digits of the SHA-256 of all that decides on coincidences: cuts, triggers, matchers
        and the like."""
        text = json.dumps(self.model_dump(mode="json", include=_DECIDING), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def load_config(path: Path | None, overrides: Sequence[str] = ()) -> Config:
    """Read a configuration file and apply ``key=value`` overrides (dotted keys, TOML values).

    Parameters
    ----------
    path
        The file, or None for the defaults.

    Raises
    ------
    ConfigurationError
        Naming the file or override, the key, and what is wrong with it.
    """
    tables: dict[str, Any] = {}
    shown = "--set"
    if path:
        shown = str(path)
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigurationError(f"{path}: not valid TOML: {error}") from error
    for override in overrides:
        _override(tables, override)
    try:
        config = Config.model_validate(tables)
        for survey in config.survey_cuts:
            _checked_cuts(config, survey)
    except ValidationError as error:
        raise ConfigurationError("\n".join(f"{shown}: {line}" for line in problems(error))) from error
    return config


def _checked_cuts(config: Config, survey: str) -> None:
    known = [survey.name for survey in SURVEYS]
    if survey not in known:
        raise ConfigurationError(f"survey_cuts.{survey}: there is no such survey; there are {', '.join(known)}")
    try:
        config.cuts_of(survey)
    except ValidationError as error:
        raise ConfigurationError("\n".join(problems(error, "survey_cuts", survey))) from error


def _override(tables: dict[str, Any], override: str) -> None:
    dotted, equals, text = override.partition("=")
    names = [name.strip() for name in dotted.split(".")]
    if not equals or not all(names):
        raise ConfigurationError(f"--set {override}: expected key=value, such as cuts.enabled=false")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()  # a bare word is a string, so that the shell needs no second quotes
    table = tables
    for name in names[:-1]:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise ConfigurationError(f"--set {override}: {name} is a value, not a table")
    table[names[-1]] = value


def problems(error: ValidationError, *place: str) -> list[str]:
    """What a validation found, a line each, beginning with the dotted key; ``place`` leads to what was validated."""
    lines = []
    for problem in error.errors(include_url=False):
        key = ".".join(str(part) for part in (*place, *problem["loc"])) or "configuration"
        what = "unknown key" if problem["type"] == "extra_forbidden" else problem["msg"].removeprefix("Value error, ")
        given = "" if isinstance(problem["input"], Mapping) else f" (given: {problem['input']!r})"
        lines.append(f"{key}: {what}{given}")
    return lines
