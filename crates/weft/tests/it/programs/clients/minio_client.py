"""What minio-py does with a bucket."""

import io
import os
import sys

from minio import Minio
from minio.commonconfig import CopySource, Tags
from minio.error import S3Error

BUCKET = sys.argv[1]
client = Minio(
    endpoint=os.environ["AWS_ENDPOINT_URL"].split("//")[1],
    access_key=os.environ["AWS_ACCESS_KEY_ID"],
    secret_key=os.environ["AWS_SECRET_ACCESS_KEY"], secure=False,
)
client.make_bucket(bucket_name=BUCKET)
assert client.bucket_exists(bucket_name=BUCKET)
data = os.urandom(12 << 20)
client.put_object(
    bucket_name=BUCKET, object_name="d/big", data=io.BytesIO(data), length=-1, part_size=5 << 20,
    metadata={"made-by": "ana"},
)
assert client.get_object(bucket_name=BUCKET, object_name="d/big").read() == data
stat = client.stat_object(bucket_name=BUCKET, object_name="d/big")
assert stat.size == len(data) and stat.metadata["x-amz-meta-made-by"] == "ana"
got = client.get_object(bucket_name=BUCKET, object_name="d/big", offset=5, length=7)
assert got.read() == data[5:12]
client.copy_object(bucket_name=BUCKET, object_name="copy", source=CopySource(bucket_name=BUCKET, object_name="d/big"))
names = [entry.object_name for entry in client.list_objects(bucket_name=BUCKET, recursive=True)]
assert names == ["copy", "d/big"]
tags = Tags.new_object_tags()
tags["step"] = "raw"
client.set_object_tags(bucket_name=BUCKET, object_name="copy", tags=tags)
assert client.get_object_tags(bucket_name=BUCKET, object_name="copy") == tags
client.remove_object(bucket_name=BUCKET, object_name="copy")
try:
    client.stat_object(bucket_name=BUCKET, object_name="copy")
    raise SystemExit("it is there after it was removed")
except S3Error as error:
    assert error.code == "NoSuchKey", error
print("minio: all as expected")
