"""A view of Parquet files, read through polars and pyarrow."""

import os
import sys
import time

import boto3
import polars as pl
import pyarrow.dataset as ds
import pyarrow.fs as fs

BUCKET = sys.argv[1]
s3 = boto3.client("s3")
end = time.monotonic() + 60
while s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] < 2:
    assert time.monotonic() < end, "the view is not made"
    time.sleep(0.05)
options = {
    "aws_endpoint_url": os.environ["AWS_ENDPOINT_URL"],
    "aws_access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
    "aws_secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
    "aws_region": os.environ["AWS_REGION"],
    "aws_allow_http": "true",
}
wanted = [
    (k % 90, 1950 + k % 50) for k in range(500) if k % 3 < 2 and k % 7 > 0 and k % 90 >= 18
]
one = pl.read_parquet(f"s3://{BUCKET}/polars.parquet", storage_options=options)
two = pl.read_parquet(f"s3://{BUCKET}/pyarrow.parquet", storage_options=options)
assert one.columns == ["id", "age", "born", "at"], one.columns
assert one.equals(two), "the same table, whoever wrote it"
assert one.select("age", "born").rows() == wanted, one
assert one["id"].str.len_chars().unique().to_list() == [32] and one["id"].n_unique() == one.height
assert one["at"].dtype.time_zone == "UTC", one["at"].dtype
there = fs.S3FileSystem(
    access_key=os.environ["AWS_ACCESS_KEY_ID"],
    secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
    endpoint_override=os.environ["AWS_ENDPOINT_URL"].removeprefix("http://"),
    region=os.environ["AWS_REGION"],
    scheme="http",
)
table = ds.dataset(BUCKET, filesystem=there, format="parquet").to_table()
assert table.num_rows == 2 * len(wanted), table.num_rows
assert table.schema.metadata is None, table.schema.metadata
print("views of parquet: all as expected")
