"""The words that every floor speaks: requests, answers, timeouts and errors."""

from __future__ import annotations

import copy
import inspect
import math
import pickle
import re
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trillium import errors, messages
from trillium.completions import Completion, Failure, FinishReason, Usage
from trillium.errors import (
    ERROR_CLASSES,
    MAX_QUOTED_CHARS,
    ClientClosedError,
    ConnectionBrokenError,
    DeadlineError,
    ErrorKind,
    EventTooLargeError,
    Fault,
    InvalidInputError,
    InvalidRequestError,
    LocalProtocolError,
    NotSentError,
    OutputError,
    RateLimitedError,
    RemoteProtocolError,
    RequestError,
    StatusError,
    TrilliumError,
    UsageError,
    quote,
)
from trillium.messages import (
    ImagePart,
    Message,
    RawPart,
    ReasoningPart,
    RefusalPart,
    Request,
    TextPart,
    Tool,
    ToolCall,
    as_request,
    assistant,
    system,
    tool,
    user,
)
from trillium.timeouts import DEFAULT_REQUEST_S, Timeouts


def test_a_bare_string_is_one_user_message() -> None:
    for request in (Request("Hi"), Request(Message("user", "Hi")), Request([user("Hi")])):
        assert request.messages == (Message("user", "Hi"),)
    assert as_request("Hi") == Request("Hi")
    given = Request("Hi", id=7)
    assert as_request(given) is given


def test_the_short_forms_name_their_role() -> None:
    made = [system("a"), user("b"), assistant("c"), tool("d", tool_call_id="1")]
    assert [message.role for message in made] == ["system", "user", "assistant", "tool"]


def test_strings_among_parts_are_text() -> None:
    image = ImagePart(url="https://example.org/cat.png")
    assert user(["What is it?", image]).content == (TextPart("What is it?"), image)


def test_a_request_that_exists_cannot_be_changed() -> None:
    request = Request("Hi")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        request.seed = 3  # type: ignore[misc]  # it is what must fail
    assert attrs.evolve(request, seed=3).seed == 3


def test_iterables_are_read_once_and_kept() -> None:
    request = Request(
        (user(text) for text in ("a", "b")), stop=iter("xy"), tools=iter([Tool(name="t")])
    )
    assert [message.content for message in request.messages] == ["a", "b"]
    assert request.stop == ("x", "y")
    assert request.tools == (Tool(name="t"),)
    assert Request("Hi", stop="END").stop == ("END",)


@pytest.mark.parametrize(
    "parameters",
    [
        {"temperature": -0.1},
        {"temperature": 2.1},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"temperature": True},
        {"temperature": "hot"},
        {"top_p": 1.1},
        {"top_p": -1},
        {"max_tokens": 0},
        {"max_tokens": 1.5},
        {"max_tokens": True},
        {"seed": "7"},
        {"seed": 1.0},
        {"stop": ["", "x"]},
        {"stop": [1]},
        {"id": True},
        {"id": 1.5},
        {"id": b"x"},
        {"reasoning_effort": "huge"},
        {"reasoning_effort": ["low"]},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"tools": Tool(name="f")},
        {"tools": "f"},
        {"tool_choice": {"type": "function", "function": {"name": "f"}}},
        {"response_format": {"type": "json_object"}},
        {"metadata": "user"},
        {"extra_body": [("n", 2)]},
        {"extra_body": {"n": 2}},
        {"extra_body": {"n": True}},
        {"extra_body": {"n": "1"}},
    ],
    ids=repr,
)
def test_a_parameter_of_wrong_type_or_range_is_refused_by_name(parameters: dict[str, Any]) -> None:
    (name,) = parameters
    refused = "n is|extra_body is" if name == "extra_body" else name
    with pytest.raises(InvalidRequestError, match=refused):
        Request("Hi", **parameters)


@pytest.mark.parametrize(
    "parameters",
    [
        {"temperature": 0},
        {"temperature": 2.0},
        {"top_p": 1},
        {"max_tokens": 1},
        {"seed": -(2**70)},
        {"id": ""},
        {"id": 0},
        {"reasoning_effort": "xhigh"},
        {"extra_body": {"n": 1}},
        {"extra_body": {"n": None}},
    ],
    ids=repr,
)
def test_a_parameter_at_its_bound_is_kept_as_it_is(parameters: dict[str, Any]) -> None:
    ((name, value),) = parameters.items()
    kept = getattr(Request("Hi", **parameters), name)
    assert kept == value
    assert type(kept) is type(value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Request([]),
        lambda: Request(["Hi"]),  # type: ignore[list-item]
        lambda: Message("robot", "Hi"),  # type: ignore[arg-type]
        lambda: Message("tool", "42"),
        lambda: Message("user", "42", tool_call_id="1"),
        lambda: Message("user", [42]),  # type: ignore[list-item]
        lambda: Message("user", None),  # type: ignore[arg-type]
        lambda: Message("user", [TextPart(None)]),  # type: ignore[arg-type]
        lambda: Message("user", [RawPart("x")]),  # type: ignore[arg-type]
        lambda: Message("assistant", [ReasoningPart(text=1)]),  # type: ignore[arg-type]
        lambda: Message("assistant", [ToolCall(id="1", name="f", arguments={})]),  # type: ignore[arg-type]
        lambda: Message("assistant", [ToolCall(id="1", name="f", arguments="", extra=1)]),  # type: ignore[arg-type]
        lambda: messages.JSONSchema(name="s", schema=dict),  # type: ignore[arg-type]
        lambda: Message(["user"], "Hi"),  # type: ignore[arg-type]
        lambda: ImagePart(base64=b"AAAA", media_type="image/png"),  # type: ignore[arg-type]
        ImagePart,
        lambda: ImagePart(url="https://example.org", base64="AAAA", media_type="image/png"),
        lambda: ImagePart(base64="AAAA"),
        lambda: ImagePart.from_url("data:image/png,AAAA"),
        lambda: ImagePart.from_url("data:;base64,AAAA"),
        lambda: ImagePart.from_url("data:image/png;base64"),
    ],
)
def test_what_is_no_request_message_or_part_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(InvalidRequestError):
        make()


def test_a_data_address_is_taken_apart() -> None:
    """RFC 2397."""
    part = ImagePart.from_url("data:image/png;base64,AA,AA", detail="low")
    assert part == ImagePart(base64="AA,AA", media_type="image/png", detail="low")
    assert ImagePart.from_url("https://example.org/a") == ImagePart(url="https://example.org/a")


def test_long_opaque_things_stay_out_of_a_repr() -> None:
    image = ImagePart(base64="QUJDREVG" * 1000, media_type="image/png")
    assert len(repr(user([image]))) < 300


def test_the_sets_of_words_are_those_of_the_types() -> None:
    assert frozenset(messages.Role.__args__) == messages.ROLES  # type: ignore[attr-defined]
    efforts = messages.ReasoningEffort.__args__  # type: ignore[attr-defined]
    assert frozenset(efforts) == messages.REASONING_EFFORTS


def completion(**fields: Any) -> Completion:
    given: dict[str, Any] = {
        "id": "a",
        "index": 0,
        "model": "m",
        "endpoint": "e",
        "text": "",
        "finish_reason": FinishReason.STOP,
        "latency_s": 1.0,
    }
    return Completion(**(given | fields))


def test_parts_follow_from_the_fields_in_the_order_of_answers() -> None:
    call = ToolCall(id="1", name="t", arguments="{}")
    answer = completion(text="T", reasoning="R", refusal="N", tool_calls=(call,))
    expected = (ReasoningPart(text="R"), TextPart("T"), RefusalPart("N"), call)
    assert answer.parts == expected
    assert answer.message == Message("assistant", expected)
    assert completion().parts == ()


def test_parts_that_were_given_are_kept() -> None:
    parts = (TextPart("a"), RawPart({"type": "new"}), TextPart("b"))
    assert completion(text="ab", parts=parts).parts == parts
    assert completion(text="ab", parts=()).parts == ()


def test_success_tells_outcomes_apart() -> None:
    failure = Failure(id="a", index=0, model="m", endpoint="e", error=NotSentError("stopped"))
    assert completion().success is True
    assert failure.success is False


usages = st.builds(Usage, **{field.name: st.integers(0, 1000) for field in attrs.fields(Usage)})


@given(a=usages, b=usages, c=usages)
def test_usages_add_up_whatever_the_order(a: Usage, b: Usage, c: Usage) -> None:
    assert a + Usage() == a
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert attrs.astuple(a + b) == tuple(
        x + y for x, y in zip(attrs.astuple(a), attrs.astuple(b), strict=True)
    )


def test_outcomes_go_from_process_to_process() -> None:
    for outcome in (
        completion(text="T", usage=Usage(input_tokens=3)),
        completion(parts=(TextPart("a"),), faults=(Fault(kind=ErrorKind.OVERLOADED, message="x"),)),
    ):
        assert pickle.loads(pickle.dumps(outcome)) == outcome
    failure = Failure(id=1, index=2, model="m", endpoint="e", error=NotSentError("stopped"))
    back = pickle.loads(pickle.dumps(failure))
    assert str(back.error) == "stopped"
    assert attrs.evolve(back, error=failure.error) == failure


def test_only_the_request_has_a_bound_of_itself() -> None:
    assert Timeouts() == Timeouts(
        request_s=DEFAULT_REQUEST_S, attempt_s=None, first_token_s=None, stall_s=None
    )
    assert Timeouts(request_s=None).request_s is None


@pytest.mark.parametrize("field", [field.name for field in attrs.fields(Timeouts)])
@pytest.mark.parametrize("seconds", [0, -1, math.nan, True, "3", 1 + 2j])
def test_a_timeout_that_is_no_time_is_refused_by_name(field: str, seconds: Any) -> None:
    with pytest.raises(InvalidRequestError, match=field):
        Timeouts(**{field: seconds})


@pytest.mark.parametrize("seconds", [1e-9, 1, 3.5, math.inf, None])
def test_any_time_above_zero_is_a_timeout(seconds: float | None) -> None:
    assert Timeouts(stall_s=seconds).stall_s == seconds


def test_only_what_happens_between_tokens_needs_a_stream() -> None:
    assert not Timeouts(attempt_s=1).needs_stream
    assert Timeouts(first_token_s=1).needs_stream
    assert Timeouts(stall_s=1).needs_stream


def classes() -> list[type[TrilliumError]]:
    return [
        found
        for _, found in inspect.getmembers(errors, inspect.isclass)
        if issubclass(found, TrilliumError)
    ]


def test_the_tree_in_the_docstring_is_that_of_the_classes() -> None:
    assert errors.__doc__ is not None
    tree = re.search(r"```text\n(.*?)```", errors.__doc__, re.DOTALL)
    assert tree is not None
    parents: list[str] = []
    printed = {}
    for line in tree[1].splitlines():
        indent, name = re.match(r"( *)(\w+)", line).groups()  # type: ignore[union-attr]
        depth, rest = divmod(len(indent), 2)
        assert rest == 0, line
        assert depth <= len(parents), line
        printed[name] = parents[depth - 1] if depth else None
        parents[depth:] = [name]
    bases = {
        found.__name__: next(
            (base.__name__ for base in found.__bases__ if issubclass(base, TrilliumError)), None
        )
        for found in classes()
    }
    assert printed == bases


def test_names_of_errors_end_in_error_and_say_what_they_are() -> None:
    for found in classes():
        assert found.__name__.endswith("Error")
        assert found.__doc__


def test_every_kind_has_a_class_and_every_class_a_kind() -> None:
    assert set(ERROR_CLASSES) == set(ErrorKind)
    for kind, found in ERROR_CLASSES.items():
        error = found("what happened", kind=kind)
        assert error.kind is kind
        assert error.message == str(error) == "what happened"
    without = {RequestError, EventTooLargeError}  # the base, and a finer word for one kind
    requests = {found for found in classes() if issubclass(found, RequestError)}
    assert set(ERROR_CLASSES.values()) == requests - without


def test_kinds_are_words_for_files() -> None:
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", kind) for kind in ErrorKind)
    assert str(ErrorKind.NO_CREDIT) == "no_credit"


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        (ConnectionBrokenError, ErrorKind.CONNECTION_FAILED),
        (RemoteProtocolError, ErrorKind.PROTOCOL_ERROR),
        (EventTooLargeError, ErrorKind.RESPONSE_TOO_LARGE),
        (NotSentError, ErrorKind.NOT_SENT),
    ],
)
def test_some_errors_need_not_be_told_their_kind(
    made: Callable[[str], RequestError], kind: ErrorKind
) -> None:
    assert made("x").kind is kind


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ({}, "no answer"),
        ({"attempts": 1}, "no answer (after 1 attempt)"),
        ({"attempts": 2, "elapsed_s": 31.24}, "no answer (after 2 attempts, in 31.2 s)"),
        ({"elapsed_s": 0.0}, "no answer (in 0.0 s)"),
        ({"request_id": "7f3a"}, "no answer (request '7f3a')"),
        ({"request_id": 0}, "no answer (request 0)"),
        (
            {"attempts": 1, "elapsed_s": 2, "request_id": "1"},
            "no answer (after 1 attempt, in 2.0 s, request '1')",
        ),
    ],
)
def test_an_errors_text_says_what_it_knows(context: dict[str, Any], expected: str) -> None:
    error = StatusError("no answer", kind=ErrorKind.SERVER_ERROR, **context)
    assert str(error) == expected
    assert error.message == "no answer"


def test_bookkeeping_that_is_added_later_shows() -> None:
    error = NotSentError("stopped")
    error.request_id, error.attempts = "x", 3
    assert str(error) == "stopped (after 3 attempts, request 'x')"


def request_errors() -> Iterator[RequestError]:
    for kind, found in ERROR_CLASSES.items():
        yield found(
            "what happened",
            kind=kind,
            request_id="x",
            attempts=2,
            abandoned=1,
            elapsed_s=3.5,
            status=500,
            code="word",
            retry_after_s=7.0,
            seconds=9.0,
            partial_text="so f",
        )
    yield EventTooLargeError("too large")
    yield RequestError("bare", kind=ErrorKind.SERVER_ERROR)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_request_errors_go_from_process_to_process(protocol: int) -> None:
    for error in request_errors():
        error.add_note("a note")
        for back in (
            pickle.loads(pickle.dumps(error, protocol)),
            copy.copy(error),
            copy.deepcopy(error),
        ):
            assert type(back) is type(error)
            assert vars(back) == vars(error)
            assert back.args == error.args
            assert str(back) == str(error)


@pytest.mark.parametrize(
    "error",
    [
        UsageError("a"),
        InvalidRequestError("b"),
        ClientClosedError("c"),
        LocalProtocolError("d"),
    ],
)
def test_other_errors_go_from_process_to_process(error: TrilliumError) -> None:
    for back in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(back) is type(error)
        assert str(back) == str(error)
        assert vars(back) == vars(error)


def test_an_error_of_input_names_file_and_line() -> None:
    assert str(InvalidInputError("no prompt", file="in.jsonl", line=3)) == (
        "in.jsonl, line 3: no prompt"
    )
    assert str(InvalidInputError("it is empty", file="-")) == "-: it is empty"


def test_bad_values_are_value_errors_too() -> None:
    assert issubclass(InvalidRequestError, ValueError)
    assert issubclass(InvalidInputError, ValueError)
    assert not issubclass(RequestError, ValueError)
    assert issubclass(RateLimitedError, StatusError)
    assert not issubclass(DeadlineError, StatusError)


@given(st.text())
def test_a_quoted_text_is_one_short_line_that_begins_as_the_text(text: str) -> None:
    quoted = quote(text)
    flat = " ".join(text.split())
    assert len(quoted) <= MAX_QUOTED_CHARS
    assert "\n" not in quoted
    assert quoted == flat or (quoted[-1] == "…" and flat.startswith(quoted[:-1]))


def test_errors_of_files_go_from_process_to_process() -> None:
    for error in (InvalidInputError("x", file="f", line=3), OutputError("x", file="f")):
        for same in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
            assert (type(same), str(same), vars(same)) == (type(error), str(error), vars(error))
