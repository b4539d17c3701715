"""Every metric is named by the rule, explained, and measures."""

import re

import pytest
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from bridges.vtp_in.handover import Outcome
from broker.metrics import METRICS, Metrics
from tests.pages import code, first_cells, tables, text_of


@pytest.mark.parametrize("name", METRICS)
def test_names_follow_the_rule(name):
    kind = METRICS[name].kind
    assert re.fullmatch(r"starcross(_[a-z]+)+", name)
    assert name.endswith("_total") == (kind is Counter)
    assert kind is not Histogram or name.endswith(("_seconds", "_bytes"))
    assert not re.search(r"_(ms|us|s|kb|mb|mib|minutes|hours|count)(_total)?$", name)
    assert METRICS[name].tells.endswith(".")


def test_every_metric_is_documented_with_its_labels():
    documented = {
        code(row[0])[0]: tuple(code(row[1])) for row in tables("docs/metrics.md")["All metrics"] if "_" in row[0]
    }
    documented = {name: labels for name, labels in documented.items() if name.startswith("starcross_")}
    assert documented == {name: row.labels for name, row in METRICS.items()}


def test_every_outcome_over_vtp_is_documented():
    cells = first_cells("docs/metrics.md", "All metrics")
    assert {str(outcome) for outcome in Outcome} == {cell for cell in cells if not cell.startswith("starcross_")}


def test_the_alarms_are_about_metrics_that_exist():
    named = set(re.findall(r"starcross_[a-z_]+[a-z]", text_of("docs/metrics.md").partition("What to be woken for")[2]))
    assert named
    assert named <= set(METRICS)


def test_each_can_be_measured_and_read():
    metrics = Metrics()
    for name, row in METRICS.items():
        labels = dict.fromkeys(row.labels, "x")
        if row.kind is Counter:
            metrics.add(name, 2, **labels)
            assert metrics.value(name, **labels) == 2
        elif row.kind is Gauge:
            metrics.set(name, 2.5, **labels)
            assert metrics.value(name, **labels) == 2.5
        else:
            metrics.observe(name, 0.2, **labels)
            assert metrics.value(f"{name}_count", **labels) == 1
    families = {family.name for family in text_string_to_metric_families(metrics.page().decode())}
    assert {name.removesuffix("_total") for name in METRICS} <= families
    assert "process_resident_memory_bytes" in families or "python_info" in families


def test_a_counter_that_nothing_was_added_to_is_not_shown():
    metrics = Metrics()
    metrics.add("starcross_rejected_total", 0, source="x", reason="empty")
    assert metrics.value("starcross_rejected_total", source="x", reason="empty") is None


def test_gauges_are_set_when_somebody_looks():
    looked = []

    def refresh(metrics):
        looked.append(None)
        metrics.set("starcross_triggers", len(looked))

    metrics = Metrics(refresh)
    metrics.refresh = refresh
    before = len(looked)
    assert f"starcross_triggers {float(before + 1)}" in metrics.page().decode().splitlines()
