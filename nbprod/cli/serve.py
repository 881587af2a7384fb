"""``nbprod serve``: a stand-in that reads a bundle; the serving room replaces it."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("serve")
@click.argument("ref", metavar="NAME[/VERSION|@ALIAS]|BUNDLE")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, help="Port to listen on.")
@click.option(
    "--api-key-file", type=click.Path(exists=True, dir_okay=False), help="Keys that are accepted, one a line."
)
def command(ref: str, host: str, port: int, api_key_file: str | None) -> None:
    """Serve a bundle."""
    import json

    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from nbprod.flavors.answers import plain
    from nbprod.flavors.example import example_of
    from nbprod.flavors.loading import load
    from nbprod.packaging.bundle import MODEL, check_bundle

    folder = Path(ref)
    manifest = check_bundle(folder)
    entry = json.loads((folder / MODEL / "nbprod" / "nbprod.json").read_text(encoding="utf-8"))
    model = load(folder / MODEL, trusted=entry["model"]["trusted"])
    keys = {line.strip() for line in Path(api_key_file).read_text().split()} if api_key_file else set()

    async def health(request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    async def predict(request: Request) -> JSONResponse:
        if keys and request.headers.get("authorization", "").removeprefix("Bearer ") not in keys:
            return JSONResponse({"error": "no API key"}, status_code=401)
        body = await request.json()
        asked = {**entry["model"], "example": {"columns": body["columns"], "data": body["rows"]}}
        answer = plain(model.predict(example_of(asked)))
        return JSONResponse({"model": manifest.name, "version": manifest.version, "predictions": answer})

    routes = [Route("/livez", health), Route("/readyz", health), Route("/predict", predict, methods=["POST"])]
    uvicorn.run(Starlette(routes=routes), host=host, port=port, log_level="warning")
