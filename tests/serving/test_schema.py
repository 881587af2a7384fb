"""The OpenAPI document holds what it promises: schemathesis makes requests from it, and none makes the service fail."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.serving import asgi
from tests.serving.asgi import Client, Got


class Apart:
    """A service whose event loop runs in a thread, for callers that wait."""

    def __init__(self, folder: Path, answer: Any) -> None:
        self._ready: Future[Client] = Future()
        self._end: asyncio.Event
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(folder, answer)))
        self._thread.start()
        self.client = self._ready.result()

    async def _run(self, folder: Path, answer: Any) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        with asgi.service(folder, answer) as service:
            self._ready.set_result(Client(service))
            await self._end.wait()

    def ask(self, *arguments: Any) -> Got:
        """Make a request and wait for the answer."""
        return asyncio.run_coroutine_threadsafe(self.client.ask(*arguments), self._loop).result()

    def close(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()


PREDICTING = ("/predict", "/invocations", "/v2/models/toy/infer")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [asgi.numbers, asgi.mixed])
def test_requests_made_from_the_description_are_answered_as_it_says(tmp_path: Path, make: Callable[[], Any]) -> None:
    service = Apart(tmp_path, make())
    seen: dict[str, Counter[int]] = defaultdict(Counter)
    try:
        document = service.ask("GET", "/openapi.json").json
        schema: Any = schemathesis.openapi.from_dict(document)
        operations = [found.ok() for found in schema.get_all_operations()]
        for operation in operations:

            @settings(
                deadline=None, max_examples=25, suppress_health_check=list(HealthCheck), database=None, derandomize=True
            )
            @given(data=st.data())
            def check(operation: Any, data: st.DataObject) -> None:
                case = data.draw(operation.as_strategy())
                sent = b"" if not isinstance(case.body, (dict, list)) else json.dumps(case.body).encode()
                got = service.ask(case.method, operation.path, sent)
                seen[operation.path][got.status] += 1
                assert got.status < 500, got
                assert str(got.status) in operation.definition.raw["responses"], (operation.path, got)
                if operation.path == "/predict" and got.status == 200:
                    assert len(got.json["predictions"]) == len(case.body.get("records", case.body.get("rows")))

            check(operation)
    finally:
        service.close()
    assert {*PREDICTING, "/feedback"} <= seen.keys()
    assert seen["/feedback"][404]  # well formed, and no prediction has such an id
    # What fits the description fits the signature, but for cities that no model knows and lists that differ in length.
    assert make is asgi.mixed or (seen["/predict"][200], seen["/invocations"][200]) > (20, 10), seen
    assert seen["/v2/models/toy/infer"][422], seen


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("make", [asgi.numbers, asgi.mixed, asgi.tensor])
def test_every_example_of_the_description_is_answered(tmp_path: Path, make: Callable[[], Any]) -> None:
    async def story(client: Client) -> None:
        document = (await client.get("/openapi.json")).json
        paths, components = document["paths"], document["components"]
        answered = []
        for path in PREDICTING:
            media = paths[path]["post"]["requestBody"]["content"]["application/json"]
            jsonschema.validate(media["example"], {**media["schema"], "components": components})
            answered.append(await client.post(path, media["example"]))
        assert [got.status for got in answered] == [200, 200, 200], answered
        first = [
            answered[0].json["predictions"],
            answered[1].json["predictions"],
            answered[2].json["outputs"][0]["data"],
        ]
        assert first == [first[0]] * 3

    asgi.run(tmp_path, make(), story)
