"""Reads a tenth of `claims@v1`, by its folder and over S3, and looks for a way to the rest of it."""

import os

import s3

rows = open("/data/claims/rows.csv").read().splitlines()
assert rows[0] == "n,canary" and 50 < len(rows) < 150, len(rows)
files = [f"{at[len('/data/claims/'):]}/{name}" for at, _, names in os.walk("/data/claims") for name in names]
images = [name for name in files if name.startswith("images/")]
assert 0 < len(images) < 30, images

mine = s3.key()
for bucket in ["claims", "claims.v1"]:
    status, _, text = s3.ask("GET", f"/{bucket}/rows.csv", by=mine)
    assert (status, text.decode().splitlines()) == (200, rows), status
    status, _, text = s3.ask("GET", f"/{bucket}?list-type=2", by=mine)
    assert text.count(b"<Key>") == len(images) + 1, text
absent = next(f"images/{n}" for n in range(100) if f"images/{n}" not in images)
for path, wanted in [
    (f"/claims/{absent}", 404),
    ("/claims.v2/rows.csv", 404),
    ("/claims.of-v1/rows.csv", 404),
    ("/claims/rows.csv?versionId=1", 403),
    ("/claims?versions", 403),
]:
    status, code, _ = s3.ask("GET", path, by=mine)
    assert status == wanted, (path, status, code)
    status, code, _ = s3.ask("GET", path, headers={"range": "bytes=0-9"}, by=mine)
    assert status == wanted, (path, status, code)
print("rows", " ".join(rows[1:4]), len(rows), len(images))
