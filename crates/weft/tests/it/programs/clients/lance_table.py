"""A Lance table: written, appended to, read at random and as it was."""

import os
import sys

import boto3
import lance
import pyarrow as pa

BUCKET = sys.argv[1]
boto3.client("s3").create_bucket(Bucket=BUCKET)
options = {"aws_endpoint": os.environ["AWS_ENDPOINT_URL"], "allow_http": "true"}
uri = f"s3://{BUCKET}/vectors.lance"
lance.write_dataset(pa.table({"n": range(1_000)}), uri, storage_options=options)
lance.write_dataset(pa.table({"n": range(1_000, 1_500)}), uri, mode="append", storage_options=options)
table = lance.dataset(uri, storage_options=options)
assert table.count_rows() == 1_500 and table.version == 2
assert table.take([3, 1_499]).to_pydict() == {"n": [3, 1_499]}
assert lance.dataset(uri, version=1, storage_options=options).count_rows() == 1_000
print("lance: all as expected")
