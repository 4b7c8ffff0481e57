"""A server that we did not write: `llmock` from PyPI, a program of its own.

It speaks OpenAI chat, Anthropic Messages and others over HTTP/1.1 (uvicorn), takes faults to
inject, keeps a journal of what it was asked, and judges how its client behaved.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from threading import Thread
from typing import IO, Any, Final, final

import attrs
import pytest

READY: Final = re.compile(r"Uvicorn running on (http://127\.0\.0\.1:\d+)")


@final
@attrs.frozen
class ThirdPartyServer:
    """A running server, and what may be asked of it beside completions."""

    url: str
    """`http://127.0.0.1:<port>`."""

    @property
    def openai(self) -> str:
        """The base URL of its OpenAI chat API. Any key is taken, and any model."""
        return f"{self.url}/v1"

    @property
    def anthropic(self) -> str:
        """The base URL of its Anthropic API: `/messages` comes after it."""
        return f"{self.url}/anthropic/v1"

    def script(self, *behaviors: dict[str, Any]) -> None:
        """Queue what befalls the next requests.

        Such as `{"type": "fail", "status": 429, "retry_after": 0.05, "times": 2}`,
        `{"type": "reply", "text": "..."}`, `{"type": "reply", "tool_calls": [{"name": ...,
        "arguments": {...}}]}`, `{"type": "delay", "seconds": ...}`, and `{"type": "stream_fault",
        "kind": "disconnect" | "truncate" | "stall" | "malformed", "after_chunks": 2}`.
        """
        self._ask("POST", "/_llmock/scenario", {"behaviors": list(behaviors)})

    def requests(self) -> list[dict[str, Any]]:
        """Return what it was asked since the test began, the oldest first."""
        answer: dict[str, list[dict[str, Any]]] = self._ask("GET", "/_llmock/requests")
        return answer["requests"]

    def verdict(self) -> dict[str, Any]:
        """Return its judgement of the client: `passed`, `findings` with `code` and `severity`.

        It finds retries that came too early, too often, or of what can never succeed, calls given
        up without one, and streams that were cut and taken for whole.
        """
        answer: dict[str, Any] = self._ask("GET", "/_llmock/verdict")
        return answer

    def reset(self) -> None:
        """Forget what was asked and what was scripted."""
        self._ask("POST", "/_llmock/reset")

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, content, method=method)
        # No proxy of the environment stands between two ends on loopback.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            return json.load(answer)


@pytest.fixture(scope="session")
def _running_server() -> Iterator[ThirdPartyServer]:
    # It takes a free port itself (0) and names it when it listens, so nothing races or is polled.
    command = [sys.executable, "-m", "llmock.cli", "serve", "--host=127.0.0.1", "--port=0"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        try:
            assert process.stderr is not None
            said = []
            for line in process.stderr:
                said.append(line)
                if ready := READY.search(line):
                    break
            else:
                pytest.fail(f"llmock did not start:\n{''.join(said)}")
            drain = Thread(target=_drain, args=(process.stderr,), name="llmock's log")
            drain.start()
            yield ThirdPartyServer(ready[1])
        finally:
            process.terminate()
        process.wait(timeout=30)
        drain.join()


def _drain(log: IO[str]) -> None:
    """Read the log to its end, else the server stops at a full pipe."""
    for _ in log:
        pass


@pytest.fixture
def third_party_server(_running_server: ThirdPartyServer) -> ThirdPartyServer:
    """The server, with nothing scripted and nothing in its journal."""
    _running_server.reset()
    return _running_server
