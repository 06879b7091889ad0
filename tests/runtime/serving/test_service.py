"""The service as clients meet it, over real connections.

Covers also: runtime.serving.openapi, runtime.serving.refusals, runtime.serving.bodies.
"""

from __future__ import annotations

import io
import json
import os
import socket
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import numpy as np
import psutil
import pytest

pytest.importorskip("starlette", reason="the service is not installed")

from legodnn import Budget, Runtime, Store
from legodnn.runtime.serving.bodies import numbers_as
from legodnn.runtime.serving.service import ServiceSettings, application
from legodnn.workload import Workload, WorkloadModel
from tests.runtime.opened import least_memory
from tests.runtime.serving.served import Client, own_answer, served

X = np.random.default_rng(0).random((12, 12, 1), np.float32)
JSON = "application/json"


@pytest.fixture(scope="module")
def runtime(tiny_store: Store, tiny_store2: Store) -> Iterator[Runtime]:
    models = (
        WorkloadModel(name="tiny", store=str(tiny_store.path)),
        WorkloadModel(name="tiny2", store=str(tiny_store2.path), critical=False),
    )
    with Runtime(Workload(models=models)) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(runtime: Runtime) -> Iterator[Client]:
    with served(runtime, ServiceSettings(governed=False, most_body_bytes=100_000, body_timeout_s=1)) as found:
        yield found


@pytest.fixture(autouse=True)
def _whole_budget(runtime: Runtime) -> Iterator[None]:
    yield
    runtime.budget = Budget()


def npy(array: Any) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def test_every_kind_of_body_gives_the_runtimes_own_answer(client: Client, runtime: Runtime) -> None:
    wanted = own_answer(runtime, X)
    name = runtime.scheduler.tables[0].name
    assert name == "tiny"
    input_name = Store(runtime.workload.models[0].store).manifest.inputs[0].name
    bodies = [
        (json.dumps({"inputs": {input_name: X.tolist()}}).encode(), JSON, ""),
        (json.dumps({"inputs": X.tolist()}).encode(), JSON, ""),
        (json.dumps({"inputs": X[None].tolist()}).encode(), JSON, ""),
        (npy(X), "application/x-npy", ""),
        (npy(X[None]), "application/x-npy", ""),
        (X.tobytes(), "application/octet-stream", "?dtype=float32&shape=12,12,1"),
    ]
    for body, kind, query in bodies:
        answer = client.infer("tiny", body, kind, query)
        assert answer.status == 200, answer.body
        (found,) = answer.json["outputs"].values()
        np.testing.assert_allclose(np.float32(found), wanted, rtol=1e-6)
        assert float(answer.headers["x-latency-ms"]) > 0
        assert json.loads(answer.headers["x-plan"]) == runtime.plan["tiny"].options
    answer = client.infer("tiny", npy(X), "application/x-npy", Accept="Application/X-NPY")
    np.testing.assert_array_equal(np.load(io.BytesIO(answer.body)), wanted)


def test_pixels_and_pictures_are_scaled_as_the_store_says(client: Client, runtime: Runtime) -> None:
    Image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(1).integers(0, 256, (12, 12, 1), np.uint8)
    spec = Store(runtime.workload.models[0].store).manifest.inputs[0]
    wanted = own_answer(runtime, spec.scaling(pixels))
    picture = io.BytesIO()
    Image.fromarray(pixels[..., 0]).save(picture, "PNG")
    for body, kind, query in [
        (npy(pixels), "application/x-npy", ""),
        (pixels.tobytes(), "application/octet-stream", "?dtype=uint8"),
        (picture.getvalue(), "image/png", ""),
    ]:
        answer = client.infer("tiny", body, kind, query)
        assert answer.status == 200, answer.body
        (found,) = answer.json["outputs"].values()
        np.testing.assert_allclose(np.float32(found), wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("body", "kind", "query", "says"),
    [
        (b"", "", "", "content type"),
        (b"{", JSON, "", "not JSON"),
        (b"[1]", JSON, "", "not an object"),
        (b'{"inputs": [1], "inputs": [2]}', JSON, "", "'inputs' is there twice"),
        (b"{}", JSON, "", "lacks its inputs"),
        (b'{"inputs": {"nobody": [1]}}', JSON, "", "takes the inputs"),
        (b'{"inputs": [[1], [2, 3]]}', JSON, "", "rows of the same length"),
        (b'{"inputs": [NaN]}', JSON, "", "shape"),
        (b"[" * 1500, JSON, "", "not JSON"),
        (b'{"inputs": [' + b"[]," * 3000 + b"[]]}", JSON, "", "of more than 1720 values and lists"),
        (b'{"inputs": ["' + b"x" * 50_000 + b'", ""]}', JSON, "", "no array of float32 numbers"),
        (b'{"inputs": [true, 0.5]}', JSON, "", "no array of float32 numbers"),
        (b"\x93NUMPY", "application/x-npy", "", "damaged"),
        (npy(X).replace(b"(12, 12, 1)", b"(12, 12,   "), "application/x-npy", "", "damaged"),
        (npy(X).replace(b"'<f4'", b"('<',)"), "application/x-npy", "", "damaged"),
        (b"hello", "application/x-npy", "", "no .npy"),
        (npy(np.array(["a"])), "application/x-npy", "", "send numbers"),
        (npy(np.zeros((3, 3), np.float32)), "application/x-npy", "", "shape"),
        (b"12345", "application/octet-stream", "", "no float32 tensor"),
        (b"1234", "application/octet-stream", "?shape=-1", "whole numbers"),
        (X.tobytes(), "application/octet-stream", "?shape=1_2,12,1", "whole numbers"),
        (X.tobytes(), "application/octet-stream", "?shape=12,,12,1", "whole numbers"),
        (X.tobytes(), "application/octet-stream", "?shape=%D9%A1%D9%A2,12,1", "whole numbers"),
        (b"1234", "application/octet-stream", "?shape=", "whole numbers"),
        (json.dumps({"inputs": X.tolist(), "output": "head"}).encode(), JSON, "", "says 'output' beside its inputs"),
        (b"1234", "application/octet-stream", "?dtype=object", "raw tensors are"),
        (b"1234", "application/octet-stream", "?dtype=uint8&dtype=int8", "'dtype' is there twice"),
        (b"1234", "application/octet-stream", "?type=uint8", "says 'type'"),
        (b"{}", JSON, "?dtype=uint8", "says 'dtype'"),
        (npy(X) + b"1", "application/x-npy", "", "1 bytes follow"),
        (b"no picture", "image/png", "", "cannot read these bytes as an image"),
    ],
)
def test_bodies_that_make_no_sense_are_refused(client: Client, body: bytes, kind: str, query: str, says: str) -> None:
    answer = client.infer("tiny", body, kind, query)
    assert answer.status == 400, answer.body
    assert says in answer.json["error"]
    assert "Traceback" not in answer.json["error"]


@pytest.mark.parametrize(
    ("dtype", "value", "taken"),
    [
        ("float32", [[1, 2.5], [3, 4]], True),
        ("float32", [1, 1e300], True),  # infinity, which inferences refuse
        ("float32", [1, None], False),
        ("float32", [True], False),
        ("float32", ["1"], False),
        ("float32", [[1], [2, 3]], False),
        ("float32", 10**400, False),
        ("float32", None, False),
        ("uint8", [0, 255, 7.0], True),
        ("uint8", [256], False),
        ("uint8", [-1], False),
        ("uint8", [0.5], False),
        ("int8", [-128, 127], True),
        ("int32", [2**31], False),
        ("int64", [2**63], False),
        ("int64", [2**53 + 1, 0], True),
        ("int64", [2**53 + 1, 0.0], False),  # as an array it is a float, and another number
        ("float32", [[[]]], True),
        ("float32", [True, 0.5], False),
        ("int64", [float("nan")], False),
    ],
)
def test_numbers_of_json_are_not_made_of_others(dtype: str, value: object, taken: bool) -> None:
    numbers = numbers_as(dtype, value)
    assert (numbers is not None) == taken
    assert numbers is None or numbers.dtype == dtype


def test_what_json_cannot_hold_is_sent_as_it_is_or_refused(client: Client) -> None:
    huge = np.full_like(X, 3e38)  # of which the model makes NaN
    refused = client.infer("tiny", npy(huge), "application/x-npy")
    assert refused.status == 400
    assert "the model gave NaN or infinity, which JSON does not have" in refused.json["error"]
    sent = client.infer("tiny", npy(huge), "application/x-npy", Accept="application/x-npy")
    assert np.isnan(np.load(io.BytesIO(sent.body))).all()


def test_a_fault_of_the_service_is_told_as_every_error_is(client: Client, runtime: Runtime) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    watching, runtime.on_inference = runtime.on_inference, fail
    try:
        answer = client.infer("tiny", npy(X), "application/x-npy")
    finally:
        runtime.on_inference = watching
    assert answer.status == 500
    assert answer.json["error"] == "the service failed at this request (ZeroDivisionError); its log says where"


def test_addresses_that_are_not_there(client: Client) -> None:
    assert client.infer("nobody", npy(X), "application/x-npy").status == 404
    assert "tiny" in client.get("/v2/models/nobody").json["error"]
    assert client.get("/nowhere").status == 404
    assert "/openapi.json" in client.get("/nowhere").json["error"]
    refused = client.get("/v1/models/tiny/infer")
    assert refused.status == 405
    assert refused.headers["allow"] == "POST"
    assert "it takes POST" in refused.json["error"]


def test_names_of_models_may_hold_whatever_an_address_can(tiny_store: Store) -> None:
    names = "org/model", "a model ?#%", "'ключ'"
    models = tuple(WorkloadModel(name=name, store=str(tiny_store.path)) for name in names)
    with Runtime(Workload(models=models)) as several, served(several, ServiceSettings(governed=False)) as asked:
        for name in names:
            quoted = quote(name, safe="")
            assert asked.infer(quoted, npy(X), "application/x-npy").status == 200
            assert asked.get(f"/v2/models/{quoted}").json["name"] == name
            assert asked.get(f"/v2/models/{quoted}/ready").json == {"name": name, "ready": True}
            assert asked.ask("POST", f"/v2/models/{quoted}/infer", b"{}").status == 400
        lost = asked.get(f"/v2/models/{'a' * 3000}")
    assert lost.status == 404
    assert len(lost.json["error"]) < 200


def test_the_plan_follows_the_budget(client: Client, runtime: Runtime) -> None:
    whole = client.get("/v1/plan").json
    assert whole["schema"] == "legodnn.plan/1"
    least = least_memory(runtime)
    answer = client.ask("PUT", "/v1/budget", json.dumps({"memory_bytes": least}))
    assert answer.status == 200, answer.body
    assert answer.json["running"]["memory_bytes"] == least
    assert client.get("/v1/budget").json == answer.json
    after = client.get("/v1/plan").json
    assert after["budget"]["memory_bytes"] == least
    assert after != whole
    refused = client.ask("PUT", "/v1/budget", json.dumps({"memory_bytes": 1}))
    assert refused.status == 409
    assert refused.json["report"]["schema"] == "legodnn.infeasible/1"
    for wrong in ('{"memory": 1}', '{"memory_bytes": -1}', "[]", "nonsense", '{"latency_ms": {"nobody": 1}}'):
        assert client.ask("PUT", "/v1/budget", wrong).status == 400
    twice = client.ask("PUT", "/v1/budget", f'{{"memory_bytes": {2 * least}, "memory_bytes": {least}}}')
    assert twice.status == 400
    assert twice.json["error"] == "the body: 'memory_bytes' is there twice; leave one of them out"
    assert client.get("/v1/plan").json == after, "what was refused changed nothing"


def test_a_suspended_model_says_when_to_try_again(client: Client, runtime: Runtime) -> None:
    runtime.budget = Budget(memory_bytes=least_memory(runtime))
    if not runtime.plan["tiny2"].suspended:
        pytest.fail("the smallest plan suspends what is not critical")
    spec = Store(runtime.workload.models[1].store).manifest.inputs[0]
    answer = client.infer("tiny2", npy(np.zeros(spec.shape, np.float32)), "application/x-npy")
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert client.get("/readyz").json == {"ready": True, "suspended": ["tiny2"]}
    assert client.get("/v2/models/tiny2/ready").status == 503
    assert client.get("/v2/models/tiny/ready").status == 200


def events(client: Client) -> Generator[dict[str, Any], None, None]:
    with socket.create_connection(("127.0.0.1", client.port), 20) as stream:
        stream.sendall(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for line in stream.makefile("rb"):
            if line.startswith(b"data: "):
                yield json.loads(line[6:])


def test_events_tell_samples_and_what_a_governor_decides(runtime: Runtime) -> None:
    watching = runtime.on_inference
    with served(runtime) as governed:
        governed.infer("tiny", npy(X), "application/x-npy")
        budget = {"memory_bytes": runtime.plan.memory_bytes - 1}
        assert governed.ask("PUT", "/v1/budget", json.dumps(budget)).status == 200
        assert runtime.plan.memory_bytes <= budget["memory_bytes"]
        assert governed.get("/v1/budget").json["asked"]["memory_bytes"] == budget["memory_bytes"]
        assert governed.ask("PUT", "/v1/budget", '{"memory_bytes": 1}').status == 409
        assert governed.get("/v1/budget").json["asked"]["memory_bytes"] == budget["memory_bytes"]
        held = np.ones(8_000_000)  # 64 MB, more than what tests before have left here to be given back meanwhile
        kinds, told = set(), events(governed)
        for sample in told:
            kinds.add(sample["event"])
            if kinds == {"sample", "decision"} and "models" in sample and sample["models"]["tiny"]["served"] == 1:
                break
        told.close()
        assert kinds == {"sample", "decision"}
        assert sample["models"]["tiny"]["median_ms"] > 0
        assert sample["memory_bytes"] > 0, f"{held.nbytes} bytes are held"
        assert time.time() - sample["time"] < 60
        text = governed.get("/metrics").body.decode()
        assert 'legodnn_inference_seconds_count{model="tiny"} 1.0' in text
        assert "legodnn_memory_planned_bytes" in text
    assert runtime.on_inference == watching, "the governor has let go of the runtime"


def test_events_that_nobody_can_read_are_not_sent_for_ever(client: Client) -> None:
    with socket.create_connection(("127.0.0.1", client.port), 10) as connection:
        for path in (b"/v1/events", b"/healthz"):
            connection.sendall(b"HEAD " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 OK")


def test_metrics_tell_the_plan_and_the_device_of_a_service_without_a_governor(client: Client, runtime: Runtime) -> None:
    runtime.budget = Budget(memory_bytes=10**9)
    told = dict(line.rsplit(" ", 1) for line in client.get("/metrics").body.decode().splitlines())
    assert float(told["legodnn_memory_limit_bytes"]) == 10**9
    assert float(told["legodnn_memory_planned_bytes"]) == runtime.plan.memory_bytes
    assert float(told['legodnn_accuracy{model="tiny"}']) == runtime.plan["tiny"].accuracy
    assert float(told["legodnn_memory_available_bytes"]) > 0


def test_the_page_needs_nothing_else(client: Client) -> None:
    answer = client.get("/")
    assert answer.headers["cache-control"] == "no-cache", "a browser asks whether it is that of this version"
    text = answer.body.decode()
    assert text.startswith("<!doctype html>")
    assert 'lang="en"' in text
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text


def test_the_openapi_document_describes_every_address(client: Client, runtime: Runtime) -> None:
    document = client.get("/openapi.json").json
    routes = {(r.path_format, m) for r in application(runtime).routes for m in r.methods - {"HEAD"}}  # type: ignore[attr-defined]
    told = {
        (path, method.upper())
        for path, item in document["paths"].items()
        for method in item
        if method in ("get", "put", "post")
    }
    assert told == routes
    named = json.dumps(document).split('"#/components/schemas/')[1:]
    assert {n.split('"')[0] for n in named} <= document["components"]["schemas"].keys()


def test_the_openapi_document_tells_what_is_refused(client: Client) -> None:
    paths, elsewhere = client.get("/openapi.json").json["paths"], {"Host": "elsewhere.example"}
    asked: list[tuple[str, str, bytes, dict[str, str], int]] = [
        ("PUT", "/v1/budget", b"[]", {}, 400),
        ("PUT", "/v1/budget", b'{"memory_bytes": 1}', {}, 409),
        ("PUT", "/v1/budget", b" " * 200_000, {}, 413),
        ("POST", "/v1/models/{name}/infer", b"", {}, 400),
        ("GET", "/v1/plan", b"", elsewhere, 403),
        ("GET", "/healthz", b"", elsewhere, 403),
    ]
    for method, path, body, headers, status in asked:
        assert client.ask(method, path.replace("{name}", "tiny"), body, headers).status == status
        assert str(status) in paths[path][method.lower()]["responses"]
    assert "401" in paths["/v1/plan"]["get"]["responses"]
    assert "401" not in paths["/healthz"]["get"]["responses"], "it is told to everyone"


def test_many_clients_while_the_budget_changes_lose_and_leak_nothing(runtime: Runtime) -> None:
    least, most = least_memory(runtime), runtime.plan.memory_bytes
    process, rng = psutil.Process(), np.random.default_rng(0)
    with served(runtime, ServiceSettings(queue_length=4)) as busy:
        busy.infer("tiny", npy(X), "application/x-npy")
        descriptors, threads = process.num_fds(), process.num_threads()
        ended = time.monotonic() + 3

        def work(number: int) -> set[int]:
            statuses: set[int] = set()
            while not statuses or time.monotonic() < ended:
                if number == 0:
                    limit = int(rng.integers(least, most + 1))
                    statuses.add(busy.ask("PUT", "/v1/budget", json.dumps({"memory_bytes": limit})).status)
                elif number == 1:
                    statuses.add(busy.infer("tiny", b"damaged", "application/x-npy").status)
                else:
                    statuses.add(busy.infer("tiny", npy(X), "application/x-npy").status)
            return statuses

        with ThreadPoolExecutor(10) as pool:
            statuses = set().union(*pool.map(work, range(10)))
        assert statuses <= {200, 400, 429, 503}, statuses
        assert {200, 400} <= statuses
        until = time.monotonic() + 30
        while process.num_fds() > descriptors + 2 and time.monotonic() < until:
            time.sleep(0.05)  # connections are being closed
        assert process.num_fds() <= descriptors + 2
        assert process.num_threads() <= threads + (os.cpu_count() or 1) + 6, "of the pool that decodes bodies"
