"""The command ``starcross``."""

import argparse
import gc
import math
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich_argparse import RawDescriptionRichHelpFormatter

from schemas.errors import ConfigurationError

EXIT_CODES = """exit codes:
  0    it ran; inputs that could not be read are reported and do not change this
  1    a failure of starcross itself (inspect: an input that could not be read; check: a connection that failed;
       calibrate: a claim that does not hold; upload, watch: the server refused, or cannot be reached)
  2    a wrong call or configuration
  130  interrupted by Ctrl-C (run and watch end with 0, as run does on SIGTERM)
"""


def build_parser() -> argparse.ArgumentParser:
    """The whole command line, as one parser."""
    parser = argparse.ArgumentParser(
        prog="starcross",
        description="Finds, ranks and publishes coincidences of optical survey alerts with gamma-ray bursts,\n"
        "neutrinos, X-ray transients and gravitational waves.",
        epilog=EXIT_CODES,
        formatter_class=RawDescriptionRichHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('starcross')}")
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    _add_demo(actions)

    replay = _command(
        actions,
        "replay",
        "play past alerts and notices and write their coincidences",
        "example:\n  starcross replay --alerts ztf_public_20200107.tar.gz --notices voevents/ --out found --plot",
    )
    _add_config(replay)
    _add_inputs(replay)
    _add_out(replay, None)
    replay.add_argument("--plot", action="store_true", help="also draw sky.png")
    replay.add_argument("--json", action="store_true", help="print the summary as JSON instead of tables")

    run = _command(
        actions,
        "run",
        "run the service: live streams in, coincidences out, until it is told to stop",
        "SIGTERM and Ctrl-C end it cleanly, SIGHUP has it read its configuration again.\n\n"
        "example:\n  starcross run config/examples/laptop.toml",
    )
    run.add_argument("config", type=Path, metavar="CONFIG", help="a TOML file")
    run.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides", help=_SET_HELP)

    inspect = _command(
        actions,
        "inspect",
        "show what starcross understands of any packet, notice or sky map, and why alerts do not match",
        "Of alerts and notices together it says what speaks against each pair: a cut,\n"
        "the time, the region, or that the object is not new.\n\n"
        "examples:\n  starcross inspect notice.xml\n  starcross inspect packet.avro notice.xml\n"
        "  starcross inspect --json night.tar.gz | jq .\n"
        "  starcross inspect bayestar.multiorder.fits --plot map.png",
    )
    _add_config(inspect)
    inspect.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a file, folder or tar archive")
    inspect.add_argument("--json", action="store_true", help="print JSON, one line for each input")
    inspect.add_argument("--plot", type=Path, metavar="PNG", help="draw what was read on the sky")

    simulate = _command(
        actions,
        "simulate",
        "write the simulated nights as files, or put them through the engine at a set rate",
        "examples:\n  starcross simulate --out nights --seed 7\n  starcross simulate --rate 1000 --seconds 10",
    )
    _add_config(simulate)
    goal = simulate.add_mutually_exclusive_group(required=True)
    goal.add_argument("--out", type=Path, metavar="DIR", help="write alerts/, notices/ and truth.json there")
    goal.add_argument("--rate", type=rate, metavar="ALERTS_PER_S", help="load test: alerts a second; 0 for no limit")
    simulate.add_argument(
        "--seconds", type=duration, default=10.0, help="how long a load test lasts (default: %(default)s)"
    )
    simulate.add_argument("--json", action="store_true", help="print the load test's figures as JSON")
    simulate.add_argument("--seed", type=seed, default=1, help="seed of the simulation (default: %(default)s)")

    check = _command(actions, "check", "check a configuration, and print it with --json")
    check.add_argument("config", type=Path, nargs="?", metavar="CONFIG", help="a TOML file; without it, the defaults")
    check.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides", help=_SET_HELP)
    check.add_argument(
        "--connect", action="store_true", help="also try every connection: brokers, registries, ports, the store"
    )
    check.add_argument("--json", action="store_true", help="print JSON")

    store = _command(
        actions,
        "store",
        "tell what is in a store, check it, compact it, or take something out of it",
        "Reading is safe while the service runs; compact needs the store for itself.\n\n"
        "examples:\n  starcross store /var/lib/starcross/store\n  starcross store DIR check\n"
        "  starcross store DIR export --night 2026-11-20 --out night.parquet\n"
        "  starcross store DIR quarantine --reason truncated --out messages",
    )
    store.add_argument("folder", type=Path, metavar="DIR", help="folder of the store")
    store.add_argument(
        "action", nargs="?", choices=STORE_ACTIONS, default=STORE_ACTIONS[0], help="what to do (default: %(default)s)"
    )
    store.add_argument("--json", action="store_true", help="print JSON instead of tables")
    store.add_argument("--night", metavar="DATE", help="export: the date on which the night began (18 h UTC)")
    store.add_argument("--out", type=Path, metavar="PATH", help="export: Parquet file; quarantine: folder of messages")
    store.add_argument("--reason", metavar="REASON", help="quarantine: only what was rejected for it")
    store.add_argument("--substream", metavar="NAME", help="capped: only of this substream")

    _add_calibrate(actions)

    _add_remote_commands(actions)

    bench = _command(
        actions,
        "bench",
        "measure how fast this machine reads, matches and stores alerts, next to other libraries",
        "examples:\n  starcross bench\n  starcross bench decode live\n  starcross bench --full --plot cost.png",
    )
    bench.add_argument(
        "names", nargs="*", type=benchmark, metavar="NAME", help=f"{', '.join(BENCHMARKS)}; without it, all"
    )
    bench.add_argument("--full", action="store_true", help="larger sizes: minutes, and 7 GB of memory")
    bench.add_argument("--json", action="store_true", help="print the figures as JSON instead of tables")
    bench.add_argument("--plot", type=Path, metavar="PNG", help="draw cost against size")
    return parser


STORE_ACTIONS = ("status", "check", "compact", "export", "quarantine", "capped")
TOKEN_ACTIONS = ("make", "list", "revoke")
SCOPES = ("read", "upload", "admin")
MODULES = dict.fromkeys(("upload", "watch", "token"), "broker.remote") | {
    "run": "broker.running",
    "calibrate": "broker.calibration.command",
}
"""Where a command lies that is not in `broker.commands`: the service loads nothing that it does not need."""
BENCHMARKS = ("decode", "whole", "live", "retro", "ingest", "notice", "replay", "burst", "restart", "http")
_SET_HELP = "override a configuration key, as in --set cuts.enabled=false; may be given again"


def _command(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    summary: str,
    epilog: str = "",
) -> argparse.ArgumentParser:
    parser = actions.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=epilog or None,
        formatter_class=RawDescriptionRichHelpFormatter,
    )
    parser.set_defaults(command=name)
    parser.add_argument("--verbose", action="store_true", help="log in detail; show where an internal failure happened")
    return parser


def _add_demo(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    demo = _command(
        actions,
        "demo",
        "simulate a week of nights, search it, and show what was found",
        "On a terminal it then serves the page, on which such nights come in, until Ctrl-C.\n\n"
        "examples:\n  starcross demo\n  starcross demo --serve --port 8080",
    )
    _add_out(demo, Path("starcross-demo"))
    served = demo.add_mutually_exclusive_group()
    served.add_argument(
        "--serve",
        action="store_true",
        default=None,
        help="serve the page at once, without the search (default: after the search, on a terminal)",
    )
    served.add_argument("--no-serve", action="store_false", dest="serve", help="only search")
    demo.add_argument("--port", type=port, default=0, metavar="PORT", help="where to serve (default: a free port)")
    demo.add_argument("--seed", type=seed, default=1, help="seed of the simulation (default: %(default)s)")


def _add_calibrate(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    calibrate = _command(
        actions,
        "calibrate",
        "compare what is claimed with the truth: simulated weeks, scrambled triggers, pairs of observatories",
        "Without inputs it simulates weeks, in which the truth is known. Of alerts and notices it scrambles the\n"
        "triggers, so that none is true. Of pairs it takes Swift's positions of Fermi's bursts for the truth.\n\n"
        "examples:\n  starcross calibrate --weeks 100 --plot calibration.png\n"
        "  starcross calibrate --alerts nights/ --notices voevents/ --copies 20\n"
        "  starcross calibrate --pairs voevents/ --json",
    )
    _add_config(calibrate)
    calibrate.add_argument(
        "--weeks", type=whole, default=52, help="weeks to simulate, in steps of four (default: %(default)s)"
    )
    calibrate.add_argument(
        "--seed", type=seed, default=1, help="the same gives the same numbers (default: %(default)s)"
    )
    calibrate.add_argument(
        "--jobs", type=whole, default=os.cpu_count() or 1, help="processes that simulate (default: one a core)"
    )
    calibrate.add_argument("--alerts", type=Path, nargs="+", default=[], metavar="PATH", help="survey packets")
    calibrate.add_argument(
        "--notices", type=Path, nargs="+", default=[], metavar="PATH", help="notices, whose triggers are scrambled"
    )
    calibrate.add_argument(
        "--copies", type=whole, default=10, help="how often each trigger is scrambled (default: %(default)s)"
    )
    calibrate.add_argument(
        "--pairs",
        type=Path,
        nargs="+",
        default=[],
        metavar="PATH",
        help="notices of Fermi and Swift of the same bursts",
    )
    calibrate.add_argument("--json", action="store_true", help="print the figures as JSON instead of tables")
    calibrate.add_argument("--plot", type=Path, metavar="PNG", help="draw them")


def _add_remote_commands(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """What is asked of a service that runs."""
    upload = _command(
        actions,
        "upload",
        "give a sky map to a running service, and show its counterparts so far",
        "The token, where one is needed, is read from STARCROSS_TOKEN or from --token-file.\n\n"
        "examples:\n  starcross upload bayestar.multiorder.fits --server https://starcross.example.org\n"
        "  starcross upload better.fits --replace 0123456789abcdef",
    )
    upload.add_argument("file", metavar="FILE", help="a sky map (FITS, MOC), or the URL of one on an allowed host")
    upload.add_argument("--replace", metavar="ID", help="put it in place of an uploaded map")
    upload.add_argument("--name", metavar="NAME", help="what to call it; by default what the file says")
    upload.add_argument("--trigger-time", metavar="UTC", help="instant of the event; by default what the file says")
    upload.add_argument("--messenger", metavar="WORD", help="what carried the news (default: gravitational-wave)")
    upload.add_argument("--before-s", type=float, metavar="S", help="the window begins so long before (default: 0)")
    upload.add_argument("--after-d", type=float, metavar="D", help="the window ends so long after (default: 20)")
    upload.add_argument("--level", type=float, metavar="P", help="probability of the searched region (default: 0.9)")
    upload.add_argument("--known-objects", action="store_true", help="also objects that were detected before")
    upload.add_argument("--private", action="store_true", help="only its owner sees it and its coincidences")
    _add_server(upload)

    watch = _command(
        actions,
        "watch",
        "follow the coincidences of a running service, until Ctrl-C",
        "When the connection is lost it is made anew, and nothing is missed.\n\n"
        "examples:\n  starcross watch --where 'statistics.posterior > 0.5'\n"
        "  starcross watch --skymap 0123456789abcdef --json",
    )
    watch.add_argument("--where", metavar="CONDITION", help="only what meets a condition, as substreams have them")
    only = watch.add_mutually_exclusive_group()
    only.add_argument("--trigger", metavar="ID", help="only of this trigger")
    only.add_argument("--skymap", metavar="ID", help="only of this uploaded sky map")
    watch.add_argument("--since", metavar="ID.rREVISION", help="begin with what came after this revision")
    _add_server(watch)

    token = _command(
        actions,
        "token",
        "make, list and revoke the tokens with which people and programs use a service",
        "examples:\n  starcross token --config my.toml make --owner ada --scope read --scope upload --days 365\n"
        "  starcross token --config my.toml list\n  starcross token --config my.toml revoke --id 0123456789ab",
    )
    _add_config(token)
    token.add_argument("action", nargs="?", choices=TOKEN_ACTIONS, default="list", help="what to do (default: list)")
    token.add_argument("--owner", metavar="NAME", help="make: whose it is")
    token.add_argument(
        "--scope", action="append", choices=SCOPES, help="make: what it allows; may be given again (default: read)"
    )
    token.add_argument("--days", type=float, metavar="DAYS", help="make: how long it lasts; without it, for ever")
    token.add_argument("--id", metavar="ID", help="revoke: which one")
    token.add_argument("--json", action="store_true", help="print JSON")


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration (TOML); without it, the defaults")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides", help=_SET_HELP)


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--alerts",
        type=Path,
        nargs="+",
        required=True,
        metavar="PATH",
        help="survey packets: files, folders, tar archives",
    )
    parser.add_argument(
        "--notices",
        type=Path,
        nargs="+",
        required=True,
        metavar="PATH",
        help="notices, and the sky maps that they link to: files, folders, tar archives",
    )


def _add_server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--server", metavar="URL", default="http://127.0.0.1:8080", help="the service (default: %(default)s)"
    )
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="file that holds the token")
    parser.add_argument("--json", action="store_true", help="print JSON")


def seed(text: str) -> int:
    """A seed, 0 or more."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"expected 0 or more (given: {text})")
    return number


def port(text: str) -> int:
    """A port, 0 for a free one."""
    number = int(text)
    if not 0 <= number < 1 << 16:
        raise argparse.ArgumentTypeError(f"expected 0 to 65535 (given: {text})")
    return number


def whole(text: str) -> int:
    """A whole number, 1 or more."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more (given: {text})")
    return number


def rate(text: str) -> float:
    """A number a second, 0 or more."""
    number = float(text)
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"expected 0 or more (given: {text})")
    return number


def duration(text: str) -> float:
    """Seconds, more than 0."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"expected more than 0 (given: {text})")
    return number


def benchmark(text: str) -> str:
    """The name of a benchmark."""
    if text not in BENCHMARKS:
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(BENCHMARKS)} (given: {text})")
    return text


def _add_out(parser: argparse.ArgumentParser, default: Path | None) -> None:
    shown = f" (default: {default})" if default else ""
    parser.add_argument(
        "--out", type=Path, default=default, required=default is None, metavar="DIR", help=f"folder of results{shown}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    arguments = build_parser().parse_args(argv)
    problems = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        # Imported here, so that --help is quick and Ctrl-C during the import of the libraries ends as cleanly as later.
        gc.disable()  # what is imported is no garbage: to look through it again and again takes a tenth of the time
        commands = import_module(MODULES.get(arguments.command, "broker.commands"))
        gc.enable()
        code: int = getattr(commands, arguments.command)(arguments)
        sys.stdout.flush()
    except ConfigurationError as error:
        problems.print(f"starcross: {error}", style="red", markup=False)
        return 2
    except KeyboardInterrupt:
        problems.print("starcross: interrupted; nothing half-written was left behind", style="yellow")
        return 130
    except BrokenPipeError:  # the reader of our output left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - the last resort: told in one line, with its place on request
        problems.print(f"starcross: internal failure: {type(error).__name__}: {error}", style="red", markup=False)
        where = "".join(traceback.format_exception(error)) if arguments.verbose else "(--verbose shows where)"
        problems.print(where, markup=False)
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main())
