"""Makes the tables beside it: python3 make.py, with pyarrow and polars."""

import datetime as dt
from decimal import Decimal

import polars
import pyarrow as pa
import pyarrow.parquet as pq

CITIES = ["Graz", "Wien", "", None, 'a "quoted", one', "naïve"]
ROWS = range(60)
people = {
    "id": [1000 + n for n in ROWS],
    "age": [None if n % 11 == 5 else n * 7 % 90 for n in ROWS],
    "email": [None if n % 13 == 7 else f"p{n}@uni.example" for n in ROWS],
    "born": [dt.date(1930 + n, 1 + n % 12, 1 + n % 28) for n in ROWS],
    "city": [CITIES[n % 6] for n in ROWS],
    "score": [None if n % 7 == 3 else n * 0.25 - 3 for n in ROWS],
    "ok": [None if n % 9 == 1 else n % 2 == 0 for n in ROWS],
}


def text(value):
    if isinstance(value, str):
        return '"' + value.replace('"', '""') + '"'
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else str(value).replace("True", "true").replace("False", "false")


with open("people.csv", "w") as file:
    for row in [people, *zip(*people.values())]:
        file.write(",".join(map(text, row)) + "\n")

table = pa.table(people)
pq.write_table(table, "snappy.parquet", row_group_size=25)
pq.write_table(table, "gzip.parquet", compression="gzip", use_dictionary=False)
pq.write_table(table, "lz4.parquet", compression="lz4", data_page_size=64, write_page_index=True)
delta = {
    "id": "DELTA_BINARY_PACKED",
    "age": "DELTA_BINARY_PACKED",
    "email": "DELTA_BYTE_ARRAY",
    "city": "DELTA_LENGTH_BYTE_ARRAY",
    "score": "BYTE_STREAM_SPLIT",
    "ok": "RLE",
}
pq.write_table(
    table,
    "delta.parquet",
    compression="zstd",
    use_dictionary=False,
    column_encoding=delta,
    data_page_version="2.0",
)
pq.write_table(
    table, "bare.parquet", compression="none", use_dictionary=["city"], row_group_size=30
)
polars.DataFrame(people).write_parquet("polars.parquet", row_group_size=40)

when = dt.datetime(2026, 3, 5, 10, 0, 0, 250_000)
utc = dt.timezone.utc
types = pa.table(
    {
        "i8": pa.array([-8, None], pa.int8()),
        "u8": pa.array([200, None], pa.uint8()),
        "i16": pa.array([-1600, None], pa.int16()),
        "u16": pa.array([60_000, None], pa.uint16()),
        "u32": pa.array([4_000_000_000, None], pa.uint32()),
        "u64": pa.array([18_000_000_000_000_000_000, None], pa.uint64()),
        "half": pa.array([1.5, None], pa.float16()),
        "float": pa.array([0.1, None], pa.float32()),
        "small": pa.array([Decimal("-1.05"), None], pa.decimal128(5, 2)),
        "large": pa.array([Decimal("12345678901234567890.5"), None], pa.decimal128(30, 1)),
        "ms": pa.array([when, None], pa.timestamp("ms")),
        "us": pa.array([when.replace(tzinfo=utc), None], pa.timestamp("us", "UTC")),
        "ns": pa.array([when, None], pa.timestamp("ns")),
        "time": pa.array([when.time(), None], pa.time64("us")),
        "bytes": pa.array([b"\xff\x00", None], pa.binary()),
        "fixed": pa.array([b"abc", None], pa.binary(3)),
        "none": pa.array([None, None], pa.null()),
        "kind": pa.array(["a", None]).dictionary_encode(),
    }
)
pq.write_table(types, "types.parquet", store_schema=False)
pq.write_table(pa.table({"at": [when, None]}), "int96.parquet", use_deprecated_int96_timestamps=True)
nested = {"id": [1, 2], "tags": [["a"], []], "who": [{"name": "SECRET"}, None], "n": [3, 4]}
pq.write_table(pa.table(nested), "nested.parquet")
pq.write_table(pa.table(nested), "brotli.parquet", compression="brotli")

# Few bytes that would be many: a page of 128 MiB, and a text of a megabyte 40,000 times.
zeros = pa.table({"id": pa.array([0] * (16 << 20), pa.int64())})
pq.write_table(
    zeros,
    "page.parquet",
    compression="zstd",
    use_dictionary=False,
    data_page_size=1 << 30,
    row_group_size=1 << 25,
    max_rows_per_page=1 << 25,
)
again = pa.DictionaryArray.from_arrays(pa.array([0] * 40_000, pa.int32()), ["x" * (1 << 20)])
pq.write_table(
    pa.table({"id": again}),
    "again.parquet",
    compression="zstd",
    dictionary_pagesize_limit=1 << 22,
)
