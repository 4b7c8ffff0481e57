"""The third-party server itself: what our tests against it rely on."""

from __future__ import annotations

import json
import urllib.request
from typing import Any


def test_it_answers_in_the_form_of_openai(third_party_server: Any) -> None:
    body = {"model": "any/name", "messages": [{"role": "user", "content": "hello"}]}
    request = urllib.request.Request(
        f"{third_party_server.openai}/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    third_party_server.script({"type": "reply", "text": "scripted"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
        completion = json.load(answer)
    assert completion["choices"][0]["message"]["content"] == "scripted"
    assert [asked["path"] for asked in third_party_server.requests()] == ["/v1/chat/completions"]
    assert third_party_server.verdict()["passed"]


def test_nothing_of_another_test_is_left(third_party_server: Any) -> None:
    assert third_party_server.requests() == []
