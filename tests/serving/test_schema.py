"""The OpenAPI document holds what it promises: schemathesis makes requests from it, and none makes the service fail."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

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


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [asgi.numbers, asgi.mixed])
def test_requests_made_from_the_description_are_answered_as_it_says(tmp_path: Path, make: Callable[[], Any]) -> None:
    service = Apart(tmp_path, make())
    try:
        document = service.ask("GET", "/openapi.json").json
        schema: Any = schemathesis.openapi.from_dict(document)
        operations = [found.ok() for found in schema.get_all_operations()]
        assert {"/predict", "/invocations", "/feedback", "/v2/models/toy/infer"} <= {item.path for item in operations}

        @settings(
            deadline=None, max_examples=60, suppress_health_check=list(HealthCheck), database=None, derandomize=True
        )
        @given(data=st.data())
        def check(data: st.DataObject) -> None:
            operation = data.draw(st.sampled_from(operations))
            case = data.draw(operation.as_strategy())
            sent = b"" if not isinstance(case.body, (dict, list)) else json.dumps(case.body).encode()
            got = service.ask(case.method, operation.path, sent)
            assert got.status < 500, got
            assert str(got.status) in operation.definition.raw["responses"], (operation.path, got)
            if operation.path == "/predict" and got.status == 200:
                assert len(got.json["predictions"]) == len(case.body.get("records", case.body.get("rows")))

        check()
    finally:
        service.close()
