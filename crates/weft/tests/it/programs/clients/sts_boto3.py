"""What a stock boto3 does that finds a role and a token's file: it fetches its keys by itself.

`claims/a.csv` is there. Says `ready`, waits for a line, and expects the token to be revoked then.
"""

import os
import sys

import boto3
from botocore.exceptions import ClientError

BUCKET = sys.argv[1]


def expect(code, call, **arguments):
    try:
        call(**arguments)
        got = "done"
    except ClientError as error:
        got = error.response["Error"]["Code"]
    assert got == code, f"{got}, not {code}"


def session(role):
    os.environ["AWS_ROLE_ARN"] = f"arn:aws:iam::000000000000:role/{role}"
    return boto3.Session()


# Under role/read, without a line of configuration.
s3 = boto3.client("s3")
assert BUCKET in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET)["Contents"]] == ["a.csv"]
assert s3.get_object(Bucket=BUCKET, Key="a.csv")["Body"].read().startswith(b"n,group")
expect("AccessDenied", s3.put_object, Bucket=BUCKET, Key="b", Body=b"x")
expect("AccessDenied", s3.delete_object, Bucket=BUCKET, Key="a.csv")
who = boto3.client("sts").get_caller_identity()
assert who["Account"] == "000000000000" and who["UserId"], who
assert who["Arn"].endswith(f"assumed-role/read/{who['UserId']}"), who

# Under role/write.
writer = session("write")
expect("done", writer.client("s3").put_object, Bucket=BUCKET, Key="b", Body=b"x")
assert "assumed-role/write/" in writer.client("sts").get_caller_identity()["Arn"]
expect("ValidationError", session("admin").client("s3").list_buckets)

print("ready", flush=True)
sys.stdin.readline()
expect("InvalidAccessKeyId", s3.get_object, Bucket=BUCKET, Key="a.csv")
expect("InvalidAccessKeyId", writer.client("s3").put_object, Bucket=BUCKET, Key="c", Body=b"x")
expect("InvalidIdentityToken", session("read").client("s3").list_buckets)
print("boto3: all as expected")
