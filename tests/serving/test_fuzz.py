"""Bodies that are almost right, cut, swollen, packed and lied about, in all protocols: each 4xx or 200, never 5xx."""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbprod.serving.limits import Limits
from nbprod.serving.served import Served
from tests.serving import asgi
from tests.serving.asgi import Client, Got

pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names")

LIMIT = 300_000
EXAMPLES = 60
ROW = {"a": 0.5, "b": -1.0, "c": 2.0}
LIST = list(ROW.values())
INFER = "/v2/models/toy/infer"
GOOD: list[tuple[str, str, bytes]] = [
    ("/predict", "application/json", json.dumps({"records": [ROW, ROW]}).encode()),
    ("/predict", "application/json", json.dumps({"columns": list(ROW), "rows": [LIST], "proba": True}).encode()),
    ("/invocations", "application/json",
     json.dumps({"dataframe_split": {"columns": list(ROW), "data": [LIST]}}).encode()),
    ("/invocations", "application/json", json.dumps({"instances": [ROW], "params": {"proba": True}}).encode()),
    ("/invocations", "application/json", json.dumps({"inputs": {name: [v] for name, v in ROW.items()}}).encode()),
    ("/invocations", "text/csv", b"a,b,c\n0.5,-1.0,2\n"),
    (INFER, "application/json", json.dumps({"inputs": [
        {"name": name, "shape": [1], "datatype": "FP64", "data": [value]} for name, value in ROW.items()
    ]}).encode()),
    (INFER, "application/json", json.dumps({"id": "x", "outputs": [{"name": "predict_proba"}], "inputs": [
        {"name": "all", "shape": [2, 3], "datatype": "FP32", "data": [LIST, LIST]},
    ]}).encode()),
]  # fmt: skip
NESTED = b"[" * 100_000
SPLICES = [
    b"NaN", b"-Infinity", b"Infinity", b"1e999", b"-1e999", b"1" * 5000, b"null", b"true", b'"', b"\\", b"\xff",
    b"\x00", b"\xed\xa0\x80", b"\\ud800", b"{", b"}", b"]", b",", b":", NESTED, b'{"a":' * 100_000, b" " * 1000,
    b"0" * 400, b"1e-400", b"\xef\xbb\xbf", b'"a":1,', b"[1]", b"{}", b"9223372036854775808", b"\n", b"\r\n",
]  # fmt: skip


@cache
def numbers() -> Served:
    return asgi.with_limits(asgi.numbers(), Limits(body=LIMIT, rows=100))


def asked(folder: Path, calls: list[tuple[str, bytes, dict[str, str]]]) -> list[Got]:
    """What comes back for each, and for a good request after them."""

    async def story(client: Client) -> list[Got]:
        found = [await client.post(*call) for call in calls]
        again = await client.post(GOOD[0][0], GOOD[0][2], {"content-type": GOOD[0][1]})
        assert again.status == 200
        return found

    found: list[Got] = asgi.run(folder, numbers(), story)
    return found


def test_the_bodies_that_are_spoiled_here_are_good(tmp_path: Path) -> None:
    calls = [(path, body, {"content-type": kind}) for path, kind, body in GOOD]
    packed = [
        (path, gzip.compress(body, mtime=0), {**headers, "content-encoding": "gzip"}) for path, body, headers in calls
    ]
    assert {got.status for got in asked(tmp_path, calls + packed)} == {200}


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[str, bytes, dict[str, str]]:
    """A good request with something wrong in its bytes, or in how they are packed."""
    path, kind, body = draw(st.sampled_from(GOOD))
    for _ in range(draw(st.integers(0, 2))):
        at, until = sorted(draw(st.tuples(st.integers(0, len(body)), st.integers(0, len(body)))))
        body = (
            body[:at]
            + draw(st.sampled_from(SPLICES) | st.binary(max_size=4))
            + body[at if draw(st.booleans()) else until :]
        )
    headers = {"content-type": kind}
    packing = draw(st.sampled_from(["none", "none", "none", "gzip", "cut", "twice", "zlib", "spoiled"]))
    if packing != "none":
        headers["content-encoding"] = "gzip"
        body = zlib.compress(body) if packing == "zlib" else gzip.compress(body, 1, mtime=0)
        if packing == "cut":
            body = body[: draw(st.integers(0, len(body)))]
        elif packing == "twice":
            body = body + body
        elif packing == "spoiled":
            at = draw(st.integers(0, len(body) - 1))
            body = body[:at] + draw(st.binary(min_size=1, max_size=1)) + body[at + 1 :]
    if path == INFER and draw(st.booleans()):
        headers["inference-header-content-length"] = draw(
            st.integers(-2, len(body) + 2).map(str) | st.sampled_from(["", "x", "9" * 30, "\u00b2"])
        )
    return path, body, headers


def test_no_spoiled_body_makes_the_service_fail(tmp_path: Path) -> None:
    seen: Counter[int] = Counter()

    @settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(calls=st.lists(spoiled(), min_size=10, max_size=20))
    def check(calls: list[tuple[str, bytes, dict[str, str]]]) -> None:
        for call, got in zip(calls, asked(tmp_path, calls), strict=True):
            assert got.status in (200, 400, 413, 415, 422), (got, call[0], call[1][:300], call[2])
            assert len(got.body) < 2000, got
            seen[got.status] += 1

    check()
    assert min(seen[200], seen[400], seen[422]) > EXAMPLES / 4, seen


DTYPES = {"FP64": "<f8", "FP32": "<f4", "FP16": "<f2", "INT64": "<i8", "UINT64": "<u8", "INT8": "i1", "BOOL": "?"}


@st.composite
def tensors(draw: st.DrawFn) -> bytes:
    """The JSON and the bytes of tensors whose sizes, shapes and types may lie."""
    inputs, tail = [], b""
    for name in draw(st.sampled_from([["a", "b", "c"], ["all"], ["a", "a", "b"], ["c"], ["a", "b", "c", "d"]])):
        kind = draw(st.sampled_from([*DTYPES, "BYTES", "FP128", ""]))
        rows = draw(st.integers(-1, 3))
        shape: Any = draw(st.sampled_from([[rows], [rows, 1], [rows, 3], [], [2**40, 2**40], [0], [1, 1, 1, 3]]))
        part = draw(st.binary(max_size=24)) if draw(st.booleans()) else np.arange(
            max(rows, 0) * (3 if name == "all" else 1)).astype(DTYPES.get(kind, "u1")).tobytes()  # fmt: skip
        size = draw(st.sampled_from([len(part), len(part), len(part) + 1, -1, 2**70, "4", None, 1.5, True]))
        inputs.append({"name": name, "shape": shape, "datatype": kind, "parameters": {"binary_data_size": size}})
        tail += part
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": draw(st.booleans())}}).encode()
    return len(head).to_bytes(4, "big") + head + tail


@settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(bodies=st.lists(tensors(), min_size=1, max_size=8))
def test_no_tensor_that_lies_about_itself_makes_the_service_fail(tmp_path: Path, bodies: list[bytes]) -> None:
    calls = [
        (
            INFER,
            body[4:],
            {**asgi.JSON_HEADERS, "inference-header-content-length": str(int.from_bytes(body[:4], "big"))},
        )
        for body in bodies
    ]
    for body, got in zip(bodies, asked(tmp_path, calls), strict=True):
        assert got.status in (200, 400, 422), (got, body)


@pytest.mark.parametrize("path", ["/predict", "/invocations", INFER, "/feedback"])
def test_bombs_and_what_is_nested_too_deeply_are_refused_everywhere(tmp_path: Path, path: str) -> None:
    zipped = {**asgi.JSON_HEADERS, "content-encoding": "gzip"}
    nested = [
        b'{"inputs":[{"name":"a","shape":[1],"datatype":"FP64","data":' + NESTED, b'{"inputs":' + NESTED,
        b'{"records":' + NESTED, b'{"value":' + NESTED, b'{"request_id":"x","value":' + NESTED + b"]" * 100_000 + b"}",
        NESTED, NESTED + b"]" * 100_000, b'{"a":' * 50_000,
        b'{"inputs":[{"name":"a","shape":[1],"datatype":"FP64","data":[1],"parameters":{"x":' + NESTED,
        b'{"inputs":[{"name":"a","shape":[1' + b",1" * 50_000 + b'],"datatype":"FP64","data":[' + NESTED,
    ]  # fmt: skip
    calls = [(path, body, asgi.JSON_HEADERS) for body in nested]
    calls += [(path, gzip.compress(body, 1, mtime=0), zipped) for body in nested]
    bombs = [gzip.compress(b" " * 200_000_000, 1, mtime=0), gzip.compress(GOOD[0][2] + b" " * LIMIT, mtime=0)]
    calls += [(path, bomb, zipped) for bomb in bombs]
    found = asked(tmp_path, calls)
    assert {got.status for got in found[: 2 * len(nested)]} <= {400, 404, 422}, Counter(got.status for got in found)
    assert [got.status for got in found[2 * len(nested) :]] == [413, 413]
