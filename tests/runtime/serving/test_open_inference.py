"""The Open Inference Protocol, by hand and by another client."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the service is not installed")

from legodnn import Runtime
from legodnn.runtime.serving.open_inference import HEADER_LENGTH
from legodnn.runtime.serving.service import ServiceSettings
from tests.runtime.serving.served import Answer, Client, own_answer, served

X = np.random.default_rng(0).random((12, 12, 1), np.float32)


@pytest.fixture(scope="module")
def client(runtime: Runtime) -> Iterator[Client]:
    with served(runtime, ServiceSettings(governed=False)) as found:
        yield found


def infer(client: Client, request: object, binary: bytes = b"", **headers: str) -> Answer:
    header = json.dumps(request).encode()
    length = {HEADER_LENGTH: str(len(header))} if binary else {}
    return client.ask("POST", "/v2/models/tiny/infer", header + binary, {**length, **headers})


def tensor(**changes: object) -> dict[str, object]:
    whole: dict[str, object] = {
        "name": "image",
        "shape": [1, 12, 12, 1],
        "datatype": "FP32",
        "data": X.ravel().tolist(),
    }
    return {key: value for key, value in {**whole, **changes}.items() if value is not None}


def test_metadata(client: Client, runtime: Runtime) -> None:
    assert client.get("/v2").json["extensions"] == ["binary_tensor_data"]
    assert client.get("/v2/health/live").status == client.get("/v2/health/ready").status == 200
    told = client.get("/v2/models/tiny").json
    assert told["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [1, 12, 12, 1]}]
    assert told["outputs"][0]["shape"] == [1, *own_answer(runtime, X).shape]


def test_json_and_binary_tensors_give_the_same(client: Client, runtime: Runtime) -> None:
    wanted = own_answer(runtime, X)
    plain = infer(client, {"id": "7", "inputs": [tensor()]})
    assert plain.status == 200, plain.body
    assert plain.json["id"] == "7"
    assert plain.json["model_name"] == "tiny"
    np.testing.assert_allclose(np.float32(plain.json["outputs"][0]["data"]), wanted.ravel(), rtol=1e-6)
    listed = infer(client, {"inputs": [tensor(data=X[None].tolist(), shape=[12, 12, 1])]})
    assert listed.json["outputs"] == plain.json["outputs"], "nested lists, and no batch dimension"
    sent = tensor(data=None, parameters={"binary_data_size": X.nbytes})
    name = plain.json["outputs"][0]["name"]
    wish = {"outputs": [{"name": name, "parameters": {"binary_data": True}}]}
    answer = infer(client, {"inputs": [sent], **wish}, X.tobytes())
    assert answer.status == 200, answer.body
    end = int(answer.headers[HEADER_LENGTH.lower()])
    assert json.loads(answer.body[:end])["outputs"][0]["parameters"]["binary_data_size"] == wanted.nbytes
    np.testing.assert_array_equal(np.frombuffer(answer.body[end:], np.float32), wanted.ravel())


@pytest.mark.parametrize(
    ("request_", "binary", "says"),
    [
        ({}, b"", "lacks its inputs"),
        ({"inputs": ["x"]}, b"", "lacks its inputs"),
        ({"inputs": []}, b"", "takes the inputs"),
        ({"inputs": [tensor(name="nobody")]}, b"", "takes image"),
        ({"inputs": [tensor(), tensor()]}, b"", "once"),
        ({"inputs": [tensor(datatype="UINT8")]}, b"", "FP32"),
        ({"inputs": [tensor(shape=[2, 12, 12, 1])]}, b"", "FP32"),
        ({"inputs": [tensor(data=[1, 2])]}, b"", "2 values"),
        ({"inputs": [tensor(data=["a"])]}, b"", "no FP32 numbers"),
        ({"inputs": [tensor(data=["1"] * 144)]}, b"", "no FP32 numbers"),
        ({"inputs": [tensor(data=[True] * 144)]}, b"", "no FP32 numbers"),
        ({"inputs": [tensor(data=None)]}, b"", "no FP32 numbers"),
        ({"inputs": [tensor(data=[3e38] * 144)]}, b"", "ask for binary data"),
        ({"inputs": [tensor(parameters=[])]}, b"", "is an object"),
        ({"inputs": [tensor(data=None, parameters={"binary_data_size": 9})]}, b"123", "3 bytes are left"),
        ({"inputs": [tensor(data=None, parameters={"binary_data_size": 3})]}, b"123", "no FP32 numbers"),
        ({"inputs": [tensor(parameters={"binary_data_size": X.nbytes})]}, X.tobytes(), "leave one out"),
        ({"inputs": [tensor()], "parameters": {"binary_data_output": "yes"}}, b"", "true or false, not 'yes'"),
        ({"inputs": [tensor()], "outputs": [{"name": "head", "parameters": {"binary_data": 1}}]}, b"", "true or false"),
        ({"inputs": [tensor(data=[[]] * 5000)]}, b"", "of more than 1720 values and lists"),
        ({"inputs": [tensor()]}, b"rest", "belong to no input"),
        ({"inputs": [tensor()], "outputs": [{"name": "nobody"}]}, b"", "asks for the output"),
        ({"inputs": [tensor()], "outputs": 3}, b"", "list of objects"),
        ({"inputs": [tensor()], "outputs": [{"name": ["x"]}]}, b"", "asks for the output"),
        ({"inputs": [tensor()], "id": 3}, b"", "is a text"),
    ],
)
def test_requests_that_make_no_sense(client: Client, request_: object, binary: bytes, says: str) -> None:
    answer = infer(client, request_, binary)
    assert answer.status == 400, answer.body
    assert says in answer.json["error"]


@pytest.mark.parametrize("length", ["-1", "x", "0", "99999999", "9" * 5000])
def test_a_header_length_that_cannot_be(client: Client, length: str) -> None:
    answer = client.ask("POST", "/v2/models/tiny/infer", b"{}", {HEADER_LENGTH: length})
    assert answer.status == 400
    assert HEADER_LENGTH in answer.json["error"]


@pytest.mark.parametrize("binary", [True, False])
def test_another_client_of_the_protocol(client: Client, runtime: Runtime, binary: bool) -> None:
    triton = pytest.importorskip("tritonclient.http")
    other = triton.InferenceServerClient(f"127.0.0.1:{client.port}")
    try:
        assert other.is_server_live()
        assert other.is_server_ready()
        assert other.is_model_ready("tiny")
        told = other.get_model_metadata("tiny")
        sent = triton.InferInput(told["inputs"][0]["name"], [1, 12, 12, 1], "FP32")
        sent.set_data_from_numpy(X[None], binary_data=binary)
        name = told["outputs"][0]["name"]
        answer = other.infer("tiny", [sent], outputs=[triton.InferRequestedOutput(name, binary_data=binary)])
        np.testing.assert_allclose(answer.as_numpy(name)[0], own_answer(runtime, X), rtol=1e-6)
    finally:
        other.close()
