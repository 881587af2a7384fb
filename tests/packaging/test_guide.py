"""The guide for whoever operates a service."""

from __future__ import annotations

import json
import shlex

from nbprod.packaging.guide import guide
from tests.packaging.made import ABOUT, entry


def test_the_guide_says_what_it_is_how_to_run_and_how_to_go_back() -> None:
    text = guide(entry(), ABOUT, kubernetes="no")
    for said in ("# churn/3", "Calls to customers.", "Not for prices.", "podman run --read-only", "/readyz",
                 "## Go back", "good, key `0123456789abcdef`", "The retention \\| team", "`age` (long)"):  # fmt: skip
        assert said in text
    assert "kubectl apply" not in text
    assert "kubectl apply -k" in guide(entry(), ABOUT, kubernetes="yes")


def test_what_is_not_pinned_or_signed_is_told() -> None:
    model = {**ABOUT["model"], "signature": "unsigned", "key": ""}
    assert "nobody vouches" in guide(entry(), {**ABOUT, "model": model}, kubernetes="no")
    assert "not pinned by its digest" in guide(entry(), ABOUT, kubernetes="no")
    pinned = {**ABOUT, "base": f"python@sha256:{'a' * 64}"}
    assert "not pinned" not in guide(entry(), pinned, kubernetes="no")


def test_the_question_is_a_command_that_can_be_typed_whatever_the_names_are() -> None:
    odd = entry(example={"columns": ["it's", "b"], "data": [["'; rm -rf /", None], [1, 2]]})
    (line,) = (line for line in guide(odd, ABOUT, kubernetes="no").splitlines() if "curl --header" in line)
    words = shlex.split(line)
    body = json.loads(words[words.index("--json") + 1])
    assert body == {"columns": ["it's", "b"], "rows": [["'; rm -rf /", None]]}


def test_a_model_without_a_signature_is_described_as_such() -> None:
    text = guide(entry(signature={}, example=None), ABOUT, kubernetes="no")
    assert "unknown: the model was logged without an example" in text
