"""Playwright, if it is installed; whoever imports this is skipped without it, but in CI, where it must be there."""

import importlib.util

import pytest

from tests.missing import IN_CI

if importlib.util.find_spec("playwright") is None and not IN_CI:
    pytest.skip("Playwright is not installed (pip install playwright)", allow_module_level=True)

from playwright.sync_api import expect, sync_playwright

__all__ = ["expect", "sync_playwright"]
