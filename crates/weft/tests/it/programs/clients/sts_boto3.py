"""What a stock boto3 does that finds a role and a token's file: it fetches its keys by itself.

`claims/a.csv` is there. Says `ready`, waits for a line, and expects the token to be revoked then.
"""

import os
import sys

import boto3
from botocore.exceptions import ClientError

BUCKET = sys.argv[1]


def code(call, **arguments):
    try:
        call(**arguments)
        return "done"
    except ClientError as error:
        return error.response["Error"]["Code"]


def session(role):
    os.environ["AWS_ROLE_ARN"] = f"arn:aws:iam::000000000000:role/{role}"
    return boto3.Session()


# Under role/read, without a line of configuration.
s3 = boto3.client("s3")
assert BUCKET in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET)["Contents"]] == ["a.csv"]
assert s3.get_object(Bucket=BUCKET, Key="a.csv")["Body"].read().startswith(b"n,group")
assert code(s3.put_object, Bucket=BUCKET, Key="b", Body=b"x") == "AccessDenied"
assert code(s3.delete_object, Bucket=BUCKET, Key="a.csv") == "AccessDenied"
who = boto3.client("sts").get_caller_identity()
assert who["Account"] == "000000000000" and who["UserId"], who
assert who["Arn"].endswith(f"assumed-role/read/{who['UserId']}"), who

# Under role/write.
writer = session("write")
assert code(writer.client("s3").put_object, Bucket=BUCKET, Key="b", Body=b"x") == "done"
assert "assumed-role/write/" in writer.client("sts").get_caller_identity()["Arn"]
assert code(session("admin").client("s3").list_buckets) == "ValidationError"

print("ready", flush=True)
sys.stdin.readline()
assert code(s3.get_object, Bucket=BUCKET, Key="a.csv") == "InvalidAccessKeyId"
assert code(writer.client("s3").put_object, Bucket=BUCKET, Key="c", Body=b"x") == "InvalidAccessKeyId"
assert code(session("read").client("s3").list_buckets) == "InvalidIdentityToken"
print("boto3: all as expected")
