"""Stock clients within a workload, as they come: nothing is configured, and nothing is written.

Told which: `inside.py boto3 s3fs polars pyarrow deltalake`. All are to find `a.csv` with the columns n
and group, polars and pyarrow `a.parquet` with the same, deltalake the same as a table below `table/`.
"""

import os
import sys

FILE = "/data/claims/a.csv"
N = [int(line.split(",")[0]) for line in open(FILE).read().split()[1:]]


def with_boto3():
    import boto3
    from botocore.exceptions import ClientError

    s3 = boto3.client("s3")
    assert "claims.v1" in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="claims", Prefix="a.c")
    assert [entry["Key"] for page in pages for entry in page["Contents"]] == ["a.csv"]
    s3.download_file("claims.v1", "a.csv", "fetched.csv")
    assert open("fetched.csv").read() == open(FILE).read()
    try:
        s3.put_object(Bucket="claims", Key="new", Body=b"x")
    except ClientError as error:
        assert error.response["Error"]["Code"] == "AccessDenied", error
    else:
        raise SystemExit("a run wrote to its dataset")


def with_s3fs():
    import pandas as pd
    import s3fs

    assert pd.read_csv("s3://claims/a.csv").equals(pd.read_csv(FILE))
    assert "claims/a.csv" in s3fs.S3FileSystem().ls("claims")


def with_polars():
    import polars as pl

    found = pl.scan_parquet("s3://claims/*.parquet").select(pl.col("n").sum()).collect().item()
    assert found == sum(N), found


def with_pyarrow():
    import pyarrow.dataset
    import pyarrow.fs

    files, _ = pyarrow.fs.FileSystem.from_uri("s3://claims/")
    table = pyarrow.dataset.dataset("claims.v1/a.parquet", filesystem=files).to_table()
    assert table["n"].to_pylist() == N


def with_deltalake():
    import deltalake

    # Not by `to_pyarrow_table`, whose threads end the interpreter with `terminate called` at times.
    table = deltalake.DeltaTable("s3://claims/table")
    query = deltalake.QueryBuilder().register("made", table)
    rows = query.execute("select sum(n) as n from made").read_all()
    assert rows["n"].to_pylist() == [sum(N)], rows


assert not any("SECRET" in name for name in os.environ)
for client in sys.argv[1:]:
    globals()[f"with_{client}"]()
    print(f"{client}: all as expected")
