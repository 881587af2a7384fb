"""The manifests are valid where they are to be applied, ask for no rights, and fit together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from nbprod.packaging.kubernetes import Service, manifests, overlay, rendered
from tests.packaging.crds import INFERENCE_SERVICE, OWN, SERVICE_MONITOR

SERVICE = Service(name="My churn_model", version="3", entry="e" * 64)
OLDEST, NEWEST = "1.28", kubernetes_validate.latest_version().rpartition(".")[0]
NOT_KUBERNETES = {"Kustomization", "Component", "ServiceMonitor", "InferenceService"}


def objects() -> Iterator[tuple[str, dict[str, Any]]]:
    """File and object, as they are read back from what is written."""
    for path, text in rendered(SERVICE).items():
        yield from ((path, found) for found in yaml.safe_load_all(text))


def kinds() -> dict[str, dict[str, Any]]:
    return {found["kind"]: found for _, found in objects()}


def pods() -> dict[str, dict[str, Any]]:
    """Kind -> the pod in it."""
    found = kinds()
    predictor = found["InferenceService"]["spec"]["predictor"]
    return {
        "Deployment": found["Deployment"]["spec"]["template"]["spec"],
        "CronJob": found["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"],
        "InferenceService": {key: value for key, value in predictor.items() if key not in OWN},
    }


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_what_kubernetes_knows_is_valid_and_holds_nothing_unknown(version: str) -> None:
    checked = [found for _, found in objects() if found["kind"] not in NOT_KUBERNETES]
    for found in checked:
        kubernetes_validate.validate(found, version, strict=True)
    assert {found["kind"] for found in checked} == {
        "Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy", "CronJob",
        "PersistentVolumeClaim",
    }  # fmt: skip


def test_a_field_that_kubernetes_does_not_know_would_be_found() -> None:
    found = kinds()["Deployment"]
    found["spec"]["template"]["spec"]["containers"][0]["readOnlyRoot"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(found, NEWEST, strict=True)


def test_the_service_monitor_is_valid() -> None:
    jsonschema.validate(kinds()["ServiceMonitor"], SERVICE_MONITOR)


def test_the_inference_service_is_valid_and_its_pod_is_one() -> None:
    jsonschema.validate(kinds()["InferenceService"], INFERENCE_SERVICE)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": pods()["InferenceService"]}
    kubernetes_validate.validate(pod, NEWEST, strict=True)


def test_kserve_is_told_which_protocol_the_container_speaks() -> None:
    (container,) = pods()["InferenceService"]["containers"]
    assert container["name"] == "kserve-container"
    assert {"name": "PROTOCOL", "value": "v2"} in container["env"]
    assert {probe["httpGet"]["port"] for key, probe in container.items() if key.endswith("Probe")} == {8080}


@pytest.mark.parametrize("kind", ["Deployment", "CronJob", "InferenceService"])
def test_no_pod_asks_for_rights(kind: str) -> None:
    pod = pods()[kind]
    security = pod["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] > 10_000
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for container in pod["containers"]:
        own = container["securityContext"]
        assert own["readOnlyRootFilesystem"] is True
        assert own["allowPrivilegeEscalation"] is False
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"].keys() == {"cpu", "memory"}
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_the_selector_finds_the_pods_and_names_no_version() -> None:
    found = kinds()
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        found["Deployment"]["spec"]["selector"]["matchLabels"],
        found["Service"]["spec"]["selector"],
        found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        found["ServiceMonitor"]["spec"]["selector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector.items() <= labels.items()
        assert "app.kubernetes.io/version" not in selector
    # and those of the nightly monitoring are not asked to predict
    monitor = found["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
    assert not selectors[0].items() <= monitor.items()


def test_the_autoscaler_alone_says_how_many_there_are() -> None:
    found = kinds()
    assert "replicas" not in found["Deployment"]["spec"]
    assert found["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == found["Deployment"]["metadata"]["name"]


def test_every_resource_of_a_kustomization_is_there() -> None:
    files = manifests(SERVICE)
    for path, (found, *_) in files.items():
        if path.endswith("kustomization.yaml"):
            folder = path.rpartition("/")[0]
            for resource in found["resources"]:
                target = f"{folder}/{resource}"
                assert target in files or resource == "../../base", target


def test_the_base_needs_no_operator() -> None:
    (base,) = manifests(SERVICE)["base/kustomization.yaml"]
    assert base["resources"] == ["deployment.yaml", "service.yaml", "hpa.yaml", "pdb.yaml", "networkpolicy.yaml"]


def test_the_journal_can_be_put_on_a_volume() -> None:
    (component,) = manifests(SERVICE)["components/journal/kustomization.yaml"]
    (patch,) = (yaml.safe_load(item["patch"]) for item in component["patches"])
    (volume,) = patch["spec"]["template"]["spec"]["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == kinds()["PersistentVolumeClaim"]["metadata"]["name"]
    assert patch["metadata"]["name"] == kinds()["Deployment"]["metadata"]["name"]


@pytest.mark.parametrize(
    ("image", "found"),
    [
        ("", {"newName": "nbprod-my-churn-model", "newTag": "3"}),
        ("registry.example/team/churn:7", {"newName": "registry.example/team/churn", "newTag": "7"}),
        ("registry.example:5000/churn", {"newName": "registry.example:5000/churn", "newTag": "3"}),
        (f"a/b@sha256:{'0' * 64}", {"newName": "a/b", "digest": f"sha256:{'0' * 64}"}),
        (f"host:5000/b:1@sha256:{'0' * 64}", {"newName": "host:5000/b", "digest": f"sha256:{'0' * 64}"}),
    ],
)
def test_the_overlay_says_where_the_image_is(image: str, found: dict[str, str]) -> None:
    made = overlay(SERVICE, base="../../base", image=image, namespace="ml")
    assert made["images"] == [{"name": "nbprod-my-churn-model", **found}]
    assert made["namespace"] == "ml"
    assert "namespace" not in overlay(SERVICE, base="../../base")


def test_the_same_version_gives_the_same_manifests() -> None:
    assert rendered(SERVICE) == rendered(Service(name="My churn_model", version="3", entry="e" * 64))
