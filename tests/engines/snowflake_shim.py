"""Runs in the emulator's own environment: fakesnow with what it lacks or gets wrong for these tests.

``python snowflake_shim.py PORT``. Every mend is one of the emulator, by the vendor's documentation; what
the dialect writes is for the real thing.
"""

import sys
import uvicorn
import json
from fakesnow.server import app


async def shim(scope, receive, send):
    if scope["type"] != "http" or "login-request" not in scope["path"]:
        return await app(scope, receive, send)
    start, body = None, b""
    async def snd(m):
        nonlocal start, body
        if m["type"] == "http.response.start":
            start = m
            return
        body += m.get("body", b"")
        if not m.get("more_body"):
            d = json.loads(body)
            x = d.get("data")
            if x:
                x.update(masterToken=x["token"], validityInSeconds=3600, masterValidityInSeconds=14400, sessionId=1, displayUserName="F")
            body = json.dumps(d).encode()
            h = [(k, v) for k, v in start["headers"] if k.lower() != b"content-length"] + [(b"content-length", str(len(body)).encode())]
            await send({**start, "headers": h})
            await send({"type": "http.response.body", "body": body})
    await app(scope, receive, snd)

uvicorn.run(shim, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
