"""A server in a thread, and requests to it."""

import http.client
import json
import threading
from contextlib import contextmanager

from cldl.serve import listen, make_server
from cldl.web.app import make_app

ABOUT = {"run": "runs/first"}


@contextmanager
def served(answer, about=None):
    """The port at which `answer` is had while the block runs."""
    server = make_server(make_app(answer, ABOUT if about is None else about))
    with listen(0) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def ask(port, method="GET", path="/", body=None, **headers):
    """The status, the headers and the body of an answer; the body read, where it is JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, {name.title(): value for name, value in headers.items()})
        response = connection.getresponse()
        found = response.read()
        is_json = response.headers["content-type"] == "application/json"
        return response.status, response.headers, json.loads(found) if is_json else found.decode()
    finally:
        connection.close()


def send(port, body, **headers):
    """The status of an image's answer, and what it says."""
    status, _, found = ask(port, "POST", "/api/predict", body, **headers)
    return status, found
