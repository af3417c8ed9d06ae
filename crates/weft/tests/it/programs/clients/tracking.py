"""What people do with MLflow's client, unmodified: track, look, compare, take back.

Argument: where it is, `outside` or `inside` a workload (which then names the workload).
"""
import logging
import math
import os
import sys
import threading

logging.getLogger("mlflow").setLevel(logging.ERROR)

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

client = MlflowClient()
experiment = mlflow.set_experiment("digits")
assert mlflow.set_experiment("digits").experiment_id == experiment.experiment_id

with mlflow.start_run(run_name="first", tags={"stage": "try"}, description="a note") as run:
    mlflow.log_params({"lr": 0.1, "layers": 3})
    for step in range(200):
        mlflow.log_metrics({"loss": 1 / (step + 1), "acc": step / 200}, step=step)
    mlflow.log_metric("worst", math.inf)
    mlflow.log_metric("none", math.nan)
    with mlflow.start_run(nested=True, run_name="child"):
        mlflow.log_metric("loss", 0.5)
first = client.get_run(run.info.run_id)
assert first.info.status == "FINISHED" and first.info.end_time >= first.info.start_time
assert first.data.params == {"lr": "0.1", "layers": "3"}, first.data.params
assert first.data.metrics["loss"] == 1 / 200 and first.data.metrics["worst"] == math.inf
assert math.isnan(first.data.metrics["none"])
assert first.data.tags["stage"] == "try" and first.data.tags["mlflow.note.content"] == "a note"
history = client.get_metric_history(run.info.run_id, "loss")
assert [point.step for point in history] == list(range(200))

# Files come back as they were, wherever they lie.
with open("weights.bin", "wb") as file:
    file.write(bytes(range(256)) * 40_000)
os.makedirs("model/deep", exist_ok=True)
for path, text in [("model/config.json", '{"classes": 10}'), ("model/deep/w", "1")]:
    with open(path, "w") as file:
        file.write(text)
with mlflow.start_run(run_name="keeps files") as run:
    mlflow.log_text("a note", "notes/a.txt")
    mlflow.log_dict({"classes": 10}, "model/config.json")
    mlflow.log_artifact("weights.bin", "model/deep")
    mlflow.log_text("first", "again.txt")
    mlflow.log_text("second", "again.txt")
id = run.info.run_id
listed = lambda path=None: [(f.path, f.is_dir, f.file_size) for f in client.list_artifacts(id, path)]
assert listed() == [("again.txt", False, 6), ("model", True, None), ("notes", True, None)], listed()
assert listed("model/deep") == [("model/deep/weights.bin", False, 10_240_000)], listed("model/deep")
assert listed("model/none") == [] and listed("again.txt") == []
assert mlflow.artifacts.load_text(f"runs:/{id}/again.txt") == "second"
assert mlflow.artifacts.load_dict(f"runs:/{id}/model/config.json") == {"classes": 10}
folder = mlflow.artifacts.download_artifacts(run_id=id, artifact_path="model")
with open(f"{folder}/deep/weights.bin", "rb") as file:
    assert file.read() == bytes(range(256)) * 40_000

# A model is a thing of its own: with files, metrics, and the run that it came of.
with mlflow.start_run(run_name="makes a model") as run:
    model = mlflow.initialize_logged_model("digits", params={"depth": "3"}, tags={"of": "test"})
    client.log_model_artifacts(model.model_id, "model")
    mlflow.log_metric("acc", 0.9, model_id=model.model_id)
    mlflow.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run.info.run_id, [mlflow.entities.LoggedModelOutput(model.model_id, step=0)])
model = mlflow.get_logged_model(model.model_id)
assert model.status == "READY" and model.source_run_id == run.info.run_id, model
assert model.params == {"depth": "3"} and model.tags["of"] == "test", model
assert [(m.key, m.value, m.run_id) for m in model.metrics] == [("acc", 0.9, run.info.run_id)]
outputs = client.get_run(run.info.run_id).outputs.model_outputs
assert [output.model_id for output in outputs] == [model.model_id]
files = [(f.path, f.is_dir) for f in client.list_logged_model_artifacts(model.model_id)]
assert files == [("config.json", False), ("deep", True)], files
folder = mlflow.artifacts.download_artifacts(f"models:/{model.model_id}")
with open(f"{folder}/config.json") as file:
    assert file.read() == '{"classes": 10}'
found = lambda text: [
    m.model_id for m in mlflow.search_logged_models(filter_string=text, output_format="list")
]
assert found("name = 'digits' AND metrics.acc > 0.8 AND tags.of = 'test'") == [model.model_id]
assert found("params.depth = '4'") == [] and found("status = 'READY'") == [model.model_id]
client.set_logged_model_tags(model.model_id, {"of": "another", "more": "1"})
client.delete_logged_model_tag(model.model_id, "more")
assert mlflow.get_logged_model(model.model_id).tags["of"] == "another"
client.delete_logged_model(model.model_id)
assert found("name = 'digits'") == []

# Of eight threads none loses a point.
with mlflow.start_run(run_name="threads") as run:
    def work(number):
        for step in range(25):
            client.log_metric(run.info.run_id, f"of-{number}", step, step=step)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
for number in range(8):
    assert len(client.get_metric_history(run.info.run_id, f"of-{number}")) == 25

best = mlflow.search_runs(
    filter_string="metrics.loss < 0.6 and tags.mlflow.runName != 'threads'",
    order_by=["metrics.loss ASC"], output_format="list",
)
assert [run.info.run_name for run in best] == ["first", "child"], best
children = client.search_runs(
    [experiment.experiment_id], f"tags.mlflow.parentRunId = '{first.info.run_id}'"
)
assert len(children) == 1

# What went wrong is told as the client knows it.
try:
    with mlflow.start_run(run_name="failing"):
        raise KeyError("x")
except KeyError:
    pass
assert mlflow.last_active_run().info.status == "FAILED"
for code, call in [
    ("RESOURCE_DOES_NOT_EXIST", lambda: client.get_run("0" * 32)),
    ("RESOURCE_ALREADY_EXISTS", lambda: client.create_experiment("digits")),
    ("INVALID_PARAMETER_VALUE", lambda: client.log_param(first.info.run_id, "lr", 1)),
    ("INVALID_PARAMETER_VALUE", lambda: client.set_tag(first.info.run_id, "weft.workload", "w1")),
]:
    try:
        call()
        raise AssertionError(code)
    except MlflowException as error:
        assert error.error_code == code, error

client.delete_run(children[0].info.run_id)
assert len(client.search_runs([experiment.experiment_id], "metrics.loss = 0.5")) == 0
client.restore_run(children[0].info.run_id)
assert len(client.search_runs([experiment.experiment_id], "metrics.loss = 0.5")) == 1

if sys.argv[1] == "inside":
    tags = first.data.tags
    assert tags["weft.workload"] == sys.argv[2], tags
    assert client.search_runs([experiment.experiment_id], f"tags.weft.workload = '{sys.argv[2]}'")
else:
    assert "weft.workload" not in first.data.tags
print("as expected")
