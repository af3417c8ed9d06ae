"""What a program in a run reads, in bytes a second: its dataset's folder when nothing of it is in the
page cache and again, the same bytes over S3, and a plain file beside it."""

import http.client
import os
import shutil
import time
import urllib.parse

import s3

FILES = sorted(os.listdir("/data/bench"))
buffer = bytearray(1 << 20)


def rate(what, pull):
    begun, total = time.perf_counter(), 0
    while some := pull():
        total += some
    took = time.perf_counter() - begun
    assert total == 256 << 20, (what, total)
    print("figure", what, int(total / took), flush=True)


def file(what, path):
    at = os.open(path, os.O_RDONLY)
    rate(what, lambda: os.readv(at, [buffer]))
    os.close(at)


def over_s3(name):
    """As the folder is read: from the first byte sent to the last one read."""

    def stream(method, path, headers, body):
        host = urllib.parse.urlsplit(s3.ENDPOINT).netloc
        there = http.client.HTTPConnection(host)
        answer = None

        def pull():
            nonlocal answer
            if not answer:
                there.request(method, path, headers=headers)
                answer = there.getresponse()
                assert answer.status == 200, answer.read()
            return answer.readinto(buffer)

        rate("s3", pull)

    s3.send = stream
    s3.ask("GET", "/bench/" + name, by=KEY)


KEY = s3.key()
for name in FILES:
    file("cold", "/data/bench/" + name)
    over_s3(name)
shutil.copyfile("/data/bench/" + FILES[0], "plain")
for _ in range(5):
    file("warm", "/data/bench/" + FILES[0])
    file("plain", "plain")
