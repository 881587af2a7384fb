"""A bundle's ``README.md``: for whoever operates the service and never saw the notebook."""

from __future__ import annotations

from typing import Any

from nbprod.packaging.image import DATA, PORT, USER, image_tag, is_pinned, label
from nbprod.targets.container import KEY_FILE

TEXT = """\
# {ref}

A service of the model **{name}**, version {version}, made by nbprod {nbprod}. Everything that it needs is in this
folder; it asks no registry.

{intended}
| | |
|---|---|
| model | {flavor}, sha256 `{model}` |
| registry entry | sha256 `{entry}`, in `model/nbprod/nbprod.json` |
| signature | {signature} |
| owner | {owner} |
| limits | {limitations} |
| takes | {takes} |
| runs with | Python {python}, {packages} packages in `requirements.lock`{platform} |

## Run it

As an image (any of podman, docker and buildah):

    podman build --tag {tag} .
    key=$(head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=') && echo "$key"
    mkdir -p ../keys && echo "operator sha256:$(printf %s "$key" | sha256sum | cut -d ' ' -f 1)" > ../keys/api-keys
    podman run --read-only --tmpfs /tmp --cap-drop all --security-opt no-new-privileges \\
        --volume ../keys:{keys}:ro --volume nbprod-{label}:{data} --publish 127.0.0.1:{port}:{port} {tag}

The key is printed once; `keys/api-keys` only holds its hash, so the image's user may read it. Put nothing into the
bundle's folder: a bundle that holds anything else than was built is refused.

Without an image, in an environment of its own:

    python{python} -m venv ../environment
    ../environment/bin/pip install --no-deps --require-hashes {index}--find-links wheels --requirement requirements.lock
    NBPROD_KEYS=keys ../environment/bin/nbprod serve . --port {port}

{kubernetes}{base}
## Ask it

    curl --header "Authorization: Bearer $key" --json '{question}' http://127.0.0.1:{port}/predict

## Watch it

- `/livez` answers 200 while the process works; when it does not, start it again.
- `/readyz` answers 200 when the model is loaded and warm; send requests only then.
- `/metrics` is for Prometheus.
- It ends by itself within 45 seconds after SIGTERM, when what it was asked is answered. Its exit code is 0 then.
- It writes the journal of predictions under `{data}` and nothing else but `/tmp`. The journal is personal data: keep
  the volume as long as you must and no longer.

## Keys and secrets

- The hashes of API keys are in the file that `--api-key-file` names, one `NAME sha256:HASH` a line, and are read again
  when it changes: add a line for a new key, and delete the old one when nobody uses it. Nothing secret is in this
  folder or in the image.
- `keys/` holds the public keys that the model's signature is checked with before it is loaded; the variable
  `NBPROD_KEYS` says that they are trusted. Whoever can write here can also put another key: compare the key's id with
  the one you know, or check with your own: `nbprod verify model`.

## Go back

A bundle is never changed: keep the one before, and start it instead (`podman run` of its tag, `kubectl rollout undo
deployment/nbprod-{label}`, or `nbprod deploy` of its folder).

## What is in this folder

`bundle.json` lists every file with its sha256. `model/` is the registered folder, bit by bit. `statements/` holds what
was said of the version until it was built: registration, gates, promotions. `sbom.cdx.json` lists what is installed, in
CycloneDX 1.6. The same version gives the same bytes, so another build of it can be compared with this one.
"""


def guide(entry: dict[str, Any], about: dict[str, Any], *, kubernetes: str) -> str:
    """The text.

    Args:
        entry: of the version.
        about: the fields of `nbprod.packaging.bundle.Manifest`.
        kubernetes: ``yes`` where manifests are in the bundle.
    """
    model, ref = entry["model"], f"{about['name']}/{about['version']}"
    signed = about["model"]["signature"] == "ok"
    intended = "" if entry["intended_use"] == "unknown" else f"Intended use: {entry['intended_use']}\n"
    return TEXT.format(
        ref=ref,
        name=about["name"],
        version=about["version"],
        nbprod=about["nbprod"],
        intended=intended,
        flavor=model["flavor"] + (f" ({model['serialization']})" if model["serialization"] else ""),
        model=model["sha256"],
        entry=about["entry"],
        signature=f"good, key `{about['model']['key']}`" if signed else "**none: nobody vouches for these bytes**",
        owner=_cell(entry["owner"]),
        limitations=_cell(entry["limitations"]),
        takes=_cell(_takes(model)),
        python=about["python"],
        packages=about["packages"],
        platform=f"; wheels for {about['platform']}" if about["platform"] else "",
        tag=image_tag(ref),
        keys=KEY_FILE.rpartition("/")[0],
        label=label(about["name"]),
        data=DATA,
        port=PORT,
        index="--no-index " if about["wheels"] == "all" else "",
        kubernetes=_kubernetes(about) if kubernetes == "yes" else "",
        base=_base(about["base"]),
        question=_question(model),
    )


def _cell(text: Any) -> str:
    """A text in one cell of a table."""
    return " ".join(str(text).split()).replace("|", "\\|")


def _takes(model: dict[str, Any]) -> str:
    columns = (model["signature"] or {}).get("inputs") or ()
    named = [f"`{column['name']}` ({column['type']})" for column in columns if "name" in column]
    if not named:
        return "an array" if columns else "unknown: the model was logged without an example"
    return ", ".join(named[:12]) + (f" and {len(named) - 12} more" if len(named) > 12 else "")


def _question(model: dict[str, Any]) -> str:
    import json

    example = model["example"]
    if not isinstance(example, dict) or "columns" not in example:
        return json.dumps({"inputs": "..."})
    return json.dumps({"columns": example["columns"], "rows": example["data"][:1]}).replace("'", "'\\''")


def _kubernetes(about: dict[str, Any]) -> str:
    name = f"nbprod-{label(about['name'])}"
    return f"""\
On Kubernetes: push the image, name it in `kubernetes/overlays/production/kustomization.yaml`, then

    kubectl create secret generic {name}-api-keys --from-file=../keys/api-keys
    kubectl create secret generic {name}-metrics --from-literal=api-key="$key"
    kubectl apply -k kubernetes/overlays/production

The pods run as user {USER} with a read-only root and no way out to the network. Their journal is in an `emptyDir` and
goes with the pod: add the component `../../components/journal` for a volume. `components/servicemonitor` is for the
Prometheus operator (its API key is in the secret `{name}-metrics`), `components/monitoring` runs `nbprod monitor` every
night in an image with all of nbprod, with the variables of the ConfigMap `{name}-monitor`, such as
`MLFLOW_TRACKING_URI`. `kubernetes/kserve` is instead of all this where KServe runs.

"""


def _base(base: str) -> str:
    if is_pinned(base):
        return f"The image is built on `{base}`.\n"
    return (
        f"The image is built on `{base}`, which is not pinned by its digest: build the bundle with `--base "
        "IMAGE@sha256:...` to have the same image tomorrow.\n"
    )
