"""The benchmarks' command: what it says, not how fast anything is."""

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from rich.console import Console

from broker import benchmarks
from broker.__main__ import BENCHMARKS
from broker.benchmarks import NAMES, BenchReport, Measurement, describe_machine
from broker.costplot import Panel, draw_cost, lines_of_several_sizes
from broker.replay import Progress
from broker.tables import bench_tables
from schemas.errors import ConfigurationError
from tests.bench import bench_decode, bench_live
from tests.bench.rows import row_of_ms, row_of_rates
from tests.children import unmeasured
from tests.e2e.conftest import run

ONE = Measurement("live", "find", "100 alerts, 7 rows", 100, "ms", 2.0, 1.0, 4.0, "plainly", 6.0, 3.0, 32.0)


@pytest.fixture
def tiny(monkeypatch):
    """Decoding of few packets, and of the other kinds nothing but rows."""
    monkeypatch.setattr(bench_decode, "decode", lambda *, full: bench_decode._of(16 if full else 8, 1, 2))
    rows = [
        row_of_ms("change", "5 windows", [0.25]),
        row_of_rates("match", "10 windows", 9, [1.0, 2.0]),
        row_of_rates("match", "5 windows", 9, [1.0], baseline="plainly", baseline_median=3.0),
    ]
    monkeypatch.setattr(bench_live, "live", lambda *, full: rows[: 3 if full else 2])


def shown(report):
    console = Console(width=80, file=io.StringIO())
    console.print(bench_tables(report))
    return console.file.getvalue()


def test_the_command_offers_all_benchmarks():
    assert BENCHMARKS == NAMES
    for name in NAMES:
        assert callable(getattr(benchmarks._load(name), name))


@pytest.mark.usefixtures("tiny")
def test_json_tells_the_machine_and_each_figure_next_to_its_baseline():
    ran = run("bench", "live", "decode", "--json", "--full")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert document["machine"]["cores"] == os.cpu_count()
    assert document["machine"]["python"] == ".".join(map(str, sys.version_info[:3]))
    figures = document["measurements"]
    assert [one["benchmark"] for one in figures] == ["decode"] * 8 + ["live"] * 3
    for one in figures[:8]:
        assert one["size"].startswith("16 packets of ")
        assert one["amount"] == 16
        assert one["baseline"].startswith("fastavro, ")
        assert one["ratio"] == pytest.approx(one["median"] / one["baseline_median"])
    assert figures[8]["ratio"] is None
    assert figures[8]["median"] == 250
    assert figures[10]["ratio"] == 3


@pytest.mark.usefixtures("tiny")
def test_the_table_holds_the_chosen_benchmark_only():
    ran = run("bench", "live")
    assert ran.code == 0, ran.err
    assert "match" in ran.out
    assert "fastavro" not in ran.out
    assert "walker compiled" in ran.out


def test_a_table_of_80_columns_says_everything():
    words = shown(BenchReport(describe_machine(), {}, (ONE, replace(ONE, ratio=None, baseline_median=None)))).split()
    assert {"find", "32", "plainly:", "6.00", "3.00", "2.00"} <= set(words)
    assert "Not" not in words


@pytest.mark.parametrize(
    ("value", "figure"), [(0, "0"), (0.01234, "0.0123"), (9.999, "10.00"), (123.4, "123"), (1234567, "1,230,000")]
)
def test_figures_have_three_digits(value, figure):
    report = BenchReport(describe_machine(), {}, (replace(ONE, median=value, bytes_an_alert=None),))
    assert f" {figure} ms" in shown(report)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("is_there", [False, True])
def test_a_missing_baseline_is_told_with_the_way_to_install_it(monkeypatch, is_there):
    monkeypatch.setattr(bench_live, "NEEDED", {"another library": ("json" if is_there else "surely_not_there",)})
    document = json.loads(run("bench", "live", "--json").out)
    assert document["missing"] == ({} if is_there else {"another library": "surely_not_there"})
    assert document["install"] == (None if is_there else "pip install 'starcross[bench]'")
    said = " ".join(run("bench", "live").out.split())
    asked = "Not compared with another library, which needs surely_not_there: pip install 'starcross[bench]'"
    assert (asked in said) != is_there


def test_without_the_source_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(benchmarks, "PROJECT", tmp_path)
    ran = run("bench")
    assert ran.code == 2
    assert "tests/bench of Starcross's source, which is not at hand" in " ".join(ran.err.split())


def test_an_unknown_benchmark_is_a_wrong_call():
    ran = run("bench", "decode", "speed")
    assert ran.code == 2
    assert (
        "expected one of decode, whole, live, retro, ingest, notice, replay, burst, restart, http (given: speed)"
        in " ".join(ran.err.split())
    )


def test_it_finds_the_benchmarks_from_any_folder_and_leaves_the_path_as_it_was(tmp_path):
    script = """if True:
        import sys
        from broker import benchmarks
        before = list(sys.path)
        assert "tests" not in sys.modules
        print(benchmarks._load("decode").__file__, before == sys.path)
    """
    said = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=unmeasured() | {"PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert said == [str(benchmarks.PROJECT / "tests/bench/bench_decode.py"), "True"]


def test_processes_that_a_benchmark_starts_find_it_too(monkeypatch):
    found = []
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in {"", str(benchmarks.PROJECT)}])
    monkeypatch.setattr(bench_decode, "decode", lambda **_: found.append(list(sys.path)) or [])
    before = list(sys.path)
    benchmarks.run_benchmarks(["decode"], Progress(), full=False)
    assert str(benchmarks.PROJECT) in found[0]
    assert sys.path == before


@pytest.mark.usefixtures("tiny")
def test_the_plot_has_a_line_for_what_has_several_sizes(tmp_path):
    assert run("bench", "live", "--full", "--plot", tmp_path / "cost.png").code == 0
    assert (tmp_path / "cost.png").read_bytes().startswith(b"\x89PNG")
    larger = replace(ONE, size="200 alerts, 9 rows", amount=200)
    several = lines_of_several_sizes([larger, ONE, replace(ONE, unit="alerts/s"), replace(ONE, name="other")])
    assert several == {(Panel("live", "ms", "alerts"), "find"): [ONE, larger]}


def test_two_figures_of_one_size_are_no_line(tmp_path):
    with pytest.raises(ConfigurationError, match="several sizes"):
        draw_cost(tmp_path / "no.png", [ONE, ONE])
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("tiny")
def test_a_plot_that_cannot_be_written_is_a_wrong_call(tmp_path):
    ran = run("bench", "live", "--full", "--plot", tmp_path / "none/cost.png")
    assert ran.code == 2
    assert "cannot be written" in ran.err


def test_the_machine_is_told_where_the_system_tells_little(tmp_path, monkeypatch):
    listing = tmp_path / "cpuinfo"
    listing.write_text("processor : 0\nmodel name\t: Some CPU: fast\nmodel name\t: Another\n")
    assert benchmarks._cpu(listing) == "Some CPU: fast"
    listing.unlink()
    assert benchmarks._cpu(listing)
    with contextlib.suppress(AttributeError):
        monkeypatch.delattr(os, "sysconf")
    assert benchmarks._memory_gib() is None
    monkeypatch.delattr(os, "getloadavg", raising=False)
    assert describe_machine().load is None
