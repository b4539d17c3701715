"""The units for systemd: their command lines are ours, their hardening holds, and the two are one."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from broker.__main__ import build_parser
from tests.conftest import PROJECT

UNITS = ["starcross.service", "starcross@.service"]
HIGHEST_EXPOSURE = 1.5
PER_INSTANCE = {"Description", "ExecStartPre", "ExecStart", "ExecReload", "StateDirectory", "WorkingDirectory"}


def directives(unit: str) -> list[tuple[str, str, str]]:
    """Section, key and value of each line."""
    found, section = [], ""
    for line in (PROJECT / "systemd" / unit).read_text(encoding="utf-8").splitlines():
        if re.fullmatch(r"\[\w+\]", line):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, equals, value = line.partition("=")
            assert equals, f"{unit}: {line}"
            found.append((section, key, value))
    return found


def values(unit: str, key: str) -> list[str]:
    return [value for _, name, value in directives(unit) if name == key]


@pytest.mark.parametrize("unit", UNITS)
def test_its_command_lines_are_ours(unit):
    commands = [value for key in ("ExecStartPre", "ExecStart", "ExecReload") for value in values(unit, key)]
    ours = [shlex.split(command) for command in commands if "starcross" in Path(shlex.split(command)[0]).name]
    assert [words[1] for words in ours] == ["check", "run", "check"]
    configurations = set()
    for words in ours:
        arguments = build_parser().parse_args(words[1:])
        configurations.add(arguments.config)
    assert len(configurations) == 1
    assert "/bin/kill -HUP $MAINPID" in commands


@pytest.mark.parametrize("unit", UNITS)
def test_what_the_service_relies_on(unit):
    assert values(unit, "Type") == ["notify"]
    assert float(values(unit, "WatchdogSec")[0]) >= 10
    assert values(unit, "Restart") == ["on-failure"]
    assert values(unit, "RestartPreventExitStatus") == ["2"]  # a wrong configuration, as `starcross --help` has it
    assert values(unit, "StateDirectory")[0] in values(unit, "WorkingDirectory")[0]
    (credential,) = values(unit, "LoadCredential")
    assert f'credential = "{credential.partition(":")[0]}"' in (PROJECT / "systemd" / unit).read_text(encoding="utf-8")


def test_the_units_differ_only_in_the_instance():
    one, many = ([entry for entry in directives(unit) if entry[1] not in PER_INSTANCE] for unit in UNITS)
    assert one == many
    for key in PER_INSTANCE - {"Description"}:
        assert all("%i" in value or "MAINPID" in value for value in values(UNITS[1], key)), key


@pytest.fixture
def systemd_analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("there is no systemd-analyze here")
    supports = subprocess.run([found, "security", "--help"], capture_output=True, text=True, check=False).stdout
    if "--offline" not in supports:
        pytest.skip("this systemd-analyze is older than 250 and knows no --offline")
    return found


@pytest.mark.parametrize("unit", UNITS)
def test_the_exposure_is_low(unit, systemd_analyze):
    command = [systemd_analyze, "security", "--offline=true", "--no-pager", f"--threshold={int(10 * HIGHEST_EXPOSURE)}"]
    done = subprocess.run([*command, PROJECT / "systemd" / unit], capture_output=True, text=True, check=False)
    exposure = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert exposure, done.stdout + done.stderr
    assert float(exposure[1]) <= HIGHEST_EXPOSURE
    assert done.returncode == 0


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_understands_every_line(unit, systemd_analyze, tmp_path):
    """With a command in the place of ours, which is not installed here."""
    text = (PROJECT / "systemd" / unit).read_text(encoding="utf-8").replace("/opt/starcross/bin/starcross", "/bin/true")
    name = unit.replace("@", "@one")
    (tmp_path / name).write_text(text, encoding="utf-8")
    done = subprocess.run([systemd_analyze, "verify", tmp_path / name], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if name in line]
    assert said == [], done.stderr
