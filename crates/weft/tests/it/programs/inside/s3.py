"""Requests signed in AWS's way (Signature Version 4) with Python's own library: what no client would
send can be sent, and nothing has to be installed."""

import datetime
import hashlib
import hmac
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request

ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def send(method, path, headers=None, body=None):
    """Status, code of the error or none, and body."""
    request = urllib.request.Request(ENDPOINT + path, body, headers or {}, method=method)
    try:
        with direct.open(request, timeout=50) as answer:
            return answer.status, "", answer.read()
    except urllib.error.HTTPError as error:
        text = error.read()
        code = re.search(rb"<Code>(\w+)</Code>", text)
        return error.code, code.group(1).decode() if code else "", text


def key():
    """The run's own key, or the one of the environment."""
    place = os.environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if not place:
        return os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"], None
    with direct.open(place, timeout=50) as answer:
        given = json.load(answer)
    assert given["Expiration"] > datetime.datetime.now(datetime.UTC).isoformat()
    return given["AccessKeyId"], given["SecretAccessKey"], given["Token"]


def ask(method, path, body=b"", headers=None, by=None):
    """A signed request."""
    name, secret, token = by or key()
    now = datetime.datetime.now(datetime.UTC)
    at, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    digest = hashlib.sha256(body).hexdigest()
    all = {"host": urllib.parse.urlsplit(ENDPOINT).netloc, "x-amz-date": at}
    all |= {"x-amz-content-sha256": digest} | (headers or {})
    if token:
        all["x-amz-security-token"] = token
    names = ";".join(sorted(all))
    lines = "".join(f"{name}:{all[name]}\n" for name in sorted(all))
    place, _, query = path.partition("?")
    plain = lambda text: urllib.parse.quote(urllib.parse.unquote(text), safe="-_.~")
    pairs = [pair.partition("=")[0::2] for pair in query.split("&") if pair]
    pairs = sorted(f"{plain(name)}={plain(value)}" for name, value in pairs)
    text = "\n".join([method, place, "&".join(pairs), lines, names, digest])
    scope = f"{day}/{os.environ['AWS_REGION']}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{hashlib.sha256(text.encode()).hexdigest()}"
    by = f"AWS4{secret}".encode()
    for part in scope.split("/") + [text]:
        by = hmac.digest(by, part.encode(), "sha256")
    all["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={name}/{scope}, SignedHeaders={names}, Signature={by.hex()}"
    )
    return send(method, path, all, body if method in ("PUT", "POST") else None)
