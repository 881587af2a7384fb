"""A service without sockets: small models, a journal in a folder, and a client that calls the application itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from nbprod.serving.app import App
from nbprod.serving.keys import ApiKeys
from nbprod.serving.limits import Limits
from nbprod.serving.loading import Source, prepare
from nbprod.serving.pages import pages
from nbprod.serving.served import Served
from nbprod.serving.server import Plan, _service
from nbprod.serving.service import Service

LIMITS = Limits()
LIMITS = Limits()
JSON_HEADERS = {"content-type": "application/json"}


def entry(columns: Sequence[Mapping[str, Any]], example: Any, *, name: str = "toy", log: Any = None) -> dict[str, Any]:
    """As much of a registry entry as a service reads."""
    return {
        "name": name,
        "owner": "unknown",
        "intended_use": "Tests.",
        "limitations": "unknown",
        "inputs": [],
        "model": {
            "flavor": "sklearn",
            "signature": {
                "inputs": list(columns),
                "outputs": [{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}],
            },
            "example": example,
        },
        "pipeline": {"path": None, "sections": {} if log is None else {"log": log}},
    }


def column(name: str, kind: str, *, required: bool = True) -> dict[str, Any]:
    return {"name": name, "type": kind, "required": required}


def served(
    model: Any, about: dict[str, Any], *, version: str = "1", limits: Limits = LIMITS, kept: Any = None
) -> Served:
    names = tuple(item.get("name", "rows") for item in about["model"]["signature"]["inputs"])
    source = Source(
        name=about["name"], version=version, digest="d" * 64, folder=Path(), entry=about, signed="ok",
        kept=names if kept is None else kept,
    )  # fmt: skip
    found: Served = prepare(model, source, limits)
    return found


def numbers_frame(rows: int = 60) -> pd.DataFrame:
    dice = np.random.default_rng(0)
    return pd.DataFrame(dice.normal(size=(rows, 3)), columns=["a", "b", "c"])


def split(frame: pd.DataFrame) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(frame.to_json(orient="split", index=False))
    return found


def numbers(*, version: str = "1", shift: float = 0.0, **options: Any) -> Served:
    """A classifier of three numbers."""
    rows = numbers_frame()
    model = LogisticRegression().fit(rows, (rows.sum(axis=1) > shift).astype(int))
    about = entry([column(name, "double") for name in map(str, rows)], split(rows.head(4)))
    return served(model, about, version=version, **options)


def mixed(**options: Any) -> Served:
    """A classifier of a whole number, a text and an optional number, which selects columns by name."""
    dice = np.random.default_rng(0)
    rows = pd.DataFrame(
        {"age": dice.integers(18, 80, 60), "city": dice.choice(["Lyon", "Oslo"], 60), "w": dice.normal(size=60)}
    )
    select = make_column_transformer((OneHotEncoder(handle_unknown="error"), ["city"]), ("passthrough", ["age"]))
    model = make_pipeline(select, LogisticRegression()).fit(rows, np.where(rows.age > 40, "old", "young"))
    about = entry(
        [column("age", "long"), column("city", "string"), column("w", "double", required=False)], split(rows.head(4))
    )
    return served(model, about, **options)


def tensor(**options: Any) -> Served:
    """A regression of two numbers, as an array."""
    dice = np.random.default_rng(0)
    rows = dice.normal(size=(40, 2))
    about = entry([{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}], rows[:2].tolist())
    return served(LinearRegression().fit(rows, rows.sum(axis=1)), about, **options)


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


class Client:
    """Calls the application as a server would."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.app = App(service, pages(service))

    async def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = JSON_HEADERS, *, parts: int = 1
    ) -> Got:
        """One request, its body in so many parts."""
        path, _, query = path.partition("?")
        size = -(-len(body) // parts) or 1
        cut = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
        messages = [
            {"type": "http.request", "body": part, "more_body": number + 1 < len(cut)}
            for number, part in enumerate(cut)
        ]
        sent: list[Any] = []

        async def receive() -> Any:
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "http_version": "1.1", "scheme": "http", "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1),
            "root_path": "",
        }  # fmt: skip
        await self.app(scope, receive, send)
        start = sent[0]
        content = b"".join(message.get("body", b"") for message in sent[1:])
        return Got(
            status=start["status"], headers={k.decode().lower(): v.decode() for k, v in start["headers"]}, body=content
        )

    async def post(self, path: str, body: Any, headers: Mapping[str, str] = JSON_HEADERS, **options: Any) -> Got:
        """Post JSON, or bytes as they are."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.ask("POST", path, content, headers, **options)

    async def get(self, path: str, headers: Mapping[str, str] = {}) -> Got:
        """Get a page."""
        return await self.ask("GET", path, b"", headers)


@contextmanager
def service(folder: Path, answer: Served, *, keys: Path | None = None, share: float = 0.0, **others: Served) -> Any:
    """A service within a running event loop.

    Args:
        others: ``shadow`` and ``canary``.
    """
    source = Source(
        name=answer.name,
        version=answer.version,
        digest=answer.digest,
        folder=Path(),
        entry=answer.entry,
        signed="ok",
        kept=(),
    )
    plan = Plan(answer=source, log=folder, limits=answer.decoder.limits, api_keys=keys, share=share)
    with _service(plan, {"answer": answer, **others}, cpus=1, worker=0, slots=None) as found:
        if keys is not None:
            found.keys = ApiKeys(keys)
        yield found


def run(folder: Path, answer: Served, story: Any, **options: Any) -> Any:
    """Let a story, a coroutine function of a client, happen with a service."""

    async def told() -> Any:
        with service(folder, answer, **options) as found:
            return await story(Client(found))

    return asyncio.run(told())


def with_limits(found: Served, limits: Limits) -> Served:
    """The same version with other limits."""
    from nbprod.serving.decode import Decoder

    return replace(found, decoder=Decoder(found.signature, limits))
