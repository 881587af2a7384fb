"""Requests and answers, through the application without a socket."""

from __future__ import annotations

import asyncio
import gzip
import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbprod.errors import JournalFull
from nbprod.predictions.journal import Record, records
from nbprod.serving.limits import Limits
from nbprod.serving.served import Served
from tests.serving import asgi
from tests.serving.asgi import Client, Got, run

pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names")
GZIP = {**asgi.JSON_HEADERS, "content-encoding": "gzip"}
ROW = {"a": 0.5, "b": -1.0, "c": 2}


@cache
def numbers() -> Served:
    return asgi.numbers()


@cache
def mixed() -> Served:
    return asgi.mixed()


def ask(folder: Path, answer: Served, *calls: tuple[Any, ...], **options: Any) -> list[Got]:
    async def story(client: Client) -> list[Got]:
        return [await client.post(*call) for call in calls]

    found: list[Got] = run(folder, answer, story, **options)
    return found


def logged(folder: Path) -> list[Record]:
    found = [item for path in sorted(folder.glob("*.journal*")) for item in records(path.read_bytes())]
    if not found:
        found = [item for path in sorted(folder.iterdir()) if path.is_file() for item in records(path.read_bytes())]
    return [item for item in found if isinstance(item, Record)]


def test_records_and_rows_get_the_same_answer_which_names_model_and_version(tmp_path: Path) -> None:
    calls: list[tuple[Any, ...]] = [
        ("/predict", {"records": [ROW]}),
        ("/predict", {"columns": ["c", "a", "b"], "rows": [[2, 0.5, -1.0]]}),
        ("/predict?proba=true", {"columns": ["a", "b", "c"], "rows": [[0.5, -1.0, 2]]}),
        ("/invocations", {"dataframe_records": [ROW]}),
        ("/invocations", {"dataframe_split": {"columns": ["b", "a", "c"], "index": [7], "data": [[-1.0, 0.5, 2]]}}),
        ("/invocations", {"instances": [ROW]}),
        ("/invocations", {"instances": [[0.5, -1.0, 2]]}),
        ("/invocations", {"inputs": {"a": [0.5], "b": [-1.0], "c": [2]}}),
        ("/invocations", b"c,a,b\n2,0.5,-1.0\n", {"content-type": "text/csv; charset=utf-8"}),
        (
            "/predict",
            gzip.compress(json.dumps({"records": [ROW]}).encode(), mtime=0),
            {**asgi.JSON_HEADERS, "content-encoding": "gzip"},
        ),
    ]
    found = ask(tmp_path, numbers(), *calls)
    assert [got.status for got in found] == [200] * len(calls)
    assert {tuple(got.json["predictions"]) for got in found} == {(1,)}
    first = found[0].json
    assert (first["model"], first["version"]) == ("toy", "1")
    probable = found[2].json
    assert probable["classes"] == [0, 1]
    assert math.isclose(sum(probable["probabilities"][0]), 1)


def test_every_answer_is_in_the_log_before_it_is_given(tmp_path: Path) -> None:
    first, second = ask(
        tmp_path, numbers(), ("/predict", {"records": [ROW, ROW]}), ("/predict", {"records": [{"a": 1}]})
    )
    (record,) = logged(tmp_path)
    assert second.status == 422
    assert record.request == first.json["request_id"]
    assert json.loads(record.inputs) == {"columns": ["a", "b", "c"], "rows": [[0.5, -1.0, 2.0], [0.5, -1.0, 2.0]]}
    assert json.loads(record.outputs) == first.json["predictions"]
    assert (record.rows, record.version, record.role) == (2, "1", "answer")


def test_columns_that_the_policy_leaves_out_are_not_in_the_log(tmp_path: Path) -> None:
    answer = asgi.numbers(kept=("b",))
    ask(tmp_path / "some", answer, ("/predict", {"records": [ROW]}))
    ask(tmp_path / "none", asgi.numbers(kept=()), ("/predict", {"records": [ROW]}))
    assert json.loads(logged(tmp_path / "some")[0].inputs) == {"columns": ["b"], "rows": [[-1.0]]}
    assert logged(tmp_path / "none")[0].inputs == b""


def test_a_full_log_means_503_and_no_answer(tmp_path: Path) -> None:
    async def story(client: Client) -> tuple[Got, Got]:
        write = client.service.journal.write

        def full(_: Any) -> None:
            raise JournalFull("no room")

        client.service.journal.write = full  # type: ignore[method-assign, assignment]
        first = await client.post("/predict", {"records": [ROW]})
        client.service.journal.write = write  # type: ignore[method-assign]
        return first, await client.post("/predict", {"records": [ROW]})

    refused, answered = run(tmp_path, numbers(), story)
    assert refused.status == 503
    assert "predictions" not in refused.json
    assert refused.headers["retry-after"] == "1"
    assert answered.status == 200


NESTED = b"[" * 100_000
WRONG: dict[str, tuple[bytes, int, str]] = {
    "text for a number": (b'{"records":[{"a":"1.5","b":1,"c":1}]}', 422, "$.records[0].a"),
    "true for a number": (b'{"records":[{"a":1,"b":true,"c":1}]}', 422, "$.records[0].b"),
    "null": (b'{"records":[{"a":1,"b":null,"c":1}]}', 422, "$.records[0].b"),
    "NaN": (b'{"records":[{"a":NaN,"b":1,"c":1}]}', 400, "$"),
    "Infinity": (b'{"records":[{"a":-Infinity,"b":1,"c":1}]}', 400, "$"),
    "too large": (b'{"records":[{"a":1e999,"b":1,"c":1}]}', 422, "$.records[0].a"),
    "missing": (b'{"records":[{"a":1,"b":1}]}', 422, "$.records[0]"),
    "extra": (b'{"records":[{"a":1,"b":1,"c":1,"d":1}]}', 422, "$.records[0]"),
    "short": (b'{"columns":["a","b","c"],"rows":[[1,2,3],[1,2]]}', 422, "$.rows[1]"),
    "long": (b'{"columns":["a","b","c"],"rows":[[1,2,3,4]]}', 422, "$.rows[0]"),
    "nested row": (b'{"columns":["a","b","c"],"rows":[[1,2,[3]]]}', 422, "$.rows[0][2]"),
    "other order": (b'{"columns":["b","a","c"],"rows":[[1,"x",3]]}', 422, "$.rows[0][1]"),
    "strange column": (b'{"columns":["a","b","z"],"rows":[[1,2,3]]}', 422, "$.columns[2]"),
    "column twice": (b'{"columns":["a","b","b"],"rows":[[1,2,3]]}', 422, "$.columns"),
    "key twice": (b'{"records":[{"a":1,"b":1,"b":2,"c":1}]}', 400, "$"),
    "escaped key twice": (b'{"records":[{"a":1,"b":1,"\\u0062":2,"c":1}]}', 400, "$"),
    "records twice": (b'{"records":[],"records":[{"a":1,"b":1,"c":1}]}', 400, "$"),
    "both forms": (b'{"records":[{"a":1,"b":1,"c":1}],"columns":["a"],"rows":[]}', 400, "$"),
    "no rows": (b'{"records":[]}', 400, "$"),
    "nothing": (b"", 400, "$"),
    "a list": (b"[]", 422, "$"),
    "brackets": (NESTED, 422, "$"),
    "brackets in a cell": (b'{"records":[{"a":' + NESTED, 422, "$.records[0].a"),
    "brackets in a strange key": (b'{"z":' + NESTED, 422, "$"),
    "cut off": (b'{"records":[{"a":1', 400, "$"),
    "not UTF-8": (b'{"records":[{"\xff":1}]}', 422, "$.records[0]"),
    "two documents": (b'{"records":[{"a":1,"b":1,"c":1}]}{}', 400, "$"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_the_signature_is_refused_with_its_place(tmp_path: Path, name: str) -> None:
    body, status, path = WRONG[name]
    (got,) = ask(tmp_path, numbers(), ("/predict", body))
    assert (
        got.status in (status, 400) if name in ("not UTF-8", "brackets in a strange key") else got.status == status
    ), got
    if got.status == status:
        assert got.json["path"] == path
    assert not logged(tmp_path)


def test_whole_numbers_must_be_whole_and_in_range(tmp_path: Path) -> None:
    bodies = [
        f'{{"records":[{{"age":{text},"city":"Oslo"}}]}}'.encode() for text in ("1.5", "1.0", "9" * 19, "-1e2", "40")
    ]
    found = ask(tmp_path, mixed(), *(("/predict", body) for body in bodies))
    assert [got.status for got in found] == [422, 422, 422, 422, 200]
    assert found[0].json["expected"] == "whole number of 64 bits"


def test_a_category_that_the_model_never_saw_is_refused_without_telling_it(tmp_path: Path) -> None:
    good, bad = ask(
        tmp_path, mixed(), *(("/predict", {"records": [{"age": 40, "city": city}]}) for city in ("Oslo", "Secretville"))
    )
    assert good.status == 200
    assert bad.status == 422
    assert b"Secretville" not in bad.body


def test_requests_that_come_together_are_predicted_together_and_one_bad_one_fails_alone(tmp_path: Path) -> None:
    async def story(client: Client) -> tuple[list[Got], Any]:
        cities = ["Oslo", "nowhere", "Lyon"]
        calls = [client.post("/predict", {"records": [{"age": 40, "city": city}]}) for city in cities]
        return await asyncio.gather(*calls), client.service.metrics.counts

    found, counts = run(tmp_path, mixed(), story)
    assert [got.status for got in found] == [200, 422, 200]
    assert counts["nbprod_batch_requests", "sum", ""] == 3


def test_bodies_over_the_limit_get_413_before_they_are_read(tmp_path: Path) -> None:
    small = asgi.with_limits(numbers(), Limits(body=1000, rows=3))
    bomb = gzip.compress(b" " * 10_000_000, mtime=0)
    zipped = {**asgi.JSON_HEADERS, "content-encoding": "gzip"}
    found = ask(
        tmp_path, small,
        ("/predict", b" " * 2000, {**asgi.JSON_HEADERS, "content-length": "2000"}),
        ("/predict", b" " * 2000),
        ("/predict", bomb[:900] if len(bomb) > 1000 else bomb, zipped),
        ("/predict", gzip.compress(b"{}", mtime=0)[:-4], zipped),
        ("/predict", b"no gzip", zipped),
        ("/predict", b"{}", {**asgi.JSON_HEADERS, "content-encoding": "br"}),
        ("/predict", {"records": [ROW] * 4}),
        ("/feedback", b" " * 2000),
    )  # fmt: skip
    assert [got.status for got in found] == [413, 413, 413, 400, 400, 415, 413, 413]
    assert found[0].headers["connection"] == "close"


def test_json_must_say_that_it_is_json(tmp_path: Path) -> None:
    """A web page can send text/plain to any address without asking."""
    found = ask(
        tmp_path,
        numbers(),
        *(
            (path, {"records": [ROW]}, {"content-type": "text/plain"})
            for path in ("/predict", "/invocations", "/feedback")
        ),
    )
    assert [got.status for got in found] == [415, 415, 415]


def test_pages_of_other_origins_may_not_ask_a_service_without_keys(tmp_path: Path) -> None:
    origins = ["https://evil.example", "http://localhost:8000", "http://127.0.0.1"]
    found = ask(
        tmp_path, numbers(), *(("/predict", {"records": [ROW]}, {**asgi.JSON_HEADERS, "origin": o}) for o in origins)
    )
    assert [got.status for got in found] == [403, 200, 200]


def test_feedback_is_taken_for_predictions_that_can_be_and_refused_for_others(tmp_path: Path) -> None:
    async def story(client: Client) -> list[Got]:
        answered = await client.post("/predict", {"records": [ROW, ROW]})
        request = answered.json["request_id"]
        bodies: list[Any] = [
            {"request_id": request, "row": 1, "value": 1},
            [{"request_id": request, "row": 0, "name": "revenue", "value": {"euro": 3.5}}],
            {"request_id": "0123456789abcdef-0-0-99999", "value": 1},
            {"request_id": "nonsense", "value": 1},
            {"value": 1},
            {"request_id": request, "row": -1, "value": 1},
        ]
        return [await client.post("/feedback", body) for body in bodies]

    found = run(tmp_path, numbers(), story)
    assert [got.status for got in found] == [202, 202, 404, 404, 422, 422]
    from nbprod.predictions.feedback import read_feedback

    assert read_feedback(tmp_path).column("name").to_pylist() == ["", "revenue"]


def test_pages_describe_the_model_and_its_health(tmp_path: Path) -> None:
    async def story(client: Client) -> list[Got]:
        await client.post("/predict", {"records": [ROW]})
        paths = ["/livez", "/readyz", "/metrics", "/openapi.json", "/docs", "/", "/ping", "/health", "/version", "/v2",
                 "/v2/health/live", "/v2/health/ready", "/v2/models/toy", "/v2/models/toy/ready",
                 "/v2/models/toy/versions/1", "/nowhere", "/predict", "/v2/models/other"]  # fmt: skip
        return [await client.get(path) for path in paths]

    found = run(tmp_path, numbers(), story)
    assert [got.status for got in found] == [200] * 5 + [307] + [200] * 9 + [404, 405, 404]
    text = found[2].body.decode()
    assert 'nbprod_predictions_total{version="1",class="1"} 1' in text
    assert 'nbprod_requests_total{route="/predict",status="200"} 1' in text
    assert "nbprod_journal_lag_bytes" in text
    about = found[3].json
    assert about["info"]["title"] == "toy"
    assert about["components"]["schemas"]["Row"]["required"] == ["a", "b", "c"]
    assert "default-src 'none'" in found[4].headers["content-security-policy"]
    assert b"://" not in found[4].body.replace(b"http://www.w3.org", b"")


def test_the_example_of_the_description_is_answered(tmp_path: Path) -> None:
    async def story(client: Client) -> Got:
        about = (await client.get("/openapi.json")).json
        body = about["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["example"]
        return await client.post("/predict", body)

    for answer in (numbers(), mixed(), asgi.tensor()):
        assert run(tmp_path, answer, story).status == 200


def test_keys_are_asked_for_everywhere_but_for_health(tmp_path: Path) -> None:
    from nbprod.trust.callers import add_key

    file = tmp_path / "keys.txt"
    key = add_key(file, "ana")

    async def story(client: Client) -> list[int]:
        good = {**asgi.JSON_HEADERS, "authorization": f"Bearer {key}"}
        other = {**asgi.JSON_HEADERS, "x-api-key": key}
        found = [
            await client.post("/predict", {"records": [ROW]}, headers) for headers in (asgi.JSON_HEADERS, good, other)
        ]
        found.append(await client.post("/predict", {"records": [ROW]}, {**asgi.JSON_HEADERS, "x-api-key": "nbp_wrong"}))
        found += [await client.get(path) for path in ("/livez", "/readyz", "/metrics", "/openapi.json", "/feedback")]
        return [got.status for got in found]

    assert run(tmp_path / "log", numbers(), story, keys=file) == [401, 200, 200, 401, 200, 200, 401, 401, 405]
    assert {record.key for record in logged(tmp_path / "log")} == {"ana"}


def test_a_wrong_key_is_told_from_none(tmp_path: Path) -> None:
    from nbprod.trust.callers import add_key

    file = tmp_path / "keys.txt"
    add_key(file, "ana")

    async def story(client: Client) -> list[str]:
        wrong = {**asgi.JSON_HEADERS, "x-api-key": "nbp_wrong"}
        return [(await client.post("/predict", {}, headers)).json["error"] for headers in (asgi.JSON_HEADERS, wrong)]

    assert run(tmp_path / "log", numbers(), story, keys=file) == [
        "this service needs an API key: send one as `Authorization: Bearer KEY`.",
        "this API key is none of this service's: send one as `Authorization: Bearer KEY`.",
    ]


def test_a_shadow_scores_under_the_same_id_and_nobody_sees_it(tmp_path: Path) -> None:
    async def story(client: Client) -> Got:
        got = await client.post("/predict", {"records": [ROW]})
        while not client.service.batcher.empty:
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        return got

    got = run(tmp_path, numbers(), story, shadow=asgi.numbers(version="2", shift=1.0))
    assert got.json["version"] == "1"
    assert {(r.request, r.role, r.version) for r in logged(tmp_path)} == {
        (got.json["request_id"], "answer", "1"), (got.json["request_id"], "shadow", "2"),
    }  # fmt: skip


def test_a_canary_answers_its_share_and_always_the_same_callers(tmp_path: Path) -> None:
    async def story(client: Client) -> list[str]:
        names = [f"caller-{number}" for number in range(200)] * 2
        found = [
            await client.post("/predict", {"records": [ROW]}, {**asgi.JSON_HEADERS, "nbprod-sticky": n}) for n in names
        ]
        return [got.json["version"] for got in found]

    versions = run(tmp_path, numbers(), story, canary=asgi.numbers(version="2"), share=0.25)
    assert versions[:200] == versions[200:]
    assert 30 <= versions[:200].count("2") <= 70
    assert {r.role for r in logged(tmp_path) if r.version == "2"} == {"canary"}


def test_an_exchange_of_versions_drops_no_request(tmp_path: Path) -> None:
    from nbprod.serving.service import Loaded, Roles

    async def story(client: Client) -> list[Got]:
        tasks = [asyncio.create_task(client.post("/predict", {"records": [ROW]})) for _ in range(20)]
        await asyncio.sleep(0)
        client.service.exchange(Roles(answer=Loaded.of(asgi.numbers(version="2"), locked=False)))
        tasks += [asyncio.create_task(client.post("/predict", {"records": [ROW]})) for _ in range(20)]
        return await asyncio.gather(*tasks)

    found = run(tmp_path, numbers(), story)
    assert {got.status for got in found} == {200}
    assert [got.json["version"] for got in found[20:]] == ["2"] * 20


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "c", "rows", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)
bodies = st.one_of(
    st.binary(max_size=60),
    anything.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(
        st.sampled_from(["records", "columns", "rows", "proba", "dataframe_split", "instances", "inputs", "data"]),
        anything, max_size=3,
    ).map(lambda value: json.dumps(value).encode()),
)  # fmt: skip


@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=bodies, path=st.sampled_from(["/predict", "/invocations", "/v2/models/toy/infer", "/feedback"]),
       kind=st.sampled_from(["application/json", "text/csv", "text/plain"]))  # fmt: skip
def test_no_body_makes_the_service_fail(tmp_path: Path, body: bytes, path: str, kind: str) -> None:
    answer = numbers() if len(body) % 2 else mixed()
    (got,) = ask(tmp_path, answer, (path, body, {"content-type": kind}))
    assert got.status < 500, (got, body)


values = st.floats(allow_nan=False, allow_infinity=False, width=32).map(float)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(values, values, values), min_size=1, max_size=20))
def test_the_fast_path_answers_as_the_model_does(tmp_path: Path, rows: list[tuple[float, float, float]]) -> None:
    answer = numbers()
    (got,) = ask(tmp_path, answer, ("/predict", {"columns": ["a", "b", "c"], "rows": rows}))
    assert got.json["predictions"] == answer.predict(answer.shaper.frame(rows)).tolist()
