"""A training that says nothing of tracking: all is logged by itself, and the model comes back."""
import logging
import warnings

warnings.filterwarnings("ignore")
logging.getLogger("mlflow").setLevel(logging.ERROR)

import mlflow
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

mlflow.set_experiment("digits")
mlflow.sklearn.autolog()
images, digits = load_digits(return_X_y=True)
known, unknown, named, asked = train_test_split(images, digits, random_state=0)
with mlflow.start_run() as run:
    model = LogisticRegression(max_iter=50).fit(known, named)
    score = model.score(unknown, asked)

run = mlflow.get_run(run.info.run_id)
assert run.data.params["max_iter"] == "50" and len(run.data.params) > 10, run.data.params
assert run.data.metrics["training_accuracy_score"] > 0.95, run.data.metrics
assert len(run.inputs.dataset_inputs) == 1 and len(run.outputs.model_outputs) == 1, run
[logged] = mlflow.search_logged_models(output_format="list")
assert (logged.status, logged.source_run_id) == ("READY", run.info.run_id), logged
for place in [f"models:/{logged.model_id}", f"runs:/{run.info.run_id}/model"]:
    again = mlflow.pyfunc.load_model(place)
    assert (again.predict(unknown) == model.predict(unknown)).all()
assert mlflow.sklearn.load_model(f"models:/{logged.model_id}").score(unknown, asked) == score
print("as expected")
