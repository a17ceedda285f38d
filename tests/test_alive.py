"""The health check of the model servers' containers: an answer counts, a health page does not."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ALIVE = Path(__file__).resolve().parents[1] / "docs" / "ops" / "alive.py"


@contextmanager
def server(*, answer: int, health: int) -> Iterator[str]:
    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/health":
                self._say(health, b"")
            else:
                self._say(200, b'{"data": [{"id": "nano"}]}')

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._say(answer, b"{}")

        def _say(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_address[1]}"
        finally:
            listening.shutdown()
            thread.join()


def code(kind: str, url: str) -> int:
    return subprocess.run([sys.executable, str(ALIVE), kind, url], check=False).returncode


@pytest.mark.parametrize("kind", ["chat", "embed", "rerank"])
def test_an_engine_that_answers_is_alive(kind: str) -> None:
    with server(answer=200, health=200) as url:
        assert code(kind, url) == 0


def test_a_full_queue_is_an_engine_at_work() -> None:
    with server(answer=503, health=200) as url:
        assert code("chat", url) == 0


@pytest.mark.parametrize(("answer", "health"), [(500, 200), (503, 503), (404, 200)])
def test_a_health_page_alone_is_not_enough(answer: int, health: int) -> None:
    with server(answer=answer, health=health) as url:
        assert code("chat", url) == 1


def test_nobody_is_not_alive() -> None:
    assert code("chat", "http://127.0.0.1:9") == 1
