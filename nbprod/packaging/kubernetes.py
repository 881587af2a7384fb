"""A bundle's manifests: a Kustomize base that asks for nothing but Kubernetes, parts to add, an overlay, and KServe.

What needs an operator of its own (ServiceMonitor, KServe) or a decision (a volume, a registry's address) is a component
or a folder apart, so that ``kubectl apply -k`` of the overlay works on any cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nbprod.packaging.image import DATA, PORT, USER, image_tag, label
from nbprod.targets.container import KEY_FILE

MONITOR = "17 3 * * *"
"""When the monitoring runs: once a night, at a minute of its own."""

Object = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What the manifests are about.

    Attributes:
        name, version: of the model.
        entry: digest of the version's entry.
        port: of the container.
    """

    name: str
    version: str
    entry: str
    port: int = PORT

    @property
    def label(self) -> str:
        """The name as Kubernetes allows it."""
        return f"nbprod-{label(self.name)}"

    @property
    def image(self) -> str:
        """The image that the overlay replaces."""
        return image_tag(f"{self.name}/{self.version}")

    @property
    def selector(self) -> dict[str, str]:
        """What finds its pods; never the version, since a selector cannot change."""
        return {"app.kubernetes.io/name": self.label, "app.kubernetes.io/component": "service"}

    @property
    def labels(self) -> dict[str, str]:
        """What every object says of itself."""
        return {**self.selector, "app.kubernetes.io/version": self.version, "app.kubernetes.io/managed-by": "nbprod"}


def manifests(service: Service) -> dict[str, list[Object]]:
    """Path within ``kubernetes/`` -> the objects of that file."""
    base = {
        "deployment": _deployment(service),
        "service": _service(service),
        "hpa": _autoscaler(service),
        "pdb": _disruption(service),
        "networkpolicy": _network(service),
    }
    files = {f"base/{name}.yaml": [found] for name, found in base.items()}
    files["base/kustomization.yaml"] = [_kustomization(resources=[f"{name}.yaml" for name in base])]
    files |= _components(service)
    files |= _overlay(service)
    files["kserve/inferenceservice.yaml"] = [_inference(service)]
    files["kserve/kustomization.yaml"] = [_kustomization(resources=["inferenceservice.yaml"])]
    return files


def as_yaml(objects: list[Object]) -> str:
    """The objects of one file."""
    import yaml

    return yaml.safe_dump_all(objects, sort_keys=False, default_flow_style=False, width=110)


def _object(kind: str, version: str, service: Service, spec: Object, *, name: str = "") -> Object:
    metadata = {"name": name or service.label, "labels": service.labels}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def _kustomization(**fields: Any) -> Object:
    return {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", **fields}


def _component(**fields: Any) -> Object:
    return {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component", **fields}


def pod_security() -> Object:
    """Of a whole pod: nobody's user, and the system calls that the container runtime allows by default."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> Object:
    """Of a container: nothing more can be had, and nothing be written but to volumes."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def _container(service: Service) -> Object:
    live = {"httpGet": {"path": "/livez", "port": "http"}}
    ready = {"httpGet": {"path": "/readyz", "port": "http"}}
    # Until every node knows that the pod is going, requests still come: it goes on answering for a while.
    wait = ["/opt/nbprod/bin/python", "-c", "import time; time.sleep(5)"]
    return {
        "name": "service",
        "image": service.image,
        "args": ["--api-key-file", KEY_FILE],
        "ports": [{"name": "http", "containerPort": service.port}],
        "startupProbe": {**ready, "periodSeconds": 2, "failureThreshold": 60},
        "livenessProbe": {**live, "periodSeconds": 10, "timeoutSeconds": 3, "failureThreshold": 3},
        "readinessProbe": {**ready, "periodSeconds": 5, "timeoutSeconds": 3, "failureThreshold": 2},
        "lifecycle": {"preStop": {"exec": {"command": wait}}},
        "resources": {"requests": {"cpu": "500m", "memory": "256Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}},
        "securityContext": container_security(),
        "volumeMounts": [
            {"name": "data", "mountPath": DATA},
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "api-keys", "mountPath": KEY_FILE.rpartition("/")[0], "readOnly": True},
        ],
    }


def _pod(service: Service) -> Object:
    keys = {"secretName": f"{service.label}-api-keys", "defaultMode": 0o440}
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        "terminationGracePeriodSeconds": 45,
        "containers": [_container(service)],
        "volumes": [
            {"name": "data", "emptyDir": {"sizeLimit": "2Gi"}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
            {"name": "api-keys", "secret": keys},
        ],
    }


def _deployment(service: Service) -> Object:
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": service.selector},
    }
    # No number of replicas: the autoscaler's, which an apply must not reset.
    return _object(
        "Deployment",
        "apps/v1",
        service,
        {
            "revisionHistoryLimit": 5,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "selector": {"matchLabels": service.selector},
            "template": {
                "metadata": {"labels": service.labels, "annotations": {"nbprod/entry": service.entry}},
                "spec": {**_pod(service), "topologySpreadConstraints": [spread]},
            },
        },
    )


def _service(service: Service) -> Object:
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    return _object("Service", "v1", service, {"type": "ClusterIP", "selector": service.selector, "ports": ports})


def _autoscaler(service: Service) -> Object:
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}
    return _object(
        "HorizontalPodAutoscaler",
        "autoscaling/v2",
        service,
        {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": service.label},
            "minReplicas": 2,
            "maxReplicas": 10,
            "metrics": [{"type": "Resource", "resource": cpu}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
        },
    )


def _disruption(service: Service) -> Object:
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": service.selector}}
    return _object("PodDisruptionBudget", "policy/v1", service, spec)


def _network(service: Service) -> Object:
    """The service is asked and asks nobody: it has all that it needs."""
    port = [{"protocol": "TCP", "port": "http"}]
    spec = {
        "podSelector": {"matchLabels": service.selector},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"ports": port}],
        "egress": [],
    }
    return _object("NetworkPolicy", "networking.k8s.io/v1", service, spec)


def _components(service: Service) -> dict[str, list[Object]]:
    return {
        "components/servicemonitor/servicemonitor.yaml": [_service_monitor(service)],
        "components/servicemonitor/kustomization.yaml": [_component(resources=["servicemonitor.yaml"])],
        "components/journal/volume.yaml": [_volume(service)],
        "components/journal/kustomization.yaml": [_component(resources=["volume.yaml"], patches=[_claimed(service)])],
        "components/monitoring/cronjob.yaml": [_monitoring(service)],
        "components/monitoring/kustomization.yaml": [_component(resources=["cronjob.yaml"])],
    }


def _service_monitor(service: Service) -> Object:
    key = {"name": f"{service.label}-metrics", "key": "api-key"}
    endpoint = {
        "port": "http",
        "path": "/metrics",
        "interval": "30s",
        "scrapeTimeout": "10s",
        "authorization": {"type": "Bearer", "credentials": key},
    }
    spec = {"selector": {"matchLabels": service.selector}, "endpoints": [endpoint]}
    return _object("ServiceMonitor", "monitoring.coreos.com/v1", service, spec)


def _volume(service: Service) -> Object:
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "10Gi"}}}
    return _object("PersistentVolumeClaim", "v1", service, spec, name=f"{service.label}-journal")


def _claimed(service: Service) -> Object:
    """Put the journal on a volume instead of in the pod; every pod writes to a folder of its own name."""
    claim = {"claimName": f"{service.label}-journal"}
    container = {
        "name": "service",
        "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "volumeMounts": [{"name": "data", "mountPath": DATA, "subPathExpr": "$(POD_NAME)"}],
    }
    volume = {"name": "data", "emptyDir": None, "persistentVolumeClaim": claim}
    pod = {"containers": [container], "volumes": [volume]}
    patch = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": service.label},
        "spec": {"template": {"spec": pod}},
    }
    return {"patch": as_yaml([patch])}


def _monitoring(service: Service) -> Object:
    """It needs the registry and the log of predictions, so it runs an image with all of nbprod, which one names."""
    name = f"{service.label}-monitor"
    environment = [{"configMapRef": {"name": name}}]
    container = {
        "name": "monitor",
        "image": "nbprod",
        "command": ["nbprod", "monitor", service.name],
        "envFrom": environment,
        "workingDir": DATA,
        "resources": {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"cpu": "1", "memory": "2Gi"}},
        "securityContext": container_security(),
        "volumeMounts": [{"name": "data", "mountPath": DATA}, {"name": "tmp", "mountPath": "/tmp"}],
    }
    pod = {
        "automountServiceAccountToken": False,
        "securityContext": pod_security(),
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": [
            {"name": "data", "emptyDir": {"sizeLimit": "2Gi"}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}},
        ],
    }
    labels = {**service.labels, "app.kubernetes.io/component": "monitor"}
    job = {
        "backoffLimit": 1,
        "activeDeadlineSeconds": 3600,
        "ttlSecondsAfterFinished": 604800,
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    spec = {"schedule": MONITOR, "concurrencyPolicy": "Forbid", "jobTemplate": {"spec": job}}
    return _object("CronJob", "batch/v1", service, spec, name=name)


def _overlay(service: Service) -> dict[str, list[Object]]:
    """What is a cluster's own: name of the image, size, and which parts are added."""
    return {"overlays/production/kustomization.yaml": [overlay(service, base="../../base")]}


def overlay(service: Service, *, base: str, image: str = "", namespace: str = "") -> Object:
    """An overlay over the base.

    Args:
        image: where the cluster finds the image, with a tag or a digest; by default as it is called here.
        namespace: by default the one that ``kubectl`` uses.
    """
    local, _, tag = service.image.partition(":")
    name, at, digest = image.partition("@")
    bare, colon, other = name.rpartition(":")
    if not colon or "/" in other:  # the colon is of a port
        bare, other = name, ""
    found: dict[str, str] = {"name": local, "newName": bare or local}
    found |= {"digest": digest} if at else {"newTag": other or tag}
    return _kustomization(**({"namespace": namespace} if namespace else {}), resources=[base], images=[found])


def _inference(service: Service) -> Object:
    """KServe asks the service by the Open Inference Protocol, version 2, and starts none when nobody asks."""
    container = {**_container(service), "name": "kserve-container"}
    container["ports"] = [{"name": "http1", "containerPort": service.port, "protocol": "TCP"}]
    container["env"] = [{"name": "PROTOCOL", "value": "v2"}]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        path = container[probe]["httpGet"]["path"]
        container[probe] = {**container[probe], "httpGet": {"path": path, "port": service.port}}
    pod = {key: value for key, value in _pod(service).items() if key != "containers"}
    predictor = {"minReplicas": 1, "maxReplicas": 10, **pod, "containers": [container]}
    return _object("InferenceService", "serving.kserve.io/v1beta1", service, {"predictor": predictor})


def rendered(service: Service) -> Mapping[str, str]:
    """Path within ``kubernetes/`` -> text of the file."""
    return {path: as_yaml(objects) for path, objects in manifests(service).items()}
