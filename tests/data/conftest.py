"""A server on this machine, to download from."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.server.files.get(self.path.lstrip("/"))
        if body is None:
            return self.send_error(404)
        if body == b"silent":
            return self.server.stop.wait(10)
        if body.startswith(b"slow"):
            self.server.stop.wait(0.3)
        self.send_response(200)
        short = body.startswith((b"short", b"stalled"))
        self.send_header("Content-Length", str(len(body) + 100 * short))
        self.end_headers()
        self.wfile.write(body)
        if body.startswith(b"stalled"):
            self.server.stop.wait(10)
        return None

    def log_message(self, *arguments):
        pass


@pytest.fixture
def serve(monkeypatch):
    """Serve files of this machine: `serve(files)` is the address."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    servers = []

    def start(files):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.files, server.stop = files, threading.Event()
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.stop.set()
        server.shutdown()
        server.server_close()
