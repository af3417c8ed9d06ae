"""What a run may not do over S3: each line says what, and what it was told. In two
halves, by the variable HALF: a run that is refused so often at once is not answered any more."""

import os

import s3


def an_hour_longer(name):
    run, end = name.rsplit("-", 1)
    return f"{run}-{int(end) + 3600}"


mine = s3.key()
signed = lambda method, path, by=mine, **more: lambda: s3.ask(method, path, by=by, **more)
no_key = lambda method, path, **more: lambda: s3.send(method, path, **more)
TRIES = [
    ("another dataset", signed("GET", "/other/a.csv")),
    ("its version", signed("GET", "/other.v1/a.csv")),
    ("another dataset's list", signed("GET", "/other?list-type=2")),
    ("a dataset that there is not", signed("GET", "/nothing/a.csv")),
    ("another version", signed("GET", "/claims.v2/a.csv")),
    ("the newest version", signed("GET", "/claims.latest/a.csv")),
    ("an object's older version", signed("GET", "/claims/a.csv?versionId=1")),
    ("the same, disguised", signed("GET", "/claims/a.csv?version%49d=1")),
    ("what versions there are", signed("GET", "/claims?versions")),
    ("put", signed("PUT", "/claims/new.csv", body=b"x")),
    ("put into another dataset", signed("PUT", "/other/new.csv", body=b"x")),
    ("copy out", signed("PUT", "/other/c", headers={"x-amz-copy-source": "/claims.v1/a.csv"})),
    ("begin a put in parts", signed("POST", "/claims/new.csv?uploads")),
    ("delete", signed("DELETE", "/claims/a.csv")),
    ("delete the dataset", signed("DELETE", "/claims")),
    ("make a dataset", signed("PUT", "/mine")),
    ("without a signature", no_key("GET", "/claims/a.csv")),
    ("with a wrong secret", signed("GET", "/claims/a.csv", by=(mine[0], "x", mine[2]))),
    ("longer than it was given", signed("GET", "/claims/a.csv", by=(an_hour_longer(mine[0]), *mine[1:]))),
    ("as another run", signed("GET", "/claims/a.csv", by=(mine[0].replace("RUN-w", "RUN-w9"), *mine[1:]))),
    ("the API", no_key("GET", "/api/v1/datasets")),
    ("the API as its run", no_key("GET", "/api/v1/datasets/claims/objects/a.csv?at=v1",
                                  headers={"weft-run": os.environ["WEFT_WORKLOAD"] + "-1-0"})),
    ("the API as an administrator", no_key("POST", "/api/v1/admin/shutdown", body=b"{}")),
    ("another host's name", no_key("GET", "/credentials", headers={"host": "evil.example"})),
]
for what, ask in TRIES[:12] if os.environ["HALF"] == "first" else TRIES[12:]:
    status, code, text = ask()
    assert b"canary" not in text, what
    print(f"{what}: {status} {code}")
