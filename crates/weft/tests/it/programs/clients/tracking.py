"""What people do with MLflow's client, unmodified: track, look, compare, take back.

Argument: where it is, `outside` or `inside` a workload (which then names the workload).
"""
import logging
import math
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
