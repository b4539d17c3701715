"""What each command does: load the configuration, run the work, show the result."""

import asyncio
import sys
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.console import Console

from bridges.files import find_files
from bridges.folder import OutputFolder
from bridges.simulator import simulate as simulate_night
from broker.benchmarks import run_benchmarks
from broker.catalogues import CACHE, Catalogues, catalogue_options
from broker.config import Config, load_config
from broker.connections import try_connections
from broker.costplot import draw_cost
from broker.demonstration import DEMO_SETTINGS, run_demo, serve_demo
from broker.inspection import draw_findings, inspect_files, show
from broker.loadtest import load_test
from broker.log import configure_logging
from broker.pairing import explain_findings
from broker.plan import Plan
from broker.reader import make_reader
from broker.registry import make_matchers
from broker.replay import Outcome, Progress
from broker.replay import replay as replay_inputs
from broker.skyplot import draw_sky
from broker.store.command import run_store
from broker.substreams import make_substreams
from broker.tables import (
    bench_tables,
    coincidence_table,
    connection_table,
    explanation_table,
    found_against_injected_table,
    summary_table,
)
from broker.terminal import print_json, progress_bar, writing
from schemas.voevent_out import VoeventAuthor


def replay(arguments: Namespace) -> int:
    """``starcross replay``."""
    configure_logging(level="debug" if arguments.verbose else "warning")
    config = load_config(arguments.config, arguments.overrides)
    folder = _folder(arguments)
    matchers, reader = make_matchers(config, folder), make_reader(config, folder)
    substreams = make_substreams(config.substreams, folder)
    cache = folder / config.store.folder / CACHE
    services = config.replay.ask_services
    catalogues = Catalogues.open(config, catalogue_options(config), folder, cache, services=services)
    with OutputFolder(arguments.out, _author(config)) as out, progress_bar(verbose=arguments.verbose) as progress:
        outcome = replay_inputs(
            config,
            matchers,
            reader,
            arguments.alerts,
            arguments.notices,
            out,
            progress,
            substreams=substreams,
            catalogues=catalogues,
        )
        if arguments.plot:
            _draw(arguments.out / "sky.png", outcome, "Starcross replay", progress)
    if arguments.json:
        print_json(outcome.summary)
    else:
        _show_outcome(Console(), outcome, arguments.out)
    return 0


def demo(arguments: Namespace) -> int:
    """``starcross demo``: the nights searched, and on a terminal also served; with ``--serve`` only served."""
    configure_logging(level="debug" if arguments.verbose else "warning")
    console = Console()
    if not arguments.serve:
        _search_demo(arguments, console)
        if arguments.serve is False or not sys.stdout.isatty():
            console.print("To see such nights on the page: starcross demo --serve", markup=False)
            return 0

    def announce(url: str, token: str) -> None:
        console.print(f"\nThe page: {url}", markup=False, style="bold", soft_wrap=True)
        console.print("Simulated nights come in, each in less than a minute; Ctrl-C ends it.", markup=False)
        console.print(f"To upload a sky map, sign in with {token}", markup=False, soft_wrap=True)
        sys.stdout.flush()

    return serve_demo(arguments.seed, arguments.port, announce, verbose=arguments.verbose)


def _search_demo(arguments: Namespace, console: Console) -> None:
    with progress_bar(verbose=arguments.verbose) as progress:
        result = run_demo(arguments.seed, arguments.out, progress)
        _draw(arguments.out / "sky.png", result.outcome, "Simulated nights", progress)
    _show_outcome(console, result.outcome, arguments.out)
    console.print(found_against_injected_table(result.rows))
    console.print(
        f"The simulated nights are in {arguments.out / 'nights'}; the sky is drawn in {arguments.out / 'sky.png'}.",
        markup=False,
    )


def inspect(arguments: Namespace) -> int:
    """``starcross inspect``; 1 if an input could not be read."""
    configure_logging(level="debug" if arguments.verbose else "warning")
    config = load_config(arguments.config, arguments.overrides)
    matchers, reader = make_matchers(config, _folder(arguments)), make_reader(config, _folder(arguments))
    files = find_files(arguments.files)
    console = Console()
    bad = False
    every = []
    for findings in inspect_files(files, config, reader):
        bad = bad or "rejected" in findings.document
        if arguments.json:
            print_json(findings.document, indent=None)
        else:
            show(findings, console)
        every.append(findings.without_document())
    if any(found.alerts for found in every) and any(found.notices for found in every):
        explained = explain_findings(every, files, config, matchers)
        if arguments.json:
            print_json({"pairs": None if explained is None else [asdict(one) for one in explained]}, indent=None)
        else:
            console.print(explanation_table(explained))
    if arguments.plot:
        with writing(arguments.plot):
            draw_findings(arguments.plot, every)
    return 1 if bad else 0


def simulate(arguments: Namespace) -> int:
    """``starcross simulate``."""
    configure_logging(level="debug" if arguments.verbose else "warning")
    if arguments.out:
        with writing(arguments.out):
            simulate_night(arguments.seed).write(arguments.out)
        Console().print(f"simulated nights: {arguments.out}", markup=False)
        return 0
    config = load_config(arguments.config, (*DEMO_SETTINGS, *arguments.overrides))
    matchers, reader = make_matchers(config, _folder(arguments)), make_reader(config, _folder(arguments))
    report = asyncio.run(
        load_test(config, matchers, reader, seed=arguments.seed, alerts_per_s=arguments.rate, seconds=arguments.seconds)
    )
    if arguments.json:
        print_json(asdict(report))
    else:
        Console().print(summary_table(asdict(report)))
    return 0


def check(arguments: Namespace) -> int:
    """``starcross check``; 1 if a connection failed."""
    configure_logging(level="debug" if arguments.verbose else "warning")
    config = load_config(arguments.config, arguments.overrides)
    plan = Plan.of(config, _folder(arguments))
    make_reader(config, plan.folder)
    tried = asyncio.run(try_connections(plan)) if arguments.connect else []
    if arguments.json:
        print_json(config.model_dump(mode="json") | ({"connections": [asdict(one) for one in tried]} if tried else {}))
    else:
        named = {"matchers": [m.name for m in plan.matchers], "sources": plan.sources, "sinks": plan.sinks}
        named["catalogues"] = plan.catalogues
        shown = arguments.config or "the defaults"
        parts = "; ".join(f"{what}: {', '.join(names)}" for what, names in named.items() if names)
        Console().print(f"{shown}: valid; configuration {config.fingerprint()}; {parts}", soft_wrap=True, markup=False)
        if tried:
            Console().print(connection_table(tried))
    return 1 if any(one.trouble for one in tried) else 0


def store(arguments: Namespace) -> int:
    """``starcross store``; 1 if a check found something wrong."""
    configure_logging(level="debug" if arguments.verbose else "warning")
    return run_store(arguments)


def bench(arguments: Namespace) -> int:
    """``starcross bench``."""
    configure_logging(level="debug" if arguments.verbose else "warning")
    with progress_bar(verbose=arguments.verbose) as progress:
        report = run_benchmarks(arguments.names, progress, full=arguments.full)
    if arguments.json:
        print_json(report.document())
    else:
        Console().print(bench_tables(report))
    if arguments.plot:
        with writing(arguments.plot):
            draw_cost(arguments.plot, report.measurements)
    return 0


def _folder(arguments: Namespace) -> Path:
    """Where relative paths of the configuration start."""
    return arguments.config.parent if arguments.config else Path()


def _author(config: Config) -> VoeventAuthor:
    return VoeventAuthor(**config.voevent.model_dump())


def _draw(path: Path, outcome: Outcome, title: str, progress: Progress) -> None:
    progress.begin("drawing", 1)
    ra_deg = np.concatenate([np.empty(0), *(alerts.ra_deg for alerts in outcome.alerts.values())])
    dec_deg = np.concatenate([np.empty(0), *(alerts.dec_deg for alerts in outcome.alerts.values())])
    draw_sky(path, (ra_deg, dec_deg), outcome.triggers, outcome.coincidences, title)
    progress.advance(1)


def _show_outcome(console: Console, outcome: Outcome, out: Path) -> None:
    console.print(summary_table(outcome.summary))
    console.print(coincidence_table(outcome.coincidences))
    console.print(f"Results: {out}", markup=False)
