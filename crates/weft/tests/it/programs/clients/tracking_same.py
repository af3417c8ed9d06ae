"""The same calls of MLflow's client to this server and to MLflow's own SQL store, drawn from a fixed
seed: what is answered is the same, or refused with the same code. What differs on purpose stands in
DIFFERENT, and does differ.

Arguments: the folder for the store's file, and the number of calls.
"""
import logging
import math
import os
import random
import sys
import warnings

warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)
os.environ["MLFLOW_ENABLE_ASYNC_LOGGING"] = "false"
os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException

ours = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
theirs = MlflowClient(f"sqlite:///{sys.argv[1]}/theirs.db")
calls = int(sys.argv[2])
draw = random.Random(20)


class Side:
    """One of the two, and what it calls what both have."""

    def __init__(self, client):
        self.client, self.experiments, self.runs = client, {}, {}

    def named(self, of):
        names = {id: name for name, id in {**self.experiments, **self.runs}.items()}
        return names.get(of, "none")


sides = [Side(ours), Side(theirs)]
for side in sides:
    # Only one of the two has it before anybody asks.
    side.experiments["none"] = "987654"
    side.runs["none"] = "f" * 32


def number(value):
    """A value as it is told. Theirs keeps infinity as the largest float; here it is infinity."""
    if math.isnan(value):
        return "NaN"
    return math.copysign(math.inf, value) if abs(value) == sys.float_info.max else value


def pairs(all, value=lambda it: it if len(it) < 50 else (it[0], len(it))):
    return sorted((key, value(it)) for key, it in all.items())


def of_run(side, run):
    info, data = run.info, run.data
    inputs = [
        (i.dataset.name, i.dataset.digest, i.dataset.source, i.dataset.schema, i.dataset.profile,
         sorted((t.key, t.value) for t in i.tags))
        for i in run.inputs.dataset_inputs
    ]
    return (
        side.named(info.run_id), info.run_name, side.named(info.experiment_id), info.status,
        info.start_time, info.end_time, info.lifecycle_stage,
        pairs(data.metrics, number), pairs(data.params), pairs(data.tags),
        sorted(inputs, key=str),
    )


def of_experiment(side, it):
    return side.named(it.experiment_id), it.name, it.lifecycle_stage, pairs(it.tags)


def made(side, kind, name, id):
    getattr(side, kind)[name] = id
    return name


counts = {"experiments": 0, "runs": 0}


def fresh(kind):
    counts[kind] += 1
    return f"{kind}-{counts[kind]}"


def known(kind):
    return draw.choice(["none"] + [name for name in getattr(sides[0], kind) if name != "none"] * 8)


KEYS = ["loss", "acc/top-1", "a b", "deep.er", "x:y"]
BAD_KEYS = ["", "a;b", "../x", "a//b", "k" * 251, "é"]
VALUES = [0.0, 1.0, -2.5, 1e300, 0.1, float("nan"), float("inf"), float("-inf"), 3]
TEXTS = ["", "a", "A", "0.1", "it's", "ünï", "x" * 300, "y" * 6_001, "z" * 8_001]


def a_key():
    return draw.choice(KEYS) if draw.random() < 0.93 else draw.choice(BAD_KEYS)


def a_text():
    return draw.choice(TEXTS[:6]) if draw.random() < 0.9 else draw.choice(TEXTS)


def a_point():
    time = draw.choice([5, 6, 7, 1_700_000_000_000])
    value, step = draw.choice(VALUES), draw.choice([0, 1, 2, -3])
    # Of one step and moment theirs takes NaN for 0, and here it is the last of all.
    return a_key(), value, time, 9 if math.isnan(value) else step


# Each draws what it says, then is done on both sides: (name, what is done).
def create_experiment():
    name = draw.choice(["one", "two", "three", "four", "", "n" * 501, f"e{draw.random()}"])
    label = fresh("experiments")
    return lambda s: made(s, "experiments", label, s.client.create_experiment(name, tags=None))


def get_experiment():
    name = known("experiments")
    return lambda s: of_experiment(s, s.client.get_experiment(s.experiments[name]))


def get_experiment_by_name():
    name = draw.choice(["one", "two", "three", "renamed", "nobody's"])

    def get(s):
        found = s.client.get_experiment_by_name(name)
        return found and of_experiment(s, found)

    return get


def rename_experiment():
    name, to = known("experiments"), draw.choice(["one", "renamed", f"r{draw.random()}"])
    return lambda s: s.client.rename_experiment(s.experiments[name], to)


def delete_experiment():
    name = known("experiments")
    return lambda s: s.client.delete_experiment(s.experiments[name])


def restore_experiment():
    name = known("experiments")
    return lambda s: s.client.restore_experiment(s.experiments[name])


def tag_experiment():
    name, key, value = known("experiments"), a_key(), draw.choice(["a", "b", "w" * 20_001])
    return lambda s: s.client.set_experiment_tag(s.experiments[name], key, value)


def untag_experiment():
    name, key = known("experiments"), draw.choice(KEYS)
    return lambda s: s.client.delete_experiment_tag(s.experiments[name], key)


def create_run():
    name, label = known("experiments"), fresh("runs")
    # Theirs does not cut the tags of new runs, only those that come later.
    tags = {draw.choice(KEYS): a_text()[:6_000] for _ in range(draw.randrange(3))}
    run_name = f"run {label}" if draw.random() < 0.7 else None
    tags["mlflow.runName"] = run_name or f"tagged {label}"
    if draw.random() < 0.1:
        tags["mlflow.runName"] = "another"
    start = draw.choice([1, 2, 3, 4, 5])

    def create(s):
        run = s.client.create_run(s.experiments[name], start, tags, run_name)
        made(s, "runs", label, run.info.run_id)
        return of_run(s, run)

    return create


def get_run():
    name = known("runs")
    return lambda s: of_run(s, s.client.get_run(s.runs[name]))


def update_run():
    name = known("runs")
    status = draw.choice([None, "RUNNING", "FINISHED", "SCHEDULED"])
    to = draw.choice([None, f"again {draw.randrange(9)}"])
    return lambda s: s.client.update_run(s.runs[name], status, to)


def end_run():
    name, status = known("runs"), draw.choice(["FINISHED", "FAILED", "KILLED"])
    end = draw.choice([7, 8, 9])
    return lambda s: s.client.set_terminated(s.runs[name], status, end)


def delete_run():
    name = known("runs")
    return lambda s: s.client.delete_run(s.runs[name])


def restore_run():
    name = known("runs")
    return lambda s: s.client.restore_run(s.runs[name])


def log_metric():
    name, (key, value, time, step) = known("runs"), a_point()
    return lambda s: s.client.log_metric(s.runs[name], key, value, time, step) and None


def log_param():
    name, key, value = known("runs"), a_key(), a_text()
    return lambda s: s.client.log_param(s.runs[name], key, value) and None


def log_batch():
    name = known("runs")
    metrics = [Metric(*a_point()) for _ in range(draw.choice([0, 1, 5, 40]))]
    params = [Param(a_key(), a_text()) for _ in range(draw.choice([0, 0, 1, 2]))]
    tags = [RunTag(a_key(), a_text()) for _ in range(draw.choice([0, 1, 3]))]
    if draw.random() < 0.03:
        metrics *= 30
    return lambda s: s.client.log_batch(s.runs[name], metrics, params, tags, synchronous=True) and None


def set_tag():
    name, key, value = known("runs"), a_key(), a_text()
    if draw.random() < 0.1:
        key, value = "mlflow.runName", f"tagged {draw.randrange(9)}"
    return lambda s: s.client.set_tag(s.runs[name], key, value) and None


def delete_tag():
    name, key = known("runs"), draw.choice(KEYS)
    return lambda s: s.client.delete_tag(s.runs[name], key)


def log_inputs():
    name, which = known("runs"), draw.choice(["claims", "roads"])
    dataset = Dataset(which, draw.choice(["d1", "d2"]), "local", "file:///x", None, None)
    tags = [InputTag("mlflow.data.context", draw.choice(["train", "test"]))]
    return lambda s: s.client.log_inputs(s.runs[name], [DatasetInput(dataset, tags)]) and None


def history():
    name, key = known("runs"), draw.choice(KEYS)

    def get(s):
        points = s.client.get_metric_history(s.runs[name], key)
        return sorted((p.timestamp, p.step, str(number(p.value))) for p in points)

    return get


FILTERS = [
    "", "metrics.loss < 1", "metrics.loss >= 0.1 and params.loss = 'a'", "tags.`a b` LIKE '%a%'",
    "attributes.status = 'FINISHED'", "run_name LIKE 'run%'", "params.`deep.er` != 'a'",
    "start_time > 2", "end_time <= 8", "tags.`x:y` ILIKE 'A'", "metrics.`acc/top-1` = 1",
    "dataset.name = 'claims'", "dataset.context = 'train'", "status = 'RUNNING'", "nonsense",
    "metrics.loss = 'a'", "tags.x > 'b'", "dataset.digest = 'd2' and metrics.loss > 0",
]
ORDERS = [
    [], ["metrics.loss"], ["metrics.loss DESC"], ["params.loss ASC"], ["start_time"],
    ["tags.`a b` DESC"], ["attributes.end_time DESC"], ["run_name"], ["no.such"], ["metrics.loss X"],
]


def search_runs():
    names = [known("experiments") for _ in range(draw.choice([1, 1, 3]))]
    text, order = draw.choice(FILTERS), list(draw.choice(ORDERS))
    view = draw.choice([ViewType.ACTIVE_ONLY, ViewType.ACTIVE_ONLY, ViewType.DELETED_ONLY, ViewType.ALL])
    most = draw.choice([1, 2, 5, 100, 50_001])
    # Ids differ, and decide where all else is equal. Theirs fails where a field comes twice.
    order += [more for more in ["run_name", "start_time"] if more not in order]

    def search(s):
        found, token, pages = [], None, 0
        ids = [s.experiments[name] for name in names]
        while pages == 0 or token and pages < 4:
            page = s.client.search_runs(ids, text, view, most, order, token)
            found += [of_run(s, run) for run in page]
            token, pages = page.token, pages + 1
        return found, pages

    return search


def search_experiments():
    text = draw.choice(["", "name = 'one'", "name LIKE 'e%'", "tags.loss = 'a'", "name > 'a'", "x = 1"])
    view = draw.choice([ViewType.ACTIVE_ONLY, ViewType.DELETED_ONLY, ViewType.ALL])
    most, order = draw.choice([2, 100, 0]), draw.choice([["name"], ["name DESC"], ["nothing"]])

    def search(s):
        page = s.client.search_experiments(view, most, text, order)
        found = [of_experiment(s, it) for it in page if it.name != "Default"]
        return found if most > 2 else len(found) > 0

    return search


CALLS = [create_experiment, get_experiment, get_experiment_by_name, search_experiments] + [
    rename_experiment, delete_experiment, restore_experiment, tag_experiment, untag_experiment,
    update_run, end_run, delete_run, delete_tag, log_inputs, log_param, set_tag, history,
] + [create_run, restore_run, restore_experiment, log_metric, get_run, log_batch, search_runs] * 3

# What differs on purpose: the call, what is answered here, and there.
DIFFERENT = {
    # A name that is taken is told as such, not as what a database said.
    ("rename_experiment", "refused: RESOURCE_ALREADY_EXISTS", "refused: BAD_REQUEST"),
    # As of anything else that was deleted, and no fault of the server's.
    ("rename_experiment", "refused: INVALID_PARAMETER_VALUE", "refused: INVALID_STATE"),
}


def answer(side, call):
    try:
        return call(side)
    except MlflowException as e:
        said[side] = e
        return f"refused: {e.error_code}"


differing, refused, seen, said = {}, 0, set(), {}
for at in range(calls):
    which = draw.choice(CALLS) if at > 12 else [create_experiment, create_run][at % 2]
    call = which()
    said.clear()
    here, there = (answer(side, call) for side in sides)
    seen.add(which.__name__)
    refused += str(here).startswith("refused")
    if str(here) != str(there):
        key = (which.__name__, str(here)[:400], str(there)[:400])
        differing.setdefault(key, (at, [str(said.get(side))[:300] for side in sides]))

unexpected = [key for key in differing if key not in DIFFERENT]
missing = [key for key in DIFFERENT if key not in differing]
for (name, here, there), (at, said) in differing.items():
    print(f"{name} (call {at}):\n  here:  {here} {said[0]}\n  there: {there} {said[1]}")
print(f"{calls} calls of {len(seen)} kinds, {refused} refused, {len(differing)} differ; {missing}")
if not unexpected and not missing and len(seen) == len(set(CALLS)):
    print("as expected")
