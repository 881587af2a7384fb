"""The Open Inference Protocol: JSON, binary tensors, and what is refused."""

from __future__ import annotations

import json
import struct
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nbprod.serving.served import Served
from tests.serving import asgi
from tests.serving.asgi import Client, Got, run

pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names")
PATH = "/v2/models/toy/infer"


@cache
def numbers() -> Served:
    return asgi.numbers()


@cache
def mixed() -> Served:
    return asgi.mixed()


def one(folder: Path, answer: Served, body: Any, path: str = PATH, **headers: str) -> Got:
    async def story(client: Client) -> Got:
        return await client.post(path, body, {**asgi.JSON_HEADERS, **headers})

    found: Got = run(folder, answer, story)
    return found


def single(**changes: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "shape": [2, 3], "datatype": "FP64", "data": [1, 2, 3, -4, -5, -6.5], **changes}]}


def test_a_tensor_of_all_columns_and_one_for_each_get_the_same(tmp_path: Path) -> None:
    columns = [
        {"name": name, "shape": [2, 1], "datatype": "FP32", "data": [[n], [-n]]} for n, name in enumerate("cab", 1)
    ]
    for body in (single(), single(data=[[1, 2, 3], [-4, -5, -6.5]]), {"inputs": columns, "id": "mine"}):
        got = one(tmp_path, numbers(), body)
        assert got.status == 200, got
        assert got.json["outputs"] == [{"name": "predict", "datatype": "INT64", "shape": [2], "data": [1, 0]}]
    assert got.json["id"] == "mine"
    assert got.json["model_version"] == "1"


def test_probabilities_are_another_output(tmp_path: Path) -> None:
    got = one(tmp_path, numbers(), {**single(), "outputs": [{"name": "predict"}, {"name": "predict_proba"}]})
    assert [item["shape"] for item in got.json["outputs"]] == [[2], [2, 2]]


def binary(head: dict[str, Any], *parts: bytes) -> tuple[bytes, dict[str, str]]:
    content = json.dumps(head).encode()
    return content + b"".join(parts), {"inference-header-content-length": str(len(content))}


def test_binary_tensors_in_and_out(tmp_path: Path) -> None:
    rows = np.array([[1, 2, 3], [-4, -5, -6.5]])
    item = {"name": "x", "shape": [2, 3], "datatype": "FP64", "parameters": {"binary_data_size": rows.nbytes}}
    body, headers = binary({"inputs": [item], "parameters": {"binary_data_output": True}}, rows.tobytes())
    got = one(tmp_path, numbers(), body, **headers)
    size = int(got.headers["inference-header-content-length"])
    assert json.loads(got.body[:size])["outputs"][0]["parameters"] == {"binary_data_size": 16}
    assert np.frombuffer(got.body[size:], "<i8").tolist() == [1, 0]


def test_texts_are_preceded_by_their_length(tmp_path: Path) -> None:
    texts = b"".join(struct.pack("<I", len(text)) + text for text in (b"Oslo", b"Lyon"))
    ages = np.array([70, 20], dtype="<i8").tobytes()
    inputs = [
        {"name": "city", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": len(texts)}},
        {"name": "age", "shape": [2], "datatype": "INT64", "parameters": {"binary_data_size": len(ages)}},
    ]
    body, headers = binary({"inputs": inputs}, texts, ages)
    got = one(tmp_path, mixed(), body, **headers)
    assert got.json["outputs"][0]["data"] == ["old", "young"]


def test_a_tensor_model_takes_its_tensor(tmp_path: Path) -> None:
    got = one(
        tmp_path, asgi.tensor(), {"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}]}
    )
    assert np.allclose(got.json["outputs"][0]["data"], [3, 7])


def apart(names: str, *counts: int) -> dict[str, Any]:
    """A tensor for each column."""
    sizes = counts or (1,) * len(names)
    pairs = zip(names, sizes, strict=True)
    return {"inputs": [{"name": name, "shape": [k], "datatype": "FP64", "data": [1] * k} for name, k in pairs]}


WRONG: dict[str, Any] = {
    "a size that is not the shape's": single(shape=[3, 3]),
    "another width": single(shape=[3, 2]),
    "texts": single(data=["1"] * 6),
    "true": single(data=[True] * 6),
    "NaN by another name": single(data=[None] * 6),
    "an unknown datatype": single(datatype="FP99"),
    "a negative size": single(shape=[-1, 3]),
    "no data": {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP64"}]},
    "bytes that are not there": single(parameters={"binary_data_size": 48}),
    "no inputs": {"inputs": []},
    "a column that is not the model's": apart("abz"),
    "a column twice": apart("aab"),
    "different lengths": apart("abc", 1, 2, 2),
    "an output that there is not": {**single(), "outputs": [{"name": "z"}]},
    "a key twice": json.dumps(single()).replace('"name"', '"name": "y", "name"').encode(),
    "brackets": b'{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP64","data":' + b"[" * 50_000,
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_refused(tmp_path: Path, name: str) -> None:
    got = one(tmp_path, numbers(), WRONG[name])
    assert got.status in (400, 422), got
    assert got.json["error"]


def test_numbers_that_are_not_finite_are_refused_in_binary_too(tmp_path: Path) -> None:
    rows = np.array([[1, np.inf, 3]])
    item = {"name": "x", "shape": [1, 3], "datatype": "FP64", "parameters": {"binary_data_size": 24}}
    body, headers = binary({"inputs": [item]}, rows.tobytes())
    assert one(tmp_path, numbers(), body, **headers).status == 422
    assert one(tmp_path, numbers(), body[:-8], **headers).status == 422
    assert one(tmp_path, numbers(), body, **{"inference-header-content-length": "99999"}).status == 400


def test_a_classifier_tells_that_it_gives_probabilities(tmp_path: Path) -> None:
    async def story(client: Client) -> Got:
        return await client.get("/v2/models/toy")

    outputs = run(tmp_path, numbers(), story).json["outputs"]
    assert [(item["name"], item["shape"]) for item in outputs] == [("predict", [-1]), ("predict_proba", [-1, 2])]
    outputs = run(tmp_path, asgi.tensor(), story).json["outputs"]
    assert [item["name"] for item in outputs] == ["predict"]


def test_another_model_or_version_is_404(tmp_path: Path) -> None:
    for path in ("/v2/models/other/infer", "/v2/models/toy/versions/9/infer", "/v2/models/toy/strange/1/infer"):
        assert one(tmp_path, numbers(), single(), path).status == 404
    assert one(tmp_path, numbers(), single(), "/v2/models/toy/versions/1/infer").status == 200
