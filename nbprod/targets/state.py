"""What is deployed, on disk: one file a name and target under ``.nbprod/deployments/``."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from nbprod.errors import DeployError
from nbprod.store import write_text
from nbprod.targets import SCHEMA, Deployment, as_document

SCHEMAS = frozenset({SCHEMA})
"""What this nbprod can read; every version that was ever written stays here."""


def state_file(folder: Path, name: str, target: str) -> Path:
    """Where a deployment is noted; a name holds no ``/``."""
    return folder / f"{name}.{target}.json"


def save(file: Path, deployment: Deployment) -> None:
    """Note a deployment, whole."""
    write_text(file, json.dumps(as_document(deployment), indent=1, ensure_ascii=False) + "\n")


def read(file: Path) -> Deployment | None:
    """The deployment that is noted in a file; None where there is none.

    Raises:
        DeployError: the file is damaged, or of a newer nbprod.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["schema"] in SCHEMAS:
            return Deployment.from_dict(content)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DeployError(
            "is no deployment that can be read: move it away, and deploy again.", file=str(file)
        ) from error
    raise DeployError(
        f"has the schema '{content['schema']}', which this nbprod does not read: upgrade.", file=str(file)
    )


def read_all(folder: Path) -> tuple[Deployment, ...]:
    """Everything that is deployed, by name and target."""
    found = (read(file) for file in sorted(folder.glob("*.json")))
    return tuple(deployment for deployment in found if deployment is not None)


def now() -> str:
    """The time as it is noted."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
