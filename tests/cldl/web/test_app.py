"""What the server answers, refuses and forbids, over a socket: its limits, its headers, and nothing on the disk."""

import http.client
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from engine.errors import UserError

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from cldl import serve
from cldl.reporting.style import COLOURS
from cldl.web import app
from tests.cldl.web.serving import ABOUT, ask, send, served

ROOT = Path(__file__).parents[3]
FILES = {path.name: path.read_text(encoding="utf-8") for path in app.STATIC.iterdir()}


def echo(data):
    """An answer that says what came."""
    return {"bytes": len(data), "first": data[:1].decode()}


@pytest.fixture(scope="module")
def port():
    with served(echo) as port:
        yield port


def test_the_bytes_that_are_sent_are_answered(port):
    assert send(port, b"x" * 1000) == (200, {"bytes": 1000, "first": "x"})


def test_the_page_is_files_of_the_package(port):
    assert ask(port)[2] == FILES["index.html"]
    for name, kind in (("page.css", "text/css"), ("page.js", "javascript"), ("icon.svg", "image/svg+xml")):
        status, headers, text = ask(port, path=f"/{name}")
        assert (status, text) == (200, FILES[name])
        assert kind in headers["content-type"]


def test_the_run_is_told_with_the_limit(port):
    assert ask(port, path="/api/run")[2] == {**ABOUT, "max_bytes": 20_000_000, "too_large": app.LARGE}


@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_may_have_a_number_of_bytes_and_no_more(port, monkeypatch, chunked):
    monkeypatch.setattr(app, "MAX_BYTES", 100_000)

    def body(size):
        return iter([b"x" * (size - 1), b"x"]) if chunked else b"x" * size

    assert send(port, body(100_000))[0] == 200
    assert send(port, body(100_001)) == (413, {"refused": app.LARGE})
    assert "20,000,000 bytes" in app.LARGE


def test_an_upload_that_does_not_arrive_is_given_up(port, monkeypatch):
    monkeypatch.setattr(app, "UPLOAD_SECONDS", 0.2)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"POST /api/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n12345")
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert (response.status, response.read()) == (408, b'{"refused":"%s"}' % app.SLOW.encode())


def test_an_image_that_waits_too_long_is_told_so_and_not_worked_on(monkeypatch):
    monkeypatch.setattr(app, "ANSWER_SECONDS", 0.3)
    is_working, is_free, worked_on = threading.Event(), threading.Event(), []

    def slow(data):
        worked_on.append(data)
        is_working.set()
        is_free.wait(30)
        return {}

    with served(slow) as port:
        first = threading.Thread(target=lambda: refused.append(send(port, b"1")))
        refused = []
        first.start()
        assert is_working.wait(30)
        refused.append(send(port, b"2"))
        first.join()
        assert refused == [(503, {"refused": app.BUSY})] * 2
        monkeypatch.setattr(app, "ANSWER_SECONDS", 30)
        is_free.set()
        assert send(port, b"3") == (200, {})
    assert worked_on == [b"1", b"3"]


def test_images_are_answered_one_at_a_time():
    working, most = [], []

    def count(data):
        working.append(data)
        most.append(len(working))
        time.sleep(0.05)
        working.pop()
        return {}

    with served(count) as port:
        threads = [threading.Thread(target=send, args=(port, b"x")) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert most == [1] * 5


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1", "127.0.0.1:8000"])
def test_this_machine_may_be_called_by_its_names(port, host):
    assert ask(port, host=host)[0] == 200


@pytest.mark.parametrize(
    "host", ["example.com", "localhost.example.com", "example.com:8000", "127x0.0.1", "xlocalhost", "localhost:x", ""]
)
def test_by_another_name_nothing_is_answered(port, host):
    for method, path in (("GET", "/"), ("GET", "/api/run"), ("POST", "/api/predict")):
        status, _, found = ask(port, method, path, b"x" if method == "POST" else None, host=host)
        assert (status, found) == (421, {"refused": app.ELSEWHERE})


def test_the_page_itself_and_programs_may_send_images_and_other_pages_may_not(port):
    assert send(port, b"x", origin=f"http://127.0.0.1:{port}")[0] == 200
    assert send(port, b"x")[0] == 200
    for origin in ("http://example.com", "http://127.0.0.1:1", f"https://127.0.0.1:{port}", "null", ""):
        assert send(port, b"x", origin=origin) == (403, {"refused": app.FOREIGN})


def test_every_answer_says_what_a_browser_may_do_with_it(port):
    answers = [ask(port), ask(port, path="/page.js"), ask(port, path="/none"), ask(port, host="example.com")]
    answers.append(ask(port, "POST", "/api/predict", b"\xff"))  # which `echo` fails on
    assert [status for status, _, _ in answers] == [200, 200, 404, 421, 500]
    for _, headers, _ in answers:
        policy = headers["content-security-policy"].split("; ")
        assert policy[:2] == ["default-src 'self'", "img-src 'self' data:"]
        assert {"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} == set(policy[2:])
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["access-control-allow-origin"] is None


@pytest.mark.parametrize(("others", "status"), [(1, 200), (2, 503)])
def test_so_many_connections_are_served_at_a_time_and_no_more(monkeypatch, others, status):
    monkeypatch.setattr(serve, "CONNECTIONS", 2)
    with served(echo) as port:
        kept = [socket.create_connection(("127.0.0.1", port)) for _ in range(others)]  # which ask for nothing
        assert ask(port, path="/api/run")[0] == status
        for connection in kept:
            connection.close()


def test_what_is_refused_is_a_sentence_and_a_bug_is_shown_in_the_terminal(caplog):
    def refuse(data):
        raise UserError("the image is blank: draw something.") if data else ValueError("a bug")

    with served(refuse) as port:
        assert send(port, b"x") == (422, {"refused": "the image is blank: draw something."})
        assert send(port, b"") == (500, {"refused": app.FAILED})
        for method, path, status in (("GET", "/none", 404), ("GET", "/api/predict", 404), ("POST", "/", 405)):
            assert ask(port, method, path)[::2] == (status, {"refused": app.NOWHERE})
    assert "ValueError: a bug" in caplog.text  # once the server has ended: it is told after the answer


def test_nothing_beside_the_page_is_had(port):
    for path in ("/../app.py", "/%2e%2e/app.py", "/..%2fapp.py", "//etc/passwd"):
        assert ask(port, path=path)[0] == 404


WATCHED = """
import os, sys
from tests.cldl.web.serving import send, served

changed, is_watched = [], False
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT

def watch(event, arguments):
    if not is_watched:
        return
    if event == "open" and arguments[2] & WRITING or event in ("os.mkdir", "os.rename", "tempfile.mkstemp"):
        changed.append((event, str(arguments[0])))

sys.addaudithook(watch)
with served(lambda data: {"bytes": len(data)}) as port:
    is_watched = True
    open(os.devnull, "w").close()
    for size in (10, 200_000, 2_000_000, 19_999_999, 30_000_000):
        print(send(port, b"x" * size)[0])
        print(send(port, iter([b"x" * size]))[0])
    is_watched = False
print(changed)
"""


def test_an_upload_never_touches_the_disk():
    run = {"cwd": ROOT, "capture_output": True, "text": True, "timeout": 120}
    done = subprocess.run([sys.executable, "-c", WATCHED], check=False, **run)
    *statuses, changed = done.stdout.splitlines()
    assert statuses == ["200"] * 8 + ["413"] * 2, done.stderr
    assert changed == str([("open", "/dev/null")])  # that of the check itself


def test_the_page_names_no_other_host():
    for name, text in FILES.items():
        assert not re.search(r"(https?:)?//[\w.]", text.replace("http://www.w3.org/2000/svg", "").replace("// ", "")), (
            name
        )


def test_a_classifier_has_the_colour_that_it_has_in_the_reports():
    found = re.findall(r"\.classifier-(\d) { --colour: (#\w+) }", FILES["page.css"])
    assert found == [(str(m), colour) for m, colour in enumerate(COLOURS)]
    assert f"const COLOURS = {len(COLOURS)};" in FILES["answer.js"]
    assert set(re.findall(r"#\w{6}", FILES["icon.svg"])) == set(COLOURS[:3])
