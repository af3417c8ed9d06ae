"""Delta tables: time travel, and writers at once of whom none loses a commit."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import boto3
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake

BUCKET, WRITERS, COMMITS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
boto3.client("s3").create_bucket(Bucket=BUCKET)
options = {"AWS_ALLOW_HTTP": "true", "aws_conditional_put": "etag"}
uri = f"s3://{BUCKET}/table"
write_deltalake(uri, pa.table({"writer": [-1], "n": [-1]}), storage_options=options)
many = CommitProperties(max_commit_retries=1_000)


def write(writer):
    for n in range(COMMITS):
        row = pa.table({"writer": [writer], "n": [n]})
        write_deltalake(
            uri, row, mode="append", storage_options=options, commit_properties=many
        )


with ThreadPoolExecutor(WRITERS) as pool:
    list(pool.map(write, range(WRITERS)))
table = DeltaTable(uri, storage_options=options)
assert table.version() == WRITERS * COMMITS, table.version()
rows = table.to_pyarrow_table().to_pylist()
seen = {(row["writer"], row["n"]) for row in rows}
assert len(rows) == len(seen) == 1 + WRITERS * COMMITS, len(rows)
assert DeltaTable(uri, version=0, storage_options=options).to_pyarrow_table().num_rows == 1
print(f"deltalake: {WRITERS} writers, {COMMITS} commits each, none lost: as expected", flush=True)
# Its threads do not always end with the interpreter.
os._exit(0)
