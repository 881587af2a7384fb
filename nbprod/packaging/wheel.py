"""nbprod's own wheel, made from what is installed: the same files give the same bytes, wherever and whenever.

No build tool is needed, and an editable install gives the wheel of the checkout as it stands.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path

from nbprod.digest import members
from nbprod.errors import DeployError

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first time that a zip archive can say: of every member."""

METADATA = ("METADATA", "entry_points.txt")
WHEEL = "Wheel-Version: 1.0\nGenerator: nbprod\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def own_wheel(folder: Path, *, package: Path | None = None, dist: Distribution | None = None) -> Path:
    """Write nbprod's wheel into a folder and return its path.

    Args:
        package: the folder of the package; by default the one that is running.
        dist: its metadata; by default what is installed.

    Raises:
        DeployError: nbprod is not installed, only on the import path.
    """
    dist = dist or distribution("nbprod")
    package = package or Path(__file__).parents[1]
    info = f"nbprod-{dist.version}.dist-info"
    content = {f"nbprod/{name}": path.read_bytes() for name, path in members(package) if not name.endswith(".pyc")}
    for name in METADATA:
        text = dist.read_text(name)
        if text is None:
            raise DeployError("nbprod is not installed here, so it cannot travel along: pip install nbprod.")
        content[f"{info}/{name}"] = text.encode()
    content |= {f"{info}/{name}": data for name, data in _licences(dist).items()}
    content[f"{info}/WHEEL"] = WHEEL.encode()
    target = folder / f"nbprod-{dist.version}-py3-none-any.whl"
    _write(target, content, record=f"{info}/RECORD")
    return target


def _licences(dist: Distribution) -> dict[str, bytes]:
    """Name within the metadata's folder -> text of each licence."""
    found = {}
    for file in dist.files or ():
        parts = file.parts
        if "licenses" in parts and parts[0].endswith(".dist-info"):
            found["/".join(parts[1:])] = Path(str(file.locate())).read_bytes()
    return found


def _write(target: Path, content: dict[str, bytes], *, record: str) -> None:
    """Members sorted, of one time and mode, not compressed: compressors differ between machines."""
    lines = [f"{name},sha256={_urlsafe(data)},{len(data)}\n" for name, data in sorted(content.items())]
    whole = {**dict(sorted(content.items())), record: "".join([*lines, f"{record},,\n"]).encode()}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, data in whole.items():
            member = zipfile.ZipInfo(name, EPOCH)
            member.create_system = 3  # Unix, so that the mode counts
            member.external_attr = 0o100644 << 16
            archive.writestr(member, data)


def _urlsafe(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
