"""Equal digests where the same would be sent to the same, and nowhere else."""

from __future__ import annotations

from trillium._wire.dialect import dialect_named
from trillium._wire.fingerprint import DIGEST_BYTES, Fingerprint
from trillium.endpoints import Endpoint
from trillium.messages import Request


def digest(request: Request, *, model: str = "m", **fields: object) -> bytes:
    whole = {"name": "e", "base_url": "http://host/v1", **fields}
    endpoint = Endpoint(**whole)  # type: ignore[arg-type]  # a record of strings
    return Fingerprint(dialect_named(endpoint.dialect), endpoint, model=model).digest(request)


def test_what_is_sent_alike_is_alike() -> None:
    assert digest(Request("hi", id=1)) == digest(Request("hi", id="other"))
    assert len(digest(Request("hi"))) == DIGEST_BYTES
    assert digest(Request("hi"), key="one") == digest(Request("hi"), key="other")
    one, other = {"Authorization": "Bearer a"}, {"authorization": "Bearer b"}
    assert digest(Request("hi"), headers=one) == digest(Request("hi"), headers=other)


def test_what_differs_in_anything_sent_differs() -> None:
    digests = {
        digest(Request("hi")),
        digest(Request("ho")),
        digest(Request("hi", temperature=0.0)),
        digest(Request("hi", extra_body={"top_k": 1})),
        digest(Request("hi"), model="n"),
        digest(Request("hi"), base_url="http://other/v1"),
        digest(Request("hi", max_tokens=1), dialect="anthropic"),
        digest(Request("hi"), headers={"x-feature": "on"}),
    }
    assert len(digests) == 8
