"""A partitioned dataset written and filtered through pyarrow's own S3 client."""

import os
import sys

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyarrow import fs

BUCKET = sys.argv[1]
s3 = fs.S3FileSystem(
    endpoint_override=os.environ["AWS_ENDPOINT_URL"].split("//")[1], scheme="http",
    allow_bucket_creation=True,
)
s3.create_dir(BUCKET)
table = pa.table({"day": [n % 20 for n in range(10_000)], "value": list(range(10_000))})
ds.write_dataset(
    table, f"{BUCKET}/table", filesystem=s3, format="parquet", partitioning=["day"],
    partitioning_flavor="hive",
)
back = ds.dataset(f"{BUCKET}/table", filesystem=s3, format="parquet", partitioning="hive")
assert len(back.files) == 20
assert back.to_table(filter=pc.field("day") == 7)["value"].to_pylist() == list(range(7, 10_000, 20))
with s3.open_output_stream(f"{BUCKET}/big.bin") as out:
    for _ in range(12):
        out.write(b"y" * (1 << 20))
with s3.open_input_file(f"{BUCKET}/big.bin") as file:
    assert file.size() == 12 << 20
    assert file.read_at(4, 5 << 20) == b"yyyy"
infos = s3.get_file_info(fs.FileSelector(BUCKET))
assert {info.base_name: info.type for info in infos} \
    == {"table": fs.FileType.Directory, "big.bin": fs.FileType.File}
s3.move(f"{BUCKET}/big.bin", f"{BUCKET}/moved.bin")
s3.delete_dir(f"{BUCKET}/table")
infos = s3.get_file_info(fs.FileSelector(BUCKET, recursive=True))
assert [info.base_name for info in infos] == ["moved.bin"]
print("pyarrow: all as expected")
