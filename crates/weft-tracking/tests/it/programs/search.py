"""What MLflow's own search finds: a line of JSON for each line of JSON.

The first line is the runs; each other one is `{"filter": …}` or `{"order": …}`. Answers the places
of the runs that are found, in their order, or null where it is refused.
"""

import json
import sys

from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    Metric,
    Param,
    Run,
    RunData,
    RunInfo,
    RunInputs,
    RunTag,
)
from mlflow.utils.search_utils import SearchUtils


def read(run):
    info = RunInfo(
        experiment_id="1",
        user_id="ada",
        end_time=run["numbers"].get("end_time"),
        start_time=run["numbers"]["start_time"],
        lifecycle_stage="active",
        run_id=run["texts"]["run_id"],
        run_name=run["texts"].get("run_name"),
        status=run["texts"].get("status"),
    )
    data = RunData(
        metrics=[Metric(key, value, 0, 0) for key, value in run["metrics"].items()],
        params=[Param(key, value) for key, value in run["params"].items()],
        tags=[RunTag(key, value) for key, value in run["tags"].items()],
    )
    inputs = [
        DatasetInput(
            dataset=Dataset(name=d["name"], digest=d["digest"], source_type="s3", source="s"),
            tags=[InputTag("mlflow.data.context", d["context"])],
        )
        for d in run["datasets"]
    ]
    return Run(info, data, RunInputs(dataset_inputs=inputs))


runs = [read(run) for run in json.loads(sys.stdin.readline())]
place = {run.info.run_id: at for at, run in enumerate(runs)}
for line in sys.stdin:
    asked = json.loads(line)
    try:
        if "filter" in asked:
            found = SearchUtils.filter(runs, asked["filter"])
        else:
            found = SearchUtils.sort(runs, [asked["order"]])
        print(json.dumps([place[run.info.run_id] for run in found]))
    except Exception:  # What its server answers with a 400 or, now and then, with a 500.
        print("null")
