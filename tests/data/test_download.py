"""Why a download failed, in a few words that name the culprit: the server, its certificate, or the proxy before it."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from data.fetch.download import download, pip_download, quiet, read_csv, tenths, try_sources
from engine.errors import UserError

PASSWORD = r"is behind a proxy that wants a password \(HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT gives it\)"


class Refusing(BaseHTTPRequestHandler):
    """A proxy that refuses with its server's status."""

    def do_CONNECT(self):
        self.send_error(self.server.status)
        self.close_connection = True

    def do_GET(self):
        self.do_CONNECT()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def proxy(monkeypatch):
    """`proxy(status)`: all downloads go through a proxy that answers so, or through none that there is."""
    servers = []

    def start(status):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
        servers.append(server)
        server.status = status
        if status:
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        else:
            server.server_close()
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{server.server_port}")
        for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)

    yield start
    for server in servers:
        if server.status:
            server.shutdown()
            server.server_close()


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (407, PASSWORD),
        (403, r"is behind a proxy that forbids it \(403 Forbidden\)"),
        (500, r"is behind a proxy that failed \(500 Internal Server Error\)"),
        (502, r"is behind a proxy that failed \(502 Bad Gateway\)"),
        (None, "is behind a proxy that cannot be reached"),
    ],
)
def test_a_proxy_that_does_not_connect_is_told_with_its_reason(proxy, status, sentence):
    proxy(status)
    with pytest.raises(UserError, match=f"^{sentence}$"):
        download("https://somewhere.invalid/a", 100)


def test_a_proxy_that_wants_a_password_is_told_without_encryption_too(proxy):
    proxy(407)
    with pytest.raises(UserError, match=f"^{PASSWORD}$"):
        download("http://somewhere.invalid/a", 100)


def test_a_certificate_that_is_not_trusted_is_told(tmp_path, monkeypatch):
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", tmp_path / "key.pem", "-out", tmp_path / "certificate.pem"]
    try:
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *names, *files],
            capture_output=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("openssl makes no certificate here")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    try:
        with pytest.raises(UserError, match=r"^has a certificate that is not trusted \(self[- ]signed certificate\)$"):
            download(f"https://127.0.0.1:{server.server_port}/a", 100)
    finally:
        server.shutdown()
        server.server_close()


def refusal(call):
    with pytest.raises(UserError) as refused:
        call()
    return str(refused.value)


def test_a_server_without_encryption_is_told(serve):
    assert refusal(lambda: download(serve({}).replace("http", "https"), 100)) == "offers no secure connection"


def test_a_server_that_falls_silent_in_the_middle_is_given_up(serve):
    address = serve({"a": b"stalled".ljust(20_000)})
    start = time.monotonic()
    assert refusal(lambda: download(address + "a", 30_000, timeout=0.2)) == "sent nothing for 0.2 seconds"
    assert time.monotonic() - start < 5


def test_a_silent_server_is_given_up_and_its_connection_closed(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a"
        assert refusal(lambda: download(address, 100, timeout=0.2)) == "sent nothing for 0.2 seconds"
        connection, _ = server.accept()
        with connection:
            connection.settimeout(5)
            while connection.recv(1000):  # the request, and then the end of what the client sends
                pass


def test_a_server_that_takes_its_time_is_waited_for(serve, monkeypatch):
    monkeypatch.setattr("data.fetch.download.POLL", 0.01)
    assert download(serve({"a": b"slow but whole"}) + "a", 100) == b"slow but whole"


def test_an_error_of_another_kind_is_named(monkeypatch):
    def broken(*arguments, **options):
        raise RuntimeError

    monkeypatch.setattr("socket.getaddrinfo", broken)
    assert refusal(lambda: download("http://somewhere.invalid/a", 100)) == "failed with RuntimeError"
    assert refusal(lambda: download("other://somewhere.invalid/a", 100)) == "failed with InvalidSchema"


def test_every_tenth_of_a_download_is_reported_once():
    said = []
    arrived = tenths("the data", 51_500_000, said.append)
    for size in (1e6, 5e6, 5_500_000, 5_600_000, 15_500_000, 48e6, 51_500_000):
        arrived(int(size))
    assert said == [f"the data: {megabytes} of 52 MB" for megabytes in (6, 16, 48, 52)]


def failing(sentence):
    def load():
        raise UserError(sentence)

    return load


def test_the_sources_are_tried_in_turn_and_it_is_said_why_one_failed():
    said = []
    sources = [("here", failing("is empty")), ("there", lambda: 7), ("elsewhere", failing("is not reached"))]
    assert try_sources("the data", sources, "buy them", said.append) == 7
    assert said == [
        "the data: getting it from here",
        "the data: nothing kept from here: is empty",
        "the data: getting it from there",
    ]


def test_where_all_sources_fail_the_reasons_and_the_remedy_are_told():
    sources = [("here", failing("is empty")), ("there", failing("is closed"))]
    assert refusal(lambda: try_sources("the data", sources, "buy them", quiet)) == (
        "the data could not be had (here: is empty; there: is closed): buy them"
    )


@pytest.mark.skipif(os.name == "nt", reason="a script is no program there")
def test_a_pip_that_hangs_is_ended(tmp_path, monkeypatch):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexec sleep 10\n")
    python.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr("data.fetch.download.PIP_SECONDS", 0.2)
    start = time.monotonic()
    assert refusal(lambda: pip_download("a==1", tmp_path)) == "pip took more than 0.2 seconds"
    assert time.monotonic() - start < 5


def test_a_table_may_have_three_digits_and_a_comma_a_value_and_a_heading_and_no_more(tmp_path):
    table, wheel = "a,b\n1,255\n20,0\n", tmp_path / "a.whl"
    for size in (32, 33):
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("table.csv", table.ljust(size, "\n"))
        if size == 32:
            np.testing.assert_array_equal(read_csv(wheel, "table.csv", 2, 2), [[1, 255], [20, 0]])
        else:
            sentence = refusal(lambda: read_csv(wheel, "table.csv", 2, 2))
            assert sentence == "table.csv is larger than 2 lines can be"


def test_ctrl_c_ends_a_download_at_once(serve, signals_of_a_terminal):
    address = serve({"a": b"silent"})
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        download(address + "a", 100, timeout=30)
    assert time.monotonic() - start < 10
