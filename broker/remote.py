"""``starcross upload`` and ``watch``: what an astronomer asks of a running service. ``starcross token`` lets them."""

import json
import os
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bridges.client import Client, ServerProblem, Unreachable
from broker.clocks import WallClock
from broker.config import load_config
from broker.log import configure_logging
from broker.web.tokens import FILE, Scope, Token, Tokens
from schemas.errors import ConfigurationError
from schemas.times import iso_from_us

_HEADINGS = ("rank", "object", "survey", "after", "mag", "level", "posterior")
_ONLY_WIDE = {"survey", "mag", "level"}
_WIDE = 74
_ROWS = 20
_SETTINGS = ("name", "trigger_time", "before_s", "after_d", "level", "messenger")


def upload(arguments: Namespace) -> int:
    """``starcross upload``: 0 once it is searched; 1 if the server refused it or is away."""
    configure_logging(level="debug" if arguments.verbose else "warning")
    settings = {name: getattr(arguments, name) for name in _SETTINGS if getattr(arguments, name) is not None}
    settings |= {"private": arguments.private, "new_object": not arguments.known_objects}
    position: Any = {"url": arguments.file} if "://" in arguments.file else Path(arguments.file)
    if isinstance(position, Path) and not position.is_file():
        raise ConfigurationError(f"{position}: there is no such file")

    def send(client: Client) -> dict[str, Any]:
        if arguments.replace:
            return client.replace(arguments.replace, position, **settings)
        return client.upload(position, **settings)

    return _asked(arguments, lambda client: _show_skymap(send(client), as_json=arguments.json))


def watch(arguments: Namespace) -> int:
    """``starcross watch``: coincidences as they come, until Ctrl-C, which ends it with 0; 1 as `upload`."""
    configure_logging(level="debug" if arguments.verbose else "warning")
    trigger = f"upload:{arguments.skymap}" if arguments.skymap else arguments.trigger
    query = {"where": arguments.where, "trigger": trigger, "since": arguments.since}
    console = Console(highlight=False)

    def follow(client: Client) -> None:
        client.status()  # a wrong server or token is told at once
        if not arguments.json:
            console.print(f"following {arguments.server}; Ctrl-C ends it", style="dim", markup=False)
        for document in client.follow(**query):
            if arguments.json:
                sys.stdout.write(json.dumps(document) + "\n")
                sys.stdout.flush()
            else:
                console.print(_line(document), soft_wrap=True)

    try:
        return _asked(arguments, follow)
    except KeyboardInterrupt:
        return 0


def token(arguments: Namespace) -> int:
    """``starcross token``: make, list and revoke tokens of a service, while it runs or not."""
    if arguments.config is None:
        raise ConfigurationError("token: expected --config, the configuration of the service that they are for")
    config = load_config(arguments.config, arguments.overrides)
    folder = arguments.config.parent / config.store.folder
    if arguments.action != "make" and not (folder / FILE).exists():
        raise ConfigurationError(f"{folder}: no token was made there")
    tokens, now_us, console = Tokens(folder), WallClock()(), Console(highlight=False)
    if arguments.action == "revoke":
        if not arguments.id:
            raise ConfigurationError("token revoke: expected --id, as `starcross token list` shows it")
        tokens.revoke(arguments.id, now_us)
        console.print(f"revoked {arguments.id}", markup=False)
    elif arguments.action == "make":
        if not arguments.owner:
            raise ConfigurationError("token make: expected --owner")
        scopes = [Scope(scope) for scope in arguments.scope or (Scope.READ,)]
        text, made = tokens.make(arguments.owner, scopes, now_us, days=arguments.days)
        _show_token(console, text, made, as_json=arguments.json)
    else:
        _show_tokens(console, tokens.all(), now_us, as_json=arguments.json)
    return 0


def _asked(arguments: Namespace, ask: Callable[[Client], None]) -> int:
    token_text = os.environ.get("STARCROSS_TOKEN", "")
    if arguments.token_file:
        try:
            token_text = arguments.token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{arguments.token_file}: cannot be read: {error}") from error
    try:
        with Client(arguments.server, token_text) as client:
            ask(client)
    except (ServerProblem, Unreachable) as error:
        Console(stderr=True, soft_wrap=True, highlight=False).print(f"starcross: {error}", style="red", markup=False)
        return 1
    return 0


def _show_skymap(document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return
    console, position = Console(highlight=False), document["position"]
    heading = document["id"], document["name"], f"{document['trigger_utc'][:19]}Z"
    console.print("  ".join(part for part in heading if part), style="bold", markup=False, soft_wrap=True)
    if position:
        areas = f"50 % in {position['area_50_deg2']:,.1f} deg², 90 % in {position['area_90_deg2']:,.1f} deg²"
        peak = f"peak at RA {position['peak_ra_deg']:.5f}, Dec {position['peak_dec_deg']:+.5f} deg"
        console.print(f"{areas}; {peak}", markup=False)
    found = document["coincidences"]
    console.print(_counterparts(found, wide=console.width >= _WIDE) if found else "no counterparts so far")
    if len(found) > _ROWS:
        console.print(f"and {len(found) - _ROWS} more: --json shows them, up to 100", style="dim", markup=False)
    console.print(f"follow it: starcross watch --skymap {document['id']}", style="dim", markup=False, soft_wrap=True)


def _counterparts(found: list[dict[str, Any]], *, wide: bool) -> Table:
    table = Table(title="Counterparts so far")
    shown = [number for number, heading in enumerate(_HEADINGS) if wide or heading not in _ONLY_WIDE]
    for number in shown:
        on_the_left = _HEADINGS[number] in {"object", "survey"}
        table.add_column(_HEADINGS[number], justify="left" if on_the_left else "right", overflow="fold")
    for one in found[:_ROWS]:
        cells = _cells(one)
        table.add_row(*(Text(cells[number]) for number in shown))
    return table


def _cells(one: dict[str, Any]) -> tuple[str, ...]:
    """What there is to tell of a coincidence, by `_HEADINGS`."""
    source, worth = one["object"], one["statistics"] or {}
    mag = "" if source["mag"] is None else f"{source['mag']:.2f} {source['band']}"
    posterior = f"{worth['posterior']:.3f}" if worth else ""
    days = f"{one['delta_t_s'] / 86_400:.3f} d"
    name = str(source["object_id"])
    return str(worth.get("rank", "")), name, source["survey"], days, mag, f"{one['credible_level']:.3f}", posterior


def _line(one: dict[str, Any]) -> Text:
    rank, name, survey, days, mag, level, posterior = _cells(one)
    style = {"proposed": "green", "withdrawn": "red"}.get(one["state"], "yellow")
    told = Text(f"{one['changed_utc'][:19]}Z ")
    told.append(f"{one['state']:9}", style)
    worth = f"  posterior {posterior}, rank {rank}" if posterior else ""
    told.append(
        f" {survey} {name}  {one['trigger']['id']}  {days} after, {mag}, level {level}{worth}  ({one['reason']})"
    )
    return told


def _show_token(console: Console, text: str, made: Token, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(_told(made) | {"token": text}) + "\n")
        return
    console.print(f"token {made.id} of {made.owner}: {', '.join(sorted(made.scopes))}", markup=False)
    console.print("It is shown only this once:", style="dim")
    sys.stdout.write(f"{text}\n")


def _show_tokens(console: Console, tokens: list[Token], now_us: int, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps([_told(one) for one in tokens]) + "\n")
        return
    table = Table(title="Tokens")
    for heading in ("id", "owner", "scopes", "made", "expires", "last used", "state"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "id", min_width=12 if heading == "id" else None)
    for one in tokens:
        instants = (_shown(instant) for instant in (one.made_us, one.expires_us, one.used_us))
        cells = one.id, one.owner, " ".join(sorted(one.scopes)), *instants, one.trouble(now_us) or "counts"
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)


def _told(one: Token) -> dict[str, Any]:
    instants = {"made_utc": one.made_us, "expires_utc": one.expires_us, "revoked_utc": one.revoked_us}
    plain = {
        name: None if us is None else iso_from_us(us) for name, us in (instants | {"used_utc": one.used_us}).items()
    }
    return {"id": one.id, "owner": one.owner, "scopes": sorted(one.scopes)} | plain


def _shown(instant_us: int | None) -> str:
    return "" if instant_us is None else iso_from_us(instant_us)[:16].replace("T", " ")
