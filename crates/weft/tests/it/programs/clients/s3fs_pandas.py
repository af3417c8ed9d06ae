"""A data frame written to and read from a bucket through s3fs."""

import sys

import pandas as pd
import s3fs

BUCKET = sys.argv[1]
fs = s3fs.S3FileSystem()
fs.mkdir(BUCKET)
frame = pd.DataFrame({"n": range(1_000), "text": [f"row {n}" for n in range(1_000)]})
frame.to_csv(f"s3://{BUCKET}/claims/a.csv", index=False)
frame.to_parquet(f"s3://{BUCKET}/claims/a.parquet")
assert pd.read_csv(f"s3://{BUCKET}/claims/a.csv").equals(frame)
assert pd.read_parquet(f"s3://{BUCKET}/claims/a.parquet", columns=["n"])["n"].sum() == 499_500
assert sorted(fs.ls(f"{BUCKET}/claims")) == [f"{BUCKET}/claims/a.csv", f"{BUCKET}/claims/a.parquet"]
with fs.open(f"{BUCKET}/claims/big.bin", "wb") as file:
    for _ in range(3):
        file.write(b"x" * (6 << 20))
assert fs.info(f"{BUCKET}/claims/big.bin")["size"] == 18 << 20
fs.cp(f"{BUCKET}/claims/a.csv", f"{BUCKET}/copy.csv")
fs.mv(f"{BUCKET}/copy.csv", f"{BUCKET}/moved.csv")
fs.invalidate_cache()
assert fs.exists(f"{BUCKET}/moved.csv") and not fs.exists(f"{BUCKET}/copy.csv")
fs.rm(f"{BUCKET}/claims", recursive=True)
fs.invalidate_cache()
assert fs.find(BUCKET) == [f"{BUCKET}/moved.csv"]
print("s3fs and pandas: all as expected")
