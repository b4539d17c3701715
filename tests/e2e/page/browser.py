"""Playwright, if it is installed; whoever imports this is skipped without it, but in CI, where it must be there."""

import importlib.util
import os

import pytest

IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}

if importlib.util.find_spec("playwright") is None and not IN_CI:
    pytest.skip("Playwright is not installed (pip install playwright)", allow_module_level=True)

from playwright.sync_api import expect, sync_playwright  # noqa: E402 - only where it is

__all__ = ["IN_CI", "expect", "sync_playwright"]
