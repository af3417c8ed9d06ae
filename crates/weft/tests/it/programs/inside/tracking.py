"""Asks the tracking server as its clients do, of the environment alone."""
import json
import os
import urllib.error
import urllib.request

WHERE = os.environ["MLFLOW_TRACKING_URI"]
OURS = "Bearer " + os.environ["MLFLOW_TRACKING_TOKEN"]


def ask(method, what, body=None, by=OURS, headers=()):
    """Status and answer."""
    request = urllib.request.Request(
        f"{WHERE}{what}" if what.startswith("/") else f"{WHERE}/api/2.0/mlflow/{what}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json", **dict(headers)},
    )
    if by:
        request.add_header("Authorization", by)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        text = error.read().decode()
        return error.code, json.loads(text) if text.startswith("{") else {"text": text}


def file(method, place, data=None):
    """Status and bytes of a file that a run keeps."""
    address = f"{WHERE}/api/2.0/mlflow-artifacts/artifacts/{place}"
    request = urllib.request.Request(address, method=method, data=data)
    request.add_header("Authorization", OURS)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def begin(name):
    """A run, whose id this is."""
    status, made = ask("POST", "runs/create", {"experiment_id": "0", "run_name": name})
    assert status == 200, made
    return made["run"]["info"]["run_id"]
