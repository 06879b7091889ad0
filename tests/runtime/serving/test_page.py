"""The page in a real browser, where Chromium and Playwright are installed."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the service is not installed")

from legodnn import Budget, Runtime, Store
from legodnn.runtime.serving.history import History
from legodnn.runtime.serving.service import ServiceSettings
from legodnn.workload import Workload, WorkloadModel
from tests.runtime.opened import least_memory
from tests.runtime.serving.served import Client, served

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


LONG = "x" * 200


@pytest.fixture(scope="module")
def runtime(tiny_store: Store, tiny_store2: Store) -> Iterator[Runtime]:
    models = (
        WorkloadModel(name="tiny", store=str(tiny_store.path)),
        WorkloadModel(name=LONG, store=str(tiny_store2.path), critical=False),
    )
    with Runtime(Workload(models=models)) as opened:
        yield opened


@pytest.fixture
def page(runtime: Runtime, browser: Any) -> Iterator[Any]:
    errors: list[str] = []
    with served(runtime, ServiceSettings(governed=False)) as client:
        opened = browser.new_page(viewport={"width": 360, "height": 900}, base_url=f"http://127.0.0.1:{client.port}")
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.clock.install()
        yield opened
        opened.close()
    runtime.budget = Budget()
    assert not errors


@pytest.fixture(scope="module")
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
        for wrong in ("wrong", "ключ"):
            page.fill("#token", wrong)
            page.click("#login button")
            page.wait_for_selector("text=locked: this is not the token")
            page.reload()
            page.wait_for_selector("text=locked: this is not the token")
        page.fill("#token", "s3cret")
        page.click("#login button")
        page.wait_for_selector(".block")
        page.wait_for_selector("text=1 served")
        whole = runtime.plan
        page.locator("#memory_bytes").fill("0")
        page.wait_for_function("document.getElementById('problem').textContent.includes('would do')")
        assert runtime.plan == whole, "what cannot be held changes nothing"
        page.locator("#memory_bytes").fill("990")
        page.wait_for_function("document.getElementById('problem').textContent === ''")
        page.wait_for_function("document.getElementById('state').textContent.includes('memory')")
        assert runtime.plan.memory_bytes <= whole.memory_bytes
        assert runtime.budget.memory_bytes is not None
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, "nothing is cut off on a phone"
    assert not errors


def has_text(page: Any, identifier: str, text: str) -> None:
    page.wait_for_function(
        "([id, text]) => document.getElementById(id).textContent.includes(text)", arg=[identifier, text]
    )


def test_a_slider_begins_at_the_budget_and_changes_its_own_limit_alone(page: Any, runtime: Runtime) -> None:
    whole = runtime.plan.memory_bytes
    runtime.budget = Budget(memory_bytes=whole, latency_ms={"tiny": 5e4}, quantile=0.9)
    page.goto("/")
    page.wait_for_selector(".block")
    memory, latency = page.locator("#memory_bytes"), page.locator("#latency_ms")
    assert memory.get_attribute("aria-valuetext") == f"at most {whole / 1e6:.2f} MB"
    assert 940 <= int(memory.input_value()) <= 955
    assert latency.get_attribute("aria-valuetext") == "as was asked for by model"
    memory.fill("990")
    has_text(page, "state", f"memory {1.0405 * whole / 1e6:.2f} MB")
    assert runtime.budget == Budget(memory_bytes=runtime.budget.memory_bytes, latency_ms={"tiny": 5e4}, quantile=0.9)
    latency.fill("0")
    has_text(page, "problem", "latency")
    latency.fill("1000")
    has_text(page, "problem", "")
    page.wait_for_function("!Object.keys(wanted).length")
    assert runtime.budget == Budget(memory_bytes=runtime.budget.memory_bytes, quantile=0.9)
    assert memory.get_attribute("aria-valuetext") != "no limit"


def test_what_a_slow_service_is_asked_last_counts(page: Any, runtime: Runtime) -> None:
    held: list[Any] = []
    page.goto("/")
    page.wait_for_selector(".block")
    page.route("**/v1/budget", lambda route: held.append(route) if not held else route.continue_())
    for value in ("980", "960"):
        page.locator("#memory_bytes").fill(value)
        page.wait_for_timeout(300)
    while not held:
        page.wait_for_timeout(20)
    held[0].continue_()
    page.wait_for_function("!Object.keys(wanted).length")
    until = time.monotonic() + 30
    while runtime.budget.memory_bytes != round(runtime.plan.memory_bytes * 1.012) and time.monotonic() < until:
        page.wait_for_timeout(20)
    assert runtime.budget.memory_bytes == round(runtime.plan.memory_bytes * 1.012)
    page.unroute("**/v1/budget")
    page.route("**/v1/budget", lambda route: route.fulfill(status=503, body="too many connections"))
    page.locator("#memory_bytes").fill("970")
    has_text(page, "problem", "move the slider again")


def test_what_is_read_or_pointed_at_stays_and_is_told_once(page: Any, runtime: Runtime) -> None:
    page.goto("/")
    page.wait_for_selector(".block")
    page.evaluate("""() => {
        window.told = 0;
        window.block = document.querySelector(".block");
        const options = {childList: true, characterData: true, subtree: true};
        for (const id of ["state", "problem", "decisions"])
            new MutationObserver(() => window.told++).observe(document.getElementById(id), options);
    }""")
    page.wait_for_function("samples.length >= 3")
    assert page.evaluate("window.block.isConnected && !window.told")
    assert page.locator("h3").count() == 2
    assert "predicted 0." in page.locator("#memory").get_attribute("aria-label")


def test_long_names_and_suspended_models_fit_a_phone(page: Any, runtime: Runtime) -> None:
    runtime.budget = Budget(memory_bytes=least_memory(runtime))
    assert runtime.plan[LONG].suspended
    page.goto("/")
    page.wait_for_selector("text=(suspended)")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert "predicted" not in page.locator(".figures").nth(1).inner_text()
    assert page.evaluate("ms(1234.5)") == "1235 ms"


def test_a_service_that_cannot_be_asked_is_asked_again(
    page: Any, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.route("**/v1/models", lambda route: route.fulfill(status=503, body="too many connections"))
    page.goto("/")
    has_text(page, "state", "the service answers 503; trying again")
    page.unroute("**/v1/models")
    page.clock.fast_forward(3000)
    has_text(page, "state", "budget: no limits")
    goes_on, sample = threading.Event(), History.sample

    def sample_later(history: History) -> dict[str, Any]:
        goes_on.wait(60)
        return sample(history)

    monkeypatch.setattr(History, "sample", sample_later)
    page.wait_for_timeout(1500)
    page.clock.fast_forward(11_000)
    has_text(page, "state", "the connection ended; trying again")
    goes_on.set()
    page.clock.fast_forward(3000)
    has_text(page, "state", "budget: no limits")


def test_there_is_one_stream_of_events_and_it_outlives_a_clock_that_is_set_back(page: Any) -> None:
    page.goto("/")
    page.wait_for_selector(".block")
    page.evaluate("void start(), void start()")
    page.wait_for_function("samples.length >= 4")
    assert page.evaluate("new Set(samples.map(sample => sample.time)).size === samples.length")
    page.evaluate("take({...samples.at(-1), time: samples.at(-1).time - 3600})")
    assert page.evaluate("samples.length") == 1
