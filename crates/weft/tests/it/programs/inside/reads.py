"""What a run may do over S3."""

import re

import s3

mine = s3.key()
get = lambda path, **more: s3.ask("GET", path, by=mine, **more)
assert get("/claims.v1/a.csv") == (200, "", b"x,canary\n1,2\n")
assert get("/claims/a.csv")[2] == b"x,canary\n1,2\n", "its dataset is the version that it declared"
assert get("/claims/big", headers={"range": "bytes=1000-1003"})[0::2] == (206, b"\7\7\7\7")
assert len(get("/claims/big")[2]) == 6 << 20
assert s3.ask("HEAD", "/claims/a.csv", by=mine)[0] == 200
assert get("/claims/later.csv")[:2] == (404, "NoSuchKey"), "what came after it is not there"
listed = get("/claims?list-type=2")[2].decode()
assert re.findall("<Key>([^<]*)", listed) == ["a.csv", "big"], listed
assert re.findall("<Name>([^<]*)", get("/")[2].decode()) == ["claims.v1"]
print("read as declared")
