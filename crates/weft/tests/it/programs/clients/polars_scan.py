"""Parquet written and scanned through polars."""

import os
import sys

import boto3
import polars as pl

BUCKET = sys.argv[1]
boto3.client("s3").create_bucket(Bucket=BUCKET)
options = {
    "aws_endpoint_url": os.environ["AWS_ENDPOINT_URL"],
    "aws_access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
    "aws_secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
    "aws_region": os.environ["AWS_REGION"],
    "aws_allow_http": "true",
}
frame = pl.DataFrame({"n": range(50_000), "group": [n % 5 for n in range(50_000)]})
for part in range(3):
    frame.write_parquet(f"s3://{BUCKET}/t/{part}.parquet", storage_options=options)
scan = pl.scan_parquet(f"s3://{BUCKET}/t/*.parquet", storage_options=options)
found = scan.filter(pl.col("group") == 2).select(pl.col("n").sum()).collect().item()
assert found == 3 * sum(range(2, 50_000, 5)), found
frame.lazy().sink_parquet(f"s3://{BUCKET}/sunk.parquet", storage_options=options)
assert pl.read_parquet(f"s3://{BUCKET}/sunk.parquet", storage_options=options).equals(frame)
print("polars: all as expected")
