"""What the operators' own objects may hold, as far as nbprod writes them: fields, types and what is required.

Written from the documentation of ``monitoring.coreos.com/v1`` ServiceMonitor and ``serving.kserve.io/v1beta1``
InferenceService; unlike the originals these know no other field, so that a mistyped one is found. The pod within an
InferenceService is a pod, and is validated as one.
"""

from __future__ import annotations

from typing import Any


def strict(required: list[str], **properties: Any) -> dict[str, Any]:
    """An object that holds these fields and no others."""
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


TEXT = {"type": "string", "minLength": 1}
DURATION = {"type": "string", "pattern": "^(0|([0-9]+(ms|[smhdwy]))+)$"}
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
METADATA = strict(["name"], name=TEXT, labels=TEXTS, namespace=TEXT, annotations=TEXTS)

ENDPOINT = strict(
    [],
    port=TEXT,
    path={"type": "string", "pattern": "^/"},
    interval=DURATION,
    scrapeTimeout=DURATION,
    authorization=strict([], type=TEXT, credentials=strict(["key"], name=TEXT, key=TEXT)),
)

SERVICE_MONITOR = strict(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "monitoring.coreos.com/v1"},
    kind={"const": "ServiceMonitor"},
    metadata=METADATA,
    spec=strict(
        ["endpoints", "selector"],
        selector=strict([], matchLabels=TEXTS),
        endpoints={"type": "array", "items": ENDPOINT, "minItems": 1},
    ),
)

OWN = {"minReplicas": {"type": "integer", "minimum": 0}, "maxReplicas": {"type": "integer", "minimum": 1}}
"""Fields of a predictor that are no pod's."""

INFERENCE_SERVICE = strict(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "serving.kserve.io/v1beta1"},
    kind={"const": "InferenceService"},
    metadata=METADATA,
    spec=strict(
        ["predictor"],
        predictor={
            "type": "object",
            "required": ["containers"],
            "properties": {**OWN, "containers": {"type": "array", "minItems": 1, "maxItems": 1}},
        },
    ),
)
