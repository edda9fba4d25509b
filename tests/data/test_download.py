"""Why a download failed, in a few words that name the culprit: the server, its certificate, or the proxy before it."""

import os
import signal
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from data.fetch.download import download
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


def test_ctrl_c_ends_a_download_at_once(serve, signals_of_a_terminal):
    address = serve({"a": b"silent"})
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        download(address + "a", 100, timeout=30)
    assert time.monotonic() - start < 10
