"""The page in a real browser, where Chromium and Playwright are installed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the service is not installed")

from legodnn import Runtime, Store
from legodnn.runtime.serving.service import ServiceSettings
from tests.runtime.serving.served import Client, served

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@pytest.fixture
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


def test_a_moved_slider_changes_the_plan_and_the_token_is_asked_for(tiny_store: Store, browser: Any) -> None:
    errors: list[str] = []
    with (
        Runtime.open([tiny_store.path]) as runtime,
        served(runtime, ServiceSettings(token="s3cret", governed=False)) as client,
    ):
        known = Client(client.port, {"Authorization": "Bearer s3cret"})
        x = np.zeros(tiny_store.manifest.inputs[0].shape, np.float32)
        assert known.infer("tiny", x.tobytes(), "application/octet-stream").status == 200
        page = browser.new_page(viewport={"width": 390, "height": 900})
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"http://127.0.0.1:{client.port}/")
        page.wait_for_selector("#login:not([hidden])")
        page.fill("#token", "wrong")
        page.click("#login button")
        page.wait_for_selector("#login:not([hidden])")
        page.fill("#token", "s3cret")
        page.click("#login button")
        page.wait_for_selector(".block")
        page.wait_for_selector("text=1 served")
        whole = runtime.plan
        page.locator("#limit-memory").fill("0")
        page.wait_for_function("document.getElementById('problem').textContent.includes('would do')")
        assert runtime.plan == whole, "what cannot be held changes nothing"
        page.locator("#limit-memory").fill("990")
        page.wait_for_function("document.getElementById('problem').textContent === ''")
        page.wait_for_function("document.getElementById('state').textContent.includes('memory')")
        assert runtime.plan.memory_bytes <= whole.memory_bytes
        assert runtime.budget.memory_bytes is not None
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, "nothing is cut off on a phone"
    assert not errors
