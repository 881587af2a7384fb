"""The census champion in production: asked in every protocol, promoted over, rolled back, and killed under load."""

from __future__ import annotations

import http.client
import json
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from nbprod.predictions.reading import find
from tests.functional.conftest import Make
from tests.functional.project import Project, is_alive, wait_for
from tests.functional.serving import Asking, Load, Running, serving

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ROWS = 60


@pytest.fixture(scope="module")
def project(make_project: Make) -> Project:
    """The repository's own pipeline, run twice; version 1 passed its gates and is the champion."""
    made = make_project("census")
    for name in ("notebooks", "pipelines"):
        copytree(ROOT / name, made.root / name)
    run = ("run", "pipelines/employment.yaml", "-p", "evaluate.resamples", "200")
    assert made.document(*run)["version"] == {"name": "employment", "version": "1"}
    assert made.document(*run, "-p", "train.n_trees", "60")["version"]["version"] == "2"
    assert made.document("promote", "employment/1")["alias"] == "champion"
    return made


@pytest.fixture(scope="module")
def names(project: Project) -> list[str]:
    """The model's columns, in its order."""
    return [item["name"] for item in project.document("show", "employment/1")["model"]["signature"]["inputs"]]


@pytest.fixture(scope="module")
def people(project: Project, names: list[str]) -> Any:
    """People whom the model never saw, and whether they are employed."""
    import pandas as pd

    return pd.read_parquet(project.root / "runs/latest/prepare/test.parquet")[[*names, "employed"]].head(ROWS)


@pytest.fixture(scope="module")
def known(project: Project, people: Any, names: list[str]) -> tuple[list[int], list[list[float]]]:
    """What the registered model itself answers: classes and probabilities."""
    from nbprod import flavors

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = flavors.load(project.registered("employment", "1"), trusted=())
        return model.predict(people[names]).tolist(), model.predict_proba(people[names]).tolist()


@pytest.fixture(scope="module")
def body(people: Any, names: list[str]) -> bytes:
    """Two people, as a body of ``/predict``."""
    return json.dumps({"records": people[names].head(2).to_dict("records")}).encode()


@pytest.fixture(scope="module")
def service(project: Project, body: bytes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The champion, as it is served without any option; its log is the project's."""
    folder = project.root / ".nbprod" / "predictions"
    with serving(project, folder, ref="employment@champion", body=body) as found:
        yield found


def test_all_forms_of_predict_answer_as_the_model_itself(
    service: Running, people: Any, names: list[str], known: tuple[list[int], list[list[float]]]
) -> None:
    rows = people[names]
    turned = names[::-1]
    forms = [
        {"records": rows.to_dict("records")},
        {"columns": names, "rows": rows.to_numpy().tolist()},
        {"columns": turned, "rows": rows[turned].to_numpy().tolist()},
        {"columns": names, "rows": rows.to_numpy().tolist(), "proba": True},
    ]
    for form in forms:
        status, found = service.post(form)
        assert (status, found["model"], found["version"]) == (200, "employment", "1")
        assert found["predictions"] == known[0]
        (record,) = find(service.log, found["request_id"])
        assert (record.rows, record.version, json.loads(record.outputs)) == (ROWS, "1", known[0])
    assert found["classes"] == [0, 1]
    assert found["probabilities"] == [pytest.approx(pair) for pair in known[1]]
    one_by_one = [service.post({"records": [row]})[1]["predictions"] for row in rows.head(20).to_dict("records")]
    assert one_by_one == [[value] for value in known[0][:20]]


def test_what_the_census_never_asked_is_refused_with_its_place(service: Running, people: Any, names: list[str]) -> None:
    good = people[names].head(1).to_dict("records")[0]
    for change, path in (({"agep": "40"}, "$.records[0].agep"), ({"agep": 40.5}, "$.records[0].agep"),
                         ({"sex": None}, "$.records[0].sex"), ({"wage": 1}, "$.records[0]"),
                         ({"agep": 2**31}, "$.records[0].agep")):  # fmt: skip
        status, found = service.post({"records": [{**good, **change}]})
        assert (status, found["path"]) == (422, path), found


def test_the_client_of_mlflow_reads_every_form_of_the_answer(
    service: Running, people: Any, names: list[str], known: tuple[list[int], list[list[float]]]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow.deployments import PredictionsResponse
        from mlflow.pyfunc.scoring_server.client import ScoringServerClient

        client: Any = ScoringServerClient("127.0.0.1", service.port)  # type: ignore[no-untyped-call]
        client.wait_server_ready(timeout=10)
        client.ping()
        rows = people[names]
        for data in (rows, rows[names[::-1]], rows.to_numpy(), rows.to_numpy().tolist()):
            assert client.invoke(data).get_predictions()[0].tolist() == known[0], type(data)
        asked = client.invoke(rows, params={"proba": True})
        assert json.loads(asked.to_json())["probabilities"] == [pytest.approx(pair) for pair in known[1]]
        split = json.loads(rows.to_json(orient="split"))
        forms: list[Any] = [
            {"dataframe_split": split}, {"dataframe_records": rows.to_dict("records")},
            {"instances": rows.to_dict("records")}, {"instances": rows.to_numpy().tolist()},
            {"inputs": rows.to_dict("list")}, {"inputs": rows.to_numpy().tolist()},
        ]  # fmt: skip
        sent = [(form, "application/json") for form in forms]
        sent += [
            (rows.to_csv(index=False).encode(), "text/csv"),
            (rows[names[::-1]].to_csv(index=False).encode(), "text/csv"),
        ]
        for form, kind in sent:
            status, found = service.post(form, "/invocations", content_type=kind)
            assert status == 200, found
            read: Any = PredictionsResponse.from_json(json.dumps(found))  # type: ignore[no-untyped-call]
            assert read.get_predictions()[0].tolist() == known[0]


def test_a_client_of_the_open_inference_protocol_by_others_works_unchanged(
    service: Running, people: Any, names: list[str], known: tuple[list[int], list[list[float]]]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tritonclient import http as triton  # type: ignore[import-untyped]
        from tritonclient.utils import InferenceServerException  # type: ignore[import-untyped]
    client = triton.InferenceServerClient(f"127.0.0.1:{service.port}")
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("employment", "1")
    assert client.get_server_metadata()["name"] == "nbprod"
    about = client.get_model_metadata("employment")
    assert about["versions"] == ["1"]
    assert [(item["name"], item["datatype"]) for item in about["inputs"]] == [(name, "INT32") for name in names]
    for binary in (True, False):
        columns = [triton.InferInput(name, [ROWS, 1], "INT32") for name in names]
        for column in columns:
            column.set_data_from_numpy(people[[column.name()]].to_numpy().astype("int32"), binary_data=binary)
        table = triton.InferInput("people", [ROWS, len(names)], "INT64")
        table.set_data_from_numpy(people[names].to_numpy().astype("int64"), binary_data=binary)
        wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("predict", "predict_proba")]
        for inputs in (columns, [table]):
            found = client.infer("employment", inputs, "1", outputs=wanted, request_id="mine")
            assert found.as_numpy("predict").tolist() == known[0]
            assert found.as_numpy("predict_proba").tolist() == [pytest.approx(pair) for pair in known[1]]
            said = found.get_response()
            assert (said["id"], said["model_version"]) == ("mine", "1")
            (record,) = find(service.log, said["parameters"]["request_id"])
            assert json.loads(record.outputs) == known[0]
        zipped = client.infer("employment", [table], request_compression_algorithm="gzip")
        assert zipped.as_numpy("predict").tolist() == known[0]
    with pytest.raises(InferenceServerException, match="answers with employment/1"):
        client.infer("employment", [table], "7")
    with pytest.raises(InferenceServerException, match="there is no output"):
        client.infer("employment", [table], outputs=[triton.InferRequestedOutput("nothing")])
    client.close()


def test_feedback_is_taken_one_by_one_and_in_bulk_and_conflicts_are_told(
    service: Running, project: Project, people: Any, names: list[str]
) -> None:
    request = service.post({"records": people[names].to_dict("records")})[1]["request_id"]
    assert service.post({"request_id": request, "row": 0, "value": 1}, "/feedback") == (202, {"accepted": 1})
    assert service.post({"request_id": request[:-2] + "999999", "value": 1}, "/feedback")[0] == 404
    lines = [f"{request},{row},{int(value)}" for row, value in enumerate(people["employed"])]
    lines[0] = f"{request},0,0"  # the opposite of what was said over HTTP
    project.write("truth.csv", "\n".join(["request,row,truth", *lines, lines[1]]) + "\n")
    told = project.document("feedback", "employment", "truth.csv")
    assert (told["recorded"], told["unknown"], told["unclear"]) == (ROWS + 1, 0, 0)
    assert (told["duplicates"], told["conflicts"]) == (1, 1)


def test_a_promotion_and_a_rollback_under_load_of_several_protocols_fail_nobody(
    project: Project, body: bytes, people: Any, names: list[str], tmp_path: Path
) -> None:
    rows = people[names].head(3)
    asking = [
        Asking(body=body),
        Asking(body=json.dumps({"columns": names, "rows": rows.to_numpy().tolist(), "proba": True}).encode()),
        Asking(path="/invocations", body=rows.to_csv(index=False).encode(), headers={"content-type": "text/csv"}),
        Asking(path="/v2/models/employment/infer", body=json.dumps({"inputs": [{
            "name": "people", "shape": list(rows.shape), "datatype": "INT64", "data": rows.to_numpy().ravel().tolist(),
        }]}).encode()),
    ]  # fmt: skip
    with serving(project, tmp_path, "--workers", "2", ref="employment@champion", body=body) as service:
        load = Load(service, *asking)
        try:
            wait_for("answers", lambda: len(load.answered) > 100)
            assert load.versions == {"1"}

            def versions() -> set[str]:
                return {service.post()[1]["version"] for _ in range(20)}

            project.document("promote", "employment/2")
            wait_for("the second version from both workers", lambda: versions() == {"2"})
            project.document("rollback", "employment", "--reason", "an exercise")
            wait_for("the first version again", lambda: versions() == {"1"})
        finally:
            load.stop()
        assert not load.failed
        assert load.versions == {"1", "2"}
        logged = {row["request"]: row["version"] for row in service.logged()}
        assert load.answered <= logged.keys()
        assert set(logged.values()) == {"1", "2"}
        assert service.stop() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_that_was_answered_is_missing_when_all_is_killed_under_load(
    project: Project, body: bytes, tmp_path: Path, workers: int
) -> None:
    answered: set[str] = set()
    for _ in range(2):  # the second begins where the first was killed
        with serving(
            project, tmp_path, "--workers", str(workers), ref="employment@champion", body=body
        ) as service:  # fmt: skip
            load = Load(service)
            wait_for("answers", lambda load=load: len(load.answered) > 200)  # type: ignore[misc]
            family = service.family()
            for process in family[::-1]:
                if is_alive(process):
                    psutil.Process(process).send_signal(signal.SIGKILL)
            service.process.wait(timeout=60)
            load.stop()
            wait_for("the end of all processes", lambda family=family: not any(map(is_alive, family)))  # type: ignore[misc]
            answered |= load.answered
    with serving(project, tmp_path, ref="employment@champion", body=body) as service:
        assert service.post()[0] == 200
        assert answered <= {row["request"] for row in service.logged()}
        for request in list(answered)[:5]:
            (record,) = find(service.log, request)
            assert (json.loads(record.outputs), record.rows) == (service.post()[1]["predictions"], 2)
            assert record.inputs == b""  # answers about people: the dataset card says that they are personal


def test_a_shadow_scores_everything_and_answers_nothing(project: Project, body: bytes, tmp_path: Path) -> None:
    with serving(project, tmp_path, "--shadow", "employment/2", ref="employment@champion", body=body) as service:
        found = [service.post()[1] for _ in range(20)]
        assert {answer["version"] for answer in found} == {"1"}
        wait_for("the shadow", lambda: sum(row["role"] == "shadow" for row in service.logged()) == 40)
        asked = {(row["request"], row["role"], row["version"]) for row in service.logged()}
        assert asked == {
            (answer["request_id"], role, version)
            for answer in found
            for role, version in (("answer", "1"), ("shadow", "2"))
        }


def test_a_canary_answers_its_share_always_of_the_same_callers(project: Project, body: bytes, tmp_path: Path) -> None:
    callers = [f"household-{number}" for number in range(100)]
    with serving(project, tmp_path, "--canary", "employment/2=30%", ref="employment@champion", body=body) as service:
        rounds = [{who: service.post(nbprod_sticky=who)[1] for who in callers} for _ in range(2)]
        seen = [{who: answer["version"] for who, answer in found.items()} for found in rounds]
        logged = {row["request"]: (row["role"], row["version"]) for row in service.logged()}
    assert seen[0] == seen[1]
    assert 15 <= list(seen[0].values()).count("2") <= 45
    for found in rounds:
        for answer in found.values():
            role = "canary" if answer["version"] == "2" else "answer"
            assert logged[answer["request_id"]] == (role, answer["version"])


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_answers_what_was_asked_and_leaves_no_process(
    project: Project, body: bytes, tmp_path: Path, workers: int
) -> None:
    with serving(project, tmp_path, "--workers", str(workers), ref="employment@champion", body=body) as service:
        family = service.family()
        assert len(family) == (1 if workers == 1 else 3)
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
        connection.putrequest("POST", "/predict")
        connection.putheader("content-type", "application/json")
        connection.putheader("content-length", str(len(body)))
        connection.endheaders(body[:10])
        wait_for("the request to have begun", lambda: service.get("/readyz")[0] == 200)
        service.process.send_signal(signal.SIGTERM)
        wait_for("the listener to be closed", lambda: not _listens(family))
        connection.send(body[10:])
        answer = connection.getresponse()
        assert answer.status == 200
        request = json.loads(answer.read())["request_id"]
        connection.close()
        assert service.process.wait(timeout=60) == 0
        assert not any(map(is_alive, family))
        assert request in {row["request"] for row in service.logged()}


def _listens(family: list[int]) -> bool:
    """Whether a worker still takes connections; the parent keeps the socket, which nobody accepts from."""
    workers = family[1:] or family
    return any(item.status == psutil.CONN_LISTEN for id_ in workers for item in psutil.Process(id_).net_connections())
