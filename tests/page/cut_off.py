"""The page in a network namespace of its own, under requests that name other computers.

    unshare --map-root-user --net python tests/page/cut_off.py      # prints JSON

Whoever in the namespace opens a connection or sends a packet is counted by the kernel, whether or
not there is a route.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import socket
import struct
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
HOST, PORT = "127.0.0.1", 7860
NAMES = (
    "http://203.0.113.7/a.wav",
    "HTTPS://voices.example/a.wav",
    "//voices.example/a.wav",
    "\\\\voices.example\\a.wav",
    " http://voices.example/a.wav",
    "ftp://203.0.113.7/a.wav",
    "file:///etc/passwd",
    "/etc/passwd",
)
READ = ("file=", "file/", "proxy=", "deep_link?session_hash=", "stream/", "custom_component/")


def file_of(**keys: str) -> dict[str, object]:
    return keys | {"meta": {"_type": "gradio.FileData"}, "orig_name": "a.wav"}


def requests() -> list[tuple[str, str, bytes]]:
    """Method, path and body of everything that a client may try."""
    tried: list[tuple[str, str, bytes]] = []
    for name in NAMES:
        quoted = name.replace("\\", "%5C").replace(" ", "%20")
        tried += [("GET", f"/gradio_api/{route}{quoted}", b"") for route in READ]
        tried += [("GET", f"/{route}/{quoted}", b"") for route in ("static", "assets", "svelte")]
        tried += [("GET", f"/gradio_api/file={quoted.replace('/', '%2F')}", b"")]
        for file in (file_of(path=name), file_of(path="/tmp", url=name), {"path": name}, name):
            call = {"data": [file, 0.5, ""], "session_hash": "s"}
            text = json.dumps(call).encode()
            routes = ("call/analyze", "run/analyze", "api/analyze", "call/v2/analyze")
            tried += [("POST", f"/gradio_api/{route}", text) for route in routes]
        call = {"data": [file_of(path=name), 50], "session_hash": "s"}
        for number in range(12):
            text = json.dumps(call | {"fn_index": number}).encode()
            tried.append(("POST", "/gradio_api/queue/join", text))
        wide = json.dumps(call).encode("utf-16")
        twice = json.dumps(call).encode().replace(b'"path"', b'"path": "/tmp/a.wav", "path"')
        tried += [("POST", "/gradio_api/call/analyze", text) for text in (wide, twice)]
    for route in ("vibe-starter-queries", "process_recording", "run-history/connect", "mcp/"):
        tried.append(("POST", f"/gradio_api/{route}", json.dumps({"url": NAMES[0]}).encode()))
    return tried


def sent() -> dict[str, int]:
    """What the kernel of this namespace counted."""
    lines = [line.split() for line in Path("/proc/net/snmp").read_text().splitlines()]
    counts: dict[str, int] = {}
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        counts |= {
            names[0] + name: int(value) for name, value in zip(names[1:], values[1:], strict=True)
        }
    six = dict(line.split() for line in Path("/proc/net/snmp6").read_text().splitlines())
    return {
        "connections": counts["Tcp:ActiveOpens"],
        "datagrams": counts["Udp:OutDatagrams"] + int(six["Udp6OutDatagrams"]),
        "no route": counts["Ip:OutNoRoutes"] + int(six["Ip6OutNoRoutes"]),
    }


def loopback_up() -> None:
    with socket.socket() as any_socket:
        request = struct.pack("16sh14x", b"lo", 1 | 64)  # IFF_UP | IFF_RUNNING
        fcntl.ioctl(any_socket, 0x8914, request)  # SIOCSIFFLAGS


def started(folder: Path) -> None:
    """The page, with nothing in service, in a thread."""
    import uvicorn

    import app
    from page.access import Access
    from page.uploads import Uploads

    page = app.Page(SimpleNamespace(detectors=list, notices=()))  # type: ignore[arg-type]
    guarded = app.served(page, Access(per_minute=1_000_000), Uploads(folder))
    server = uvicorn.Server(uvicorn.Config(guarded, HOST, PORT, log_level="critical"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.05)


def main() -> None:
    loopback_up()
    with tempfile.TemporaryDirectory() as uploads:
        os.environ |= {"GRADIO_TEMP_DIR": uploads, "GRADIO_ANALYTICS_ENABLED": "False"}
        started(Path(uploads))
        before, answers = sent(), []
        for method, path, body in requests():
            connection = http.client.HTTPConnection(HOST, PORT, timeout=30)
            headers = {"Content-Type": "application/json"} if body else {}
            connection.request(method, path, body or None, headers)
            answers.append((f"{method} {path}", connection.getresponse().status))
            connection.close()
        time.sleep(3)  # for what was done behind an answer
        after = sent()
    with suppress(OSError):  # that counting works
        socket.create_connection(("203.0.113.7", 80), timeout=1)
    with suppress(OSError), socket.socket(type=socket.SOCK_DGRAM) as resolver:
        resolver.sendto(b"?", ("203.0.113.7", 53))
    counted = {name: after[name] - before[name] for name in after}
    counted["connections"] -= len(answers)
    control = sent()["no route"] - after["no route"]
    admitted = [answer for answer in answers if answer[1] < 400]
    print(json.dumps({"counted": counted, "control": control, "admitted": admitted}))


if __name__ == "__main__":
    main()
