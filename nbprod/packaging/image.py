"""The recipe of a bundle's image: built from its own wheels, not as root, and nothing is installed when it runs."""

from __future__ import annotations

import re

from nbprod.errors import UsageError
from nbprod.targets.container import KEY_FILE

BASE = "python:{python}-slim"
"""The image that is built on where none is named; without a digest, so it may change."""

USER = 65532
"""Who runs in the image: nobody's number on most systems, as in images without a shell."""

PORT = 8080
DATA = "/data"
"""Where the service keeps its journal of predictions: the only place that it writes to, beside ``/tmp``."""

_IMAGE = re.compile(r"[a-z0-9][\w.:/-]*(@sha256:[0-9a-f]{64})?", re.IGNORECASE)

CONTAINERFILE = """\
# Made by nbprod: {ref}. Build it in this folder: podman build --tag {tag} .
FROM {base} AS installed
COPY requirements.lock /build/
COPY wheels /build/wheels
# Only what the lock names, by its hashes; compiled here so that the folder is the same whenever it is built, and never
# written to later. pip stays behind.
RUN python3 -c 'import sys; sys.exit(sys.version_info[:2] != {minor} and "this image must have Python {python}")' \\
 && python3 -m venv /opt/nbprod \\
 && /opt/nbprod/bin/python -m pip install --no-cache-dir --disable-pip-version-check --no-compile --no-deps \\
    --require-hashes {index}--find-links /build/wheels --requirement /build/requirements.lock \\
 && rm -rf /opt/nbprod/lib/python{python}/site-packages/pip* /opt/nbprod/lib/python{python}/site-packages/setuptools* \\
    /opt/nbprod/bin/pip* \\
 && find /opt/nbprod -name __pycache__ -prune -exec rm -rf {{}} + \\
 && /opt/nbprod/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/nbprod/lib \\
 && mkdir {data} && chown {user}:{user} {data}

FROM {base}
COPY --from=installed /opt/nbprod /opt/nbprod
COPY --from=installed --chown={user}:{user} {data} {data}
COPY bundle.json requirements.lock sbom.cdx.json README.md /bundle/
COPY keys /bundle/keys
COPY statements /bundle/statements
COPY model /bundle/model
ENV PATH=/opt/nbprod/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp \\
    NBPROD_KEYS=/bundle/keys
USER {user}:{user}
WORKDIR {data}
EXPOSE {port}
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \\
    CMD ["/opt/nbprod/bin/python", "-c", "{probe}"]
ENTRYPOINT ["/opt/nbprod/bin/nbprod", "serve", "/bundle", "--host", "0.0.0.0", "--port", "{port}"]
CMD ["--api-key-file", "{keys}"]
"""

PROBE = (
    "import urllib.request as request; request.build_opener(request.ProxyHandler({{}})).open("
    "'http://127.0.0.1:{port}/livez', timeout=2)"
)


def check_base(base: str) -> str:
    """An image's name as it may stand after ``FROM``.

    Raises:
        UsageError: it is none, or its digest is none.
    """
    if not _IMAGE.fullmatch(base):
        raise UsageError(f"'{base}' names no image: write IMAGE, IMAGE:TAG or IMAGE@sha256:DIGEST.")
    return base


def is_pinned(base: str) -> bool:
    """Whether an image's name says its bytes."""
    return "@sha256:" in base


def containerfile(*, ref: str, base: str, python: str, wheels: str) -> str:
    """The recipe.

    Args:
        python: ``major.minor``.
        wheels: ``all`` if nothing is to be downloaded while it is built.
    """
    return CONTAINERFILE.format(
        ref=ref,
        tag=image_tag(ref),
        base=base,
        python=python,
        minor=tuple(map(int, python.split("."))),
        index="--no-index " if wheels == "all" else "",
        data=DATA,
        user=USER,
        port=PORT,
        probe=PROBE.format(port=PORT),
        keys=KEY_FILE,
    )


def image_tag(ref: str) -> str:
    """What a version's image is called by default, such as ``nbprod-churn:3``."""
    name, _, version = ref.rpartition("/")
    return f"nbprod-{label(name)}:{version}"


def label(name: str) -> str:
    """A name as Kubernetes and image names allow it: small letters, digits and ``-``, at most 40 characters."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-") or "model"
