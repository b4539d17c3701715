"""``starcross calibrate``: what is claimed against the truth."""

import multiprocessing
from argparse import Namespace
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

from rich.console import Console

from bridges.files import find_files
from broker.calibration.pairs import compare_pairs
from broker.calibration.plots import draw_calibration
from broker.calibration.report import PairReport, SimulatedReport, report_of_weeks
from broker.calibration.scrambling import search_scrambled
from broker.calibration.searched import Searched
from broker.calibration.tables import Report, calibration_tables
from broker.calibration.weeks import WEEKS_A_SPAN, plan_of, search_span
from broker.config import Config, load_config
from broker.demonstration import DEMO_SETTINGS
from broker.inputs import Inputs, read_inputs
from broker.log import configure_logging
from broker.reader import make_reader
from broker.replay import MIB, Progress
from broker.terminal import print_json, progress_bar, writing
from schemas.errors import ConfigurationError

_SPAN_SEED_SHIFT: Final = 32


def calibrate(arguments: Namespace) -> int:
    """The command; 1 if something that was claimed does not hold."""
    configure_logging(level="debug" if arguments.verbose else "warning")
    if bool(arguments.alerts) != bool(arguments.notices):
        raise ConfigurationError("calibrate: --alerts and --notices belong together")
    if arguments.alerts and arguments.pairs:
        raise ConfigurationError("calibrate: --pairs needs notices alone, without --alerts and --notices")
    with progress_bar(verbose=arguments.verbose) as progress:
        report = _report(arguments, progress)
    if arguments.json:
        print_json(report.document())
    else:
        Console().print(calibration_tables(report))
    if arguments.plot:
        with writing(arguments.plot):
            draw_calibration(arguments.plot, report)
    return 0 if all(report.acceptance.values()) else 1


def _report(arguments: Namespace, progress: Progress) -> Report:
    folder = arguments.config.parent if arguments.config else Path()
    if arguments.pairs:
        config = load_config(arguments.config, arguments.overrides)
        return PairReport.told(compare_pairs(_read(config, folder, [], arguments.pairs, progress)))
    if arguments.alerts:
        config = load_config(arguments.config, arguments.overrides)
        inputs = _read(config, folder, arguments.alerts, arguments.notices, progress)
        return search_scrambled(config, folder, inputs, seed=arguments.seed, copies=arguments.copies, progress=progress)
    config = load_config(arguments.config, (*DEMO_SETTINGS, *arguments.overrides))
    return calibrate_weeks(config, folder, arguments.weeks, arguments.seed, arguments.jobs, progress)


def calibrate_weeks(
    config: Config, folder: Path, weeks: int, seed: int, jobs: int, progress: Progress
) -> SimulatedReport:
    """Simulate and search so many weeks, rounded up to whole spans, in so many processes.

    The processes make no difference to the result.
    """
    spans = -(-weeks // WEEKS_A_SPAN)
    searched: list[Searched] = []
    progress.begin("weeks", spans)
    for of_span in _spans(config, folder, spans, seed, jobs):
        searched += of_span
        progress.advance(1)
    return report_of_weeks(searched, spans * WEEKS_A_SPAN, seed)


def _spans(config: Config, folder: Path, spans: int, seed: int, jobs: int) -> Iterator[list[Searched]]:
    asked = [(config, folder, seed + (span << _SPAN_SEED_SHIFT), plan_of(span)) for span in range(spans)]
    if jobs == 1:
        yield from (search_span(*one) for one in asked)
        return
    # Forking a process that has threads, as those of numpy's libraries, may hang the child.
    executor = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))
    try:
        for future in [executor.submit(search_span, *one) for one in asked]:
            yield future.result()
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _read(config: Config, folder: Path, alerts: list[Path], notices: list[Path], progress: Progress) -> Inputs:
    alert_files, notice_files = find_files(alerts), find_files(notices)
    progress.begin("reading", sum(file.size for file in (*alert_files, *notice_files)))
    return read_inputs(
        alert_files,
        notice_files,
        make_reader(config, folder),
        bytes_max=config.replay.message_mib * MIB,
        on_progress=progress.advance,
    )
