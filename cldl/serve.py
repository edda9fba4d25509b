"""Show what a trained run makes of a drawing or a picture, on a page of this machine, and answer programs in JSON.

python -m cldl.serve runs/mnist_nin-20260101-120000
python -m cldl.serve runs/mnist_nin-20260101-120000 --port 0
"""

from __future__ import annotations

import errno
import socket
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from cldl.commands import add_data_arguments, add_device_arguments, guarded, leave, parser, whole
from cldl.training.run import Run
from cldl.web.answer import Answerer
from engine.errors import UserError

if TYPE_CHECKING:
    from starlette.types import ASGIApp
    from uvicorn import Server

HOST, PORT = "127.0.0.1", 8000
PACKAGES = ("starlette", "uvicorn")
CONNECTIONS = 32  # at a time; a browser opens up to 6
PATIENCE = 2  # seconds that requests have to end after Ctrl-C


@guarded
def main(argv: list[str] | None = None) -> int:
    """Run the command until Ctrl-C, with exit status 130; 2 for an error that the user can fix."""
    p = parser(
        "cldl.serve",
        f"Show what a trained run makes of a drawing or a picture: a page at http://{HOST}:PORT, for this machine alone.",
    )
    p.add_argument("run", type=Path, metavar="DIR", help="the run's folder")
    p.add_argument("--port", type=whole(0, 65535), default=PORT, help="where it listens; 0 is any that is free")
    add_data_arguments(p)
    add_device_arguments(p)
    options = p.parse_args(argv)
    for package in PACKAGES:
        if not find_spec(package):
            raise UserError(f"the package {package} is needed, and not installed: pip install 'cldl[serve]'.")
    from cldl.web.app import make_app

    with listen(options.port) as listener:
        run = Run.open(options.run)
        model = run.model(
            cache=options.cache, data=options.data, device=options.device, threads=1, precision=options.precision
        )
        answerer = Answerer(run, model)
        answerer.warm_up()
        print(f"{run.folder} is at http://{HOST}:{listener.getsockname()[1]} until Ctrl-C", flush=True)
        make_server(make_app(answerer, answerer.about)).run(sockets=[listener])
    return 0


def listen(port: int) -> socket.socket:
    """A socket that listens on this machine alone; raises UserError where the port cannot be had."""
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        reason = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be had ({error.strerror})"
        raise UserError(f"port {port} {reason}: choose another one by --port, or 0 for any that is free.") from None


def make_server(app: ASGIApp) -> Server:
    """What answers requests by an application, until a signal ends it."""
    from uvicorn import Config, Server

    config = Config(
        app,
        access_log=False,
        http="h11",
        lifespan="off",
        limit_concurrency=CONNECTIONS + 1,  # the one that is turned away
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=PATIENCE,
        ws="none",
    )
    return Server(config)


if __name__ == "__main__":
    leave(main)
