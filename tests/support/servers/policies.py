"""Admission policies of a real Kubernetes API server, for the Secrets of one namespace."""

from typing import Any

from tests.support.servers.kubernetes import KubernetesServer
from tests.support.servers.parts import wait_until

Json = dict[str, Any]

_POLICIES = "/apis/admissionregistration.k8s.io/v1"
_DATA = {"sealed": "AAAA"}
#: What becomes of an object that no policy touches.
_UNTOUCHED: Json = {"code": 201, "data": _DATA, "labels": {"a": "b"}, "immutable": True}


def validation(expression: str, message: str = "'no'") -> Json:
    """Return the spec of a validating policy, both in CEL."""
    return {"validations": [{"expression": expression, "messageExpression": message}]}


class Policies:
    """The policies of a namespace, each in force as soon as it is made."""

    def __init__(self, server: KubernetesServer, namespace: str) -> None:
        self._server, self._namespace = server, namespace
        self._made: list[str] = []

    def apply(self, kind: str, spec: Json) -> None:
        """Make a policy of a kind ("mutating", "validating") for new Secrets."""
        name = f"{self._namespace}-{len(self._made)}"
        spec = {"failurePolicy": "Fail", "matchConstraints": self._matches()} | spec
        binding: Json = {"policyName": name}
        if kind == "validating":
            binding["validationActions"] = ["Deny"]
        for what, content in (("policies", spec), ("policybindings", binding)):
            path = f"{_POLICIES}/{kind}admission{what}"
            self._server.create(path, {"metadata": {"name": name}, "spec": content})
            self._made.append(f"{path}/{name}")
        wait_until(lambda: self._tried() != _UNTOUCHED, "a policy in force", seconds=60)

    def remove(self) -> None:
        """Remove them all, and wait until none is in force."""
        for path in self._made:
            self._server.admin.delete(path)
        self._made = []
        wait_until(lambda: self._tried() == _UNTOUCHED, "no policy in force", seconds=60)

    def _matches(self) -> Json:
        rule = {
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "operations": ["CREATE"],
            "resources": ["secrets"],
        }
        selector = {"matchLabels": {"kubernetes.io/metadata.name": self._namespace}}
        return {"resourceRules": [rule], "namespaceSelector": selector}

    def _tried(self) -> Json:
        """Return what would become of an object, without making it."""
        manifest = {"metadata": {"name": "tried", "labels": {"a": "b"}}, "data": _DATA}
        path = f"/api/v1/namespaces/{self._namespace}/secrets?dryRun=All"
        answer = self._server.admin.post(path, json=manifest | {"immutable": True})
        made = answer.json()
        shown = {name: made.get(name) for name in ("data", "immutable")}
        return {"code": answer.status_code, "labels": made["metadata"].get("labels"), **shown}
