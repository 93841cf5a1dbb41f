"""The real server, and what may stand between a publisher and it."""

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[2]
# The same as in the tests of the npm package.
CHANNELS = REPOSITORY / "client/publisher/test/channels"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
BINARY = os.environ.get("TIDEGATE_BIN", str(TARGET / "debug/tidegate"))
BACKEND = "python-backend-key-0123456789abcdef"
REVOKER = "python-revoke-key-0123456789abcdef"
BRIDGE = """
rules:
  - { on: article.published, to: "feed.{section}", params: { section: event.data.section }, payload: event.data.article }
"""


class Server:
    """The binary in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        shutil.copytree(CHANNELS, directory / "channels")
        for name in ("config", "plugins"):
            (directory / name).mkdir()
        (directory / "config/bridge.yaml").write_text(BRIDGE)
        # JSON is YAML.
        config = {
            "api_keys": [
                {"name": "backend", "key": BACKEND, "may": ["publish", "events", "read"]},
                {"name": "revoker", "key": REVOKER, "may": ["revoke"]},
            ],
            "plugin_cache": str(TARGET / "e2e-plugin-cache"),
            "channels": "../channels",
            "plugins": "../plugins",
            "bridge": "bridge.yaml",
            "log": {"format": "json"},
        }
        (directory / "config/tidegate.yaml").write_text(json.dumps(config))
        self.address = "127.0.0.1:0"
        self.start()

    def start(self) -> None:
        """Starts it, again at the address that it had."""
        command = [BINARY, "serve", "--config", "config/tidegate.yaml", "--listen", self.address]
        self._process = subprocess.Popen(command, cwd=self.directory, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        said: list[str] = []
        for line in self._process.stderr:
            said.append(line)
            if '"server.listening"' in line:
                self.address = re.search(r'"address":"([^"]+)"', line)[1]  # type: ignore[index]
                break
        else:
            raise AssertionError("the server ended:\n" + "".join(said))
        self.url = f"http://{self.address}"
        # Read on, so that it never waits for its log to be read.
        threading.Thread(target=self._process.stderr.read, daemon=True).start()

    def kill(self) -> None:
        """SIGKILL."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def kept(self, topic: object) -> list[Any]:
        """What the topic's history keeps: what was published, and how often."""
        answer = httpx.get(
            f"{self.url}/v1/channels/{quote(str(topic), safe='')}/history", headers={"authorization": f"Bearer {BACKEND}"}
        )
        return [publication["payload"] for publication in answer.json()["publications"]]


Harm = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Passes a request on, unless the plan says otherwise."""

    server: "Balancer"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.requests.append((dict(self.headers), body, time.monotonic()))
        self.body = body
        if self.server.plan:
            self.server.plan.pop(0)(self)
            return
        answer = self.passed()
        self.answer(answer.status_code, answer.content)

    def passed(self) -> httpx.Response:
        """The server's answer."""
        kept = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "content-length")}
        return httpx.post(self.server.upstream.url + self.path, content=self.body, headers=kept)

    def answer(self, status: int, body: bytes = b"no server", headers: dict[str, str] | None = None) -> None:
        """An answer of its own."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Balancer(ThreadingHTTPServer):
    """What stands between a publisher and the server."""

    daemon_threads = True

    def __init__(self, upstream: Server) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.upstream = upstream
        self.plan: list[Harm] = []
        self.requests: list[tuple[dict[str, str], bytes, float]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A publisher that did not wait for its answer is no error."""


def refuse(status: int, headers: dict[str, str] | None = None) -> Harm:
    """Answers without asking the server."""
    return lambda handler: handler.answer(status, headers=headers)


def lose_answer(handler: Handler) -> None:
    """The server gets the request; its answer is lost."""
    handler.passed()
    handler.close_connection = True


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("tidegate"))
    yield running
    running.kill()


@pytest.fixture
def balancer(server: Server) -> Iterator[Balancer]:
    balancer = Balancer(server)
    yield balancer
    balancer.shutdown()
    balancer.server_close()
