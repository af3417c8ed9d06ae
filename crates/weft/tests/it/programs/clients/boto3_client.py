"""What a stock boto3 does with a bucket: each call as its users write it, each error as they catch it."""

import io
import os
import sys
import urllib.error
import urllib.request

import boto3
from botocore.exceptions import ClientError

s3 = boto3.client("s3")
BUCKET = sys.argv[1]


def code(call, **arguments):
    try:
        call(**arguments)
        return "done"
    except ClientError as error:
        return error.response["Error"]["Code"]


s3.create_bucket(Bucket=BUCKET)
assert BUCKET in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
s3.create_bucket(Bucket=BUCKET)  # it is there, and one's own: nothing is lost by it
assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
assert s3.get_bucket_location(Bucket=BUCKET)["LocationConstraint"] == s3.meta.region_name

# An object with what is said of it, under a name that needs care.
name = "a/b c+ü%.txt"
put = s3.put_object(
    Bucket=BUCKET, Key=name, Body=b"hello", ContentType="text/plain",
    CacheControl="no-cache", Metadata={"who": "ana"}, Tagging="step=raw&what=a%20b",
)
got = s3.get_object(Bucket=BUCKET, Key=name, ChecksumMode="ENABLED")
assert got["Body"].read() == b"hello"
assert got["ContentType"] == "text/plain" and got["CacheControl"] == "no-cache"
assert got["Metadata"] == {"who": "ana"} and got["ETag"] == put["ETag"]
assert got["ChecksumCRC32"] == put["ChecksumCRC32"]
assert got["ServerSideEncryption"] == "AES256"
assert s3.head_object(Bucket=BUCKET, Key=name)["ContentLength"] == 5
tags = s3.get_object_tagging(Bucket=BUCKET, Key=name)["TagSet"]
assert {tag["Key"]: tag["Value"] for tag in tags} == {"step": "raw", "what": "a b"}
part = s3.get_object(Bucket=BUCKET, Key=name, Range="bytes=1-2")
assert part["Body"].read() == b"el" and part["ContentRange"] == "bytes 1-2/5"
assert s3.get_object(Bucket=BUCKET, Key=name, Range="bytes=-2")["Body"].read() == b"lo"
assert code(s3.get_object, Bucket=BUCKET, Key=name, Range="bytes=9-") == "InvalidRange"
asked = ["ETag", "ObjectSize", "Checksum"]
said = s3.get_object_attributes(Bucket=BUCKET, Key=name, ObjectAttributes=asked)
assert said["ObjectSize"] == 5

# In parts, both ways.
big = os.urandom(20_000_000)
s3.upload_fileobj(io.BytesIO(big), BUCKET, "big.bin")
back = io.BytesIO()
s3.download_fileobj(BUCKET, "big.bin", back)
assert back.getvalue() == big
assert s3.get_object(Bucket=BUCKET, Key="big.bin", Range="bytes=8388600-8388616")["Body"].read() \
    == big[8388600:8388617]

# Conditions.
etag = put["ETag"]
assert code(s3.put_object, Bucket=BUCKET, Key=name, Body=b"x", IfNoneMatch="*") == "PreconditionFailed"
assert code(s3.put_object, Bucket=BUCKET, Key=name, Body=b"x", IfMatch='"0-1"') == "PreconditionFailed"
assert code(s3.put_object, Bucket=BUCKET, Key=name, Body=b"hello 2", IfMatch=etag) == "done"
assert code(s3.get_object, Bucket=BUCKET, Key=name, IfMatch=etag) == "PreconditionFailed"
now = s3.head_object(Bucket=BUCKET, Key=name)["ETag"]
assert code(s3.get_object, Bucket=BUCKET, Key=name, IfNoneMatch=now) == "304"

# What was there is there still.
versions = s3.list_object_versions(Bucket=BUCKET, Prefix="a/")["Versions"]
assert [version["IsLatest"] for version in versions] == [True, False]
old = s3.get_object(Bucket=BUCKET, Key=name, VersionId=versions[1]["VersionId"])
assert old["Body"].read() == b"hello"

# Copies and lists.
s3.copy_object(Bucket=BUCKET, Key="copy", CopySource={"Bucket": BUCKET, "Key": "big.bin"})
assert s3.head_object(Bucket=BUCKET, Key="copy")["ContentLength"] == len(big)
listed = s3.list_objects_v2(Bucket=BUCKET, Delimiter="/")
assert [entry["Key"] for entry in listed["Contents"]] == ["big.bin", "copy"]
assert [prefix["Prefix"] for prefix in listed["CommonPrefixes"]] == ["a/"]
pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, PaginationConfig={"PageSize": 1})
assert [entry["Key"] for page in pages for entry in page["Contents"]] == [name, "big.bin", "copy"]
assert [entry["Key"] for entry in s3.list_objects(Bucket=BUCKET, MaxKeys=2)["Contents"]] == [name, "big.bin"]

# A presigned address opens one object, as it is signed and no other.
address = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": name}, ExpiresIn=60)
assert urllib.request.urlopen(address).read() == b"hello 2"
for bad in [address.replace("big", "copy").replace("a/", "b/"), address[:-1] + "0" * (address[-1] != "0") + "1" * (address[-1] == "0")]:
    try:
        urllib.request.urlopen(bad)
        raise SystemExit("a changed address was opened")
    except urllib.error.HTTPError as error:
        assert error.code == 403, error

# What there is not.
assert code(s3.get_object, Bucket=BUCKET, Key="nope") == "NoSuchKey"
assert code(s3.head_object, Bucket=BUCKET, Key="nope") == "404"
assert code(s3.list_objects_v2, Bucket="no-such-bucket") == "NoSuchBucket"
assert len(s3.get_bucket_acl(Bucket=BUCKET)["Grants"]) == 1
assert code(s3.delete_bucket, Bucket=BUCKET) == "BucketNotEmpty"

# Deleted, one and many; deleting again is no error.
s3.delete_object(Bucket=BUCKET, Key="copy")
gone = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "big.bin"}, {"Key": "copy"}]})
assert len(gone["Deleted"]) == 2
assert code(s3.get_object, Bucket=BUCKET, Key="copy") == "NoSuchKey"
print("boto3: all as expected")
