"""A line gives the outcome back that it was made of; what is no line of ours is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trillium._wire.outcome_lines import encode_outcome
from trillium._wire.recorded_lines import LineError, decode_head, decode_outcome
from trillium.completions import Completion, Failure, FinishReason, Reused, Usage
from trillium.errors import ERROR_CLASSES, ErrorKind
from trillium.messages import ToolCall

VERSION_1 = (
    b'{"v":1,"id":"r1","index":3,"status":"completed","model":"m","answered_model":"m-1",'
    b'"endpoint":"sim","response_id":"resp-1","text":"Hello","tool_calls":[{"id":"c1",'
    b'"name":"look","arguments":"{}","extra":{"x":1}}],"reasoning":"Hm.","refusal":"No.",'
    b'"finish_reason":"stop","usage":{"input_tokens":1,"output_tokens":2,"cached_tokens":3,'
    b'"cache_write_tokens":4,"reasoning_tokens":5},"service_tier":"flex","latency_s":1.234568,'
    b'"first_token_s":0.123457,"attempts":2,"abandoned":1}\n'
)
"""As the first release that wrote lines wrote them: it stays readable."""

texts = st.text(st.characters(exclude_categories=["Cs"]))
counts = st.integers(0, 10**12)
seconds = st.floats(0, 10**6).map(lambda number: round(number, 6))
amounts = st.decimals(0, 1000, places=9)

completions = st.builds(
    Completion,
    id=texts | st.integers(),
    index=counts,
    model=texts,
    endpoint=texts,
    text=texts,
    finish_reason=st.sampled_from(FinishReason),
    reasoning=texts,
    refusal=texts,
    tool_calls=st.lists(
        st.builds(
            ToolCall,
            id=texts,
            name=texts,
            arguments=texts,
            extra=st.dictionaries(texts, st.integers(-9, 9) | texts),
        )
    ).map(tuple),
    usage=st.none()
    | st.builds(
        Usage,
        input_tokens=counts,
        output_tokens=counts,
        cached_tokens=counts,
        cache_write_tokens=counts,
        reasoning_tokens=counts,
    ),
    cost_usd=st.none() | amounts,
    latency_s=seconds,
    first_token_s=st.none() | seconds,
    attempts=st.integers(0, 9),
    abandoned=st.just(0),
    answered_model=st.none() | texts,
    service_tier=st.none() | texts,
    response_id=st.none() | texts,
    reused=st.none() | st.sampled_from(Reused),
)


@given(completions, st.none() | st.just("0123456789abcdef"))
def test_a_completion_comes_back_whole(completion: Completion, request: str | None) -> None:
    line = encode_outcome(completion, request=request)
    assert decode_outcome(line) == attrs.evolve(completion, restored=True)
    head = decode_head(line)
    assert (head.id, head.index, head.kind) == (completion.id, completion.index, None)
    assert (head.request, head.cost_usd) == (request, completion.cost_usd)


@given(
    st.sampled_from(ErrorKind),
    texts,
    texts | st.integers(),
    st.none() | st.integers(100, 599),
    st.integers(0, 9),
    st.integers(0, 2),
)
def test_a_failure_comes_back_with_its_error(  # noqa: PLR0917
    kind: ErrorKind, message: str, id_: str | int, status: int | None, attempts: int, abandoned: int
) -> None:
    failure = Failure(
        id=id_,
        index=7,
        model="m",
        endpoint="e",
        error=ERROR_CLASSES[kind](message, kind=kind, request_id=id_, status=status, code="c"),
        latency_s=1.5,
        attempts=attempts,
        abandoned=abandoned,
        possibly_billed_usd=Decimal("0.25") if abandoned else Decimal(0),
    )
    line = encode_outcome(failure)
    again = decode_outcome(line)
    assert isinstance(again, Failure)
    assert again.restored
    assert attrs.evolve(again, error=failure.error, restored=False) == failure
    error = again.error
    assert type(error) is ERROR_CLASSES[kind]
    assert (error.kind, error.message, error.status, error.code) == (kind, message, status, "c")
    assert (error.request_id, error.attempts, error.elapsed_s) == (id_, attempts, 1.5)
    assert error.possibly_billed_usd == failure.possibly_billed_usd
    assert decode_head(line).kind is kind


def test_the_first_version_stays_readable() -> None:
    outcome = decode_outcome(VERSION_1)
    assert isinstance(outcome, Completion)
    assert outcome.restored
    assert (outcome.id, outcome.index, outcome.text) == ("r1", 3, "Hello")
    assert outcome.usage == Usage(
        input_tokens=1, output_tokens=2, cached_tokens=3, cache_write_tokens=4, reasoning_tokens=5
    )
    assert outcome.tool_calls == (ToolCall(id="c1", name="look", arguments="{}", extra={"x": 1}),)
    assert (outcome.attempts, outcome.abandoned, outcome.possibly_billed_usd) == (2, 1, None)
    assert decode_head(VERSION_1).request is None


LEAST = b'{"v":1,"id":1,"index":1,"status":"%s"%s}'


def test_words_of_later_releases_are_read_as_the_nearest() -> None:
    line = LEAST % (b"completed", b',"finish_reason":"bored","reused":"borrowed","new":[1]')
    completion = decode_outcome(line)
    assert isinstance(completion, Completion)
    assert (completion.finish_reason, completion.reused) == (FinishReason.OTHER, Reused.DUPLICATE)
    line = LEAST % (b"failed", b',"error":{"kind":"abducted","message":"gone"}')
    failure = decode_outcome(line)
    assert isinstance(failure, Failure)
    assert failure.error.kind is decode_head(line).kind is ErrorKind.UNEXPECTED_STATUS
    failure = decode_outcome(LEAST % (b"failed", b""))
    assert isinstance(failure, Failure)
    assert failure.error.kind is ErrorKind.UNEXPECTED_STATUS
    assert decode_head(LEAST % (b"failed", b"")).kind is ErrorKind.UNEXPECTED_STATUS


def test_a_later_version_is_not_guessed_at() -> None:
    for line in (
        b'{"v":2,"id":1,"index":1,"status":"completed"}',
        b'{"v":2,"status":"pondering"}',
    ):
        for decode in (decode_outcome, decode_head):
            with pytest.raises(LineError, match="a later trillium") as caught:
                decode(line)
            assert caught.value.version == 2


@pytest.mark.parametrize("decode", [decode_outcome, decode_head])
def test_any_cut_of_a_line_is_none(decode: Any) -> None:
    whole = VERSION_1.rstrip(b"\n")
    decode(whole)
    for length in range(len(whole)):
        with pytest.raises(LineError) as caught:
            decode(whole[:length])
        assert caught.value.version is None


@pytest.mark.parametrize(
    "line",
    [
        b"\0\0\0",
        b"null",
        b"[]",
        b'{"v":1,"id":1,"index":-1,"status":"completed"}',
        b'{"v":0,"id":1,"index":1,"status":"completed"}',
        b'{"v":1,"id":1.5,"index":1,"status":"completed"}',
        b'{"v":1,"id":1,"index":1,"status":"lost"}',
        b'{"v":1,"id":"\xff","index":1,"status":"completed"}',
        b'{"v":1,"id":1,"index":1,"status":"completed","x":' + b"[" * 100_000,
    ],
)
def test_what_is_no_outcome_is_refused(line: bytes) -> None:
    for decode in (decode_outcome, decode_head):
        with pytest.raises(LineError):
            decode(line)
