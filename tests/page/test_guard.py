"""The door of the page: what passes, what is answered there, and that nothing leaves through it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import gradio as gr
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from detectors.errors import HearsayError
from page.access import Access, Buckets, access
from page.guard import Guard

HERE = Path(__file__).parent
OWN = "http://testserver"
ANY_HOST = Access(hosts=("*",))


def asked_of(allowed=ANY_HOST, answer=None):
    """A client of a guard, and what came through to the application behind it."""
    seen = []

    async def behind(request):
        seen.append((request.url.path, dict(request.headers), await request.body()))
        if isinstance(answer, Exception):
            raise answer
        return answer or JSONResponse("fine")

    with gr.Blocks(analytics_enabled=False) as blocks:
        file, prior = gr.Audio(type="filepath", label="file"), gr.Number(minimum=0, maximum=1)
        gr.Button().click(lambda *_: None, [file, prior], None, api_name="analyze")
    route = Route("/{path:path}", behind, methods=["GET", "POST", "OPTIONS", "DELETE"])
    inner = Starlette(routes=[route])
    guard = Guard(inner, allowed, blocks, lambda path: path == "/up/a.wav")
    return TestClient(guard, base_url=OWN), seen


def file_data(path, **more):
    return {"path": path, "meta": {"_type": "gradio.FileData"}, **more}


def call(client, *data, **more):
    return client.post("/gradio_api/call/analyze", json={"data": list(data), **more})


def test_what_the_page_needs_passes():
    client, seen = asked_of()
    for path in ("/", "/config", "/gradio_api/info", "/gradio_api/file=/up/a.wav"):
        assert client.get(path).status_code == 200
    own = file_data("/up/a.wav", url=f"{OWN}/gradio_api/file=/up/a.wav")
    assert call(client, own, 0.5).status_code == 200
    assert json.loads(seen[-1][2])["data"] == [own, 0.5]


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=http://example.com/a",
        "/gradio_api/file=//example.com/a",
        "/gradio_api/file/http://example.com/a",
        "/gradio_api/proxy=http://example.com/a",
        "/?next=http%3A%2F%2Fexample.com",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/vibe-code",
        "/monitoring",
        "/docs",
    ],
)
def test_what_it_does_not_need_ends_at_the_door(path):
    client, seen = asked_of()
    answer = client.get(path)
    assert answer.status_code in (403, 404) and answer.text.rstrip('"}').endswith(".")
    assert not seen


@pytest.mark.parametrize(
    "file",
    [
        file_data("http://example.com/a.wav"),
        file_data("/up/a.wav", url="http://example.com/a.wav"),
        file_data("/up/a.wav", url="http://testserver.example/gradio_api/file=/up/a.wav"),
        file_data("/up/a.wav", more=[{"deep": " //example.com/a.wav"}]),
        file_data("/etc/passwd"),
        "http://example.com/a.wav",
    ],
)
def test_a_call_names_only_what_was_uploaded_here(file):
    client, seen = asked_of()
    assert call(client, file, 0.5).status_code in (403, 404)
    assert call(client, None, 0.5, event_data=file).status_code in (403, 404)
    assert not seen


def test_what_was_checked_is_what_is_read_behind():
    client, seen = asked_of()
    once = json.dumps({"data": [file_data("/up/a.wav"), 0.5]})
    twice = once.replace('"path"', '"path": "http://example.com", "path"')
    assert client.post("/gradio_api/call/analyze", content=twice).status_code == 200
    assert b"example.com" not in seen[-1][2]
    assert seen[-1][1]["content-type"] == "application/json"
    for body in ("{", "[1]", json.dumps({"data": []}).encode("utf-16"), "[" * 100_000):
        assert client.post("/gradio_api/call/analyze", content=body).status_code == 400
    large = b"[" + b" " * 2_000_000 + b"]"
    assert client.post("/gradio_api/call/analyze", content=large).status_code == 413
    assert len(seen) == 1


@pytest.mark.parametrize("prior", ['"x"', "NaN", "Infinity", "null", "true", "2", "[0.5]", "1e999"])
def test_a_wrong_value_is_a_sentence(prior):
    client, seen = asked_of()
    text = f'{{"data": [{json.dumps(file_data("/up/a.wav"))}, {prior}]}}'
    answer = client.post("/gradio_api/call/analyze", content=text)
    assert answer.status_code == 400 and answer.json()["detail"].endswith(".") and not seen


def test_a_call_of_nothing_is_a_sentence():
    client, seen = asked_of()
    for path, body in (
        ("call/nothing", {"data": []}),
        ("call/analyze", {"data": [None, 0.5]}),
        ("call/analyze", {"data": [{"path": "/up/a.wav"}, 0.5]}),
        ("call/analyze", {"data": [file_data("/up/a.wav", size="large"), 0.5]}),
        ("queue/join", {"data": [None, 0.5], "fn_index": 7}),
        ("queue/join", {"data": [None, 0.5], "fn_index": "0"}),
        ("queue/join", {"data": [None], "fn_index": 0}),
        ("queue/join", {"data": 3, "fn_index": 0}),
        ("queue/join", {"data": [7, 0.5], "fn_index": 0}),
    ):
        answer = client.post(f"/gradio_api/{path}", json=body)
        assert answer.status_code == 400 and answer.json()["detail"].endswith(".")
    assert not seen


def test_other_sites_do_not_speak_for_their_visitors():
    client, seen = asked_of(Access(url="https://voices.example", hosts=("*",)))
    for origin in (
        "http://evil.example",
        "null",
        "http://testserver.evil.example",
        "ftp://testserver",
    ):
        assert client.get("/config", headers={"Origin": origin}).status_code == 403
    assert not seen
    for origin in (OWN, "https://voices.example"):
        assert client.get("/config", headers={"Origin": origin}).status_code == 200


def test_what_a_client_says_of_proxies_is_not_heard():
    client, seen = asked_of()
    said = ("X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Gradio-Server", "X-Real-IP")
    client.get("/config", headers=dict.fromkeys(said, "evil.example"))
    assert "evil.example" not in str(seen[0][1])


def test_an_error_behind_is_a_sentence_and_its_message_stays_out_of_the_log(caplog):
    client, _ = asked_of(answer=KeyError("/home/ann/secret.wav"))
    answer = client.get("/config")
    assert answer.status_code == 500
    assert "KeyError" in caplog.text and "test_guard.py" in caplog.text
    assert "secret" not in caplog.text


def test_a_full_queue_is_a_sentence_with_a_time():
    client, _ = asked_of(answer=JSONResponse({"detail": "Queue is full."}, 503))
    answer = call(client, file_data("/up/a.wav"), 0.5)
    assert answer.status_code == 503 and answer.headers["Retry-After"] == "60"
    assert answer.json()["detail"] == (
        "The page is busy with other recordings. Please try again in a minute."
    )


def test_who_asks_too_often_is_told_when_to_come_again():
    client, seen = asked_of(Access(per_minute=3))
    answers = [call(client, file_data("/up/a.wav"), 0.5) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 20
    assert "try again in" in answers[-1].json()["detail"] and len(seen) == 3
    assert client.get("/config").status_code == 200


def test_buckets_fill_again_and_are_each_clients_own():
    now = [0.0]
    buckets = Buckets(6, lambda: now[0])
    assert [buckets.wait_s("a") for _ in range(7)] == [0.0] * 6 + [10.0]
    assert buckets.wait_s("b") == 0
    now[0] = 10.0
    assert buckets.wait_s("a") == 0 and buckets.wait_s("a") == pytest.approx(10)
    for host in range(6):
        assert buckets.wait_s(f"2001:db8::{host}") == 0
    assert buckets.wait_s("2001:db8::ffff") > 0 and buckets.wait_s("2001:db8:0:1::") == 0


def test_the_environment_says_who_may_come():
    assert access({}, "127.0.0.1").hosts == ("127.0.0.1", "localhost")
    public = access({"HEARSAY_URL": "https://voices.example/"}, "127.0.0.1")
    assert public.url == "https://voices.example" and "voices.example" in public.hosts
    space = access({"SPACE_ID": "a/b", "SPACE_HOST": "a-b.hf.space"}, "0.0.0.0")
    assert space.url == "https://a-b.hf.space" and space.hosts == ("*",) and space.proxies
    for wrong in (
        {"HEARSAY_URL": "voices.example"},
        {"HEARSAY_PROXIES": "*"},
        {"HEARSAY_RATE": "0"},
    ):
        with pytest.raises(HearsayError, match=next(iter(wrong))):
            access(wrong, "127.0.0.1")


def alone(*command):
    return ["unshare", "--map-root-user", "--net", *command]


def may_be_alone() -> bool:
    try:
        return subprocess.run(alone("true"), capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not may_be_alone(), reason="network namespaces are not permitted here")
def test_no_packet_leaves_whatever_a_client_names():
    command = alone(sys.executable, str(HERE / "cut_off.py"))
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert found["control"] == 2  # such attempts are counted
    assert found["counted"] == {"connections": 0, "datagrams": 0, "no route": 0}
    assert found["admitted"] == []
