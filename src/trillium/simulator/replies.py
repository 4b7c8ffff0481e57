"""What a simulated model says: the prompt's beginning and lorem words, JSON, or a tool call.

The same seed, model and prompt always give the same reply.
A token is a word with the white space after it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final

import attrs
import msgspec

from trillium.completions import FinishReason, Usage
from trillium.simulator.dice import Dice, Draw
from trillium.simulator.settings import MAX_OUTPUT_TOKENS, SimulatorSettings
from trillium.simulator.words import Asked, Reply, Said, SaidKind

QUOTED_CHARS: Final = 80
"""How much of the prompt an answer repeats, so that one can see which it belongs to."""
BYTES_PER_TOKEN: Final = 4
MAX_DEPTH: Final = 12
"""A schema that refers to itself ends here."""

_TOKEN: Final = re.compile(r"\S+\s*|\s+")
_LOREM: Final = (
    "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut "
    "labore et dolore magna aliqua ut enim ad minim veniam quis nostrud exercitation ullamco "
    "laboris nisi ut aliquip ex ea commodo consequat duis aute irure dolor in reprehenderit in "
    "voluptate velit esse cillum dolore eu fugiat nulla pariatur excepteur sint occaecat "
    "cupidatat non proident sunt in culpa qui officia deserunt mollit anim id est laborum"
).split()


def tokens_of(text: str) -> tuple[str, ...]:
    """Cut text into tokens; together they are the text again."""
    return tuple(_TOKEN.findall(text))


def count_input(texts: list[str]) -> int:
    """Estimate the input tokens of so much text; at least 1."""
    size = sum(len(text.encode()) for text in texts)
    return max(1, math.ceil(size / BYTES_PER_TOKEN))


def compose(asked: Asked, settings: SimulatorSettings) -> Reply:
    """Return the reply to a request that no script speaks for."""
    dice = Dice.of(settings.seed, asked.model.encode(), asked.prompt.encode())
    if asked.tool is not None:
        arguments = _json(sample(asked.tool.schema, asked.prompt[:QUOTED_CHARS]))
        call = Said(kind=SaidKind.TOOL_CALL, tokens=tokens_of(arguments), name=asked.tool.name)
        return finished(asked, settings, (call,))
    drawn = dice.lognormal(
        Draw.LENGTH, median=settings.output_tokens, spread=settings.output_spread
    )
    length = max(1, min(MAX_OUTPUT_TOKENS, round(drawn)))
    text = _prose(asked.prompt, length, dice.number(Draw.WORDS))
    if asked.json:
        wanted = {"answer": text} if asked.schema is None else sample(asked.schema, text)
        text = _json(wanted)
    return finished(asked, settings, (Said(kind=SaidKind.TEXT, tokens=tokens_of(text)),))


def finished(asked: Asked, settings: SimulatorSettings, parts: tuple[Said, ...]) -> Reply:
    """Return the reply of these parts, ended where the request says, with its usage."""
    parts, stopped_by = _stopped(parts, asked.stop)
    called = any(part.kind is SaidKind.TOOL_CALL for part in parts)
    reason = FinishReason.TOOL_CALLS if called else FinishReason.STOP
    if asked.max_tokens is not None and sum(len(p.tokens) for p in parts) > asked.max_tokens:
        parts, reason, stopped_by = _cut(parts, asked.max_tokens), FinishReason.LENGTH, None
    usage = Usage(
        input_tokens=asked.input_tokens,
        output_tokens=sum(len(part.tokens) for part in parts),
        cached_tokens=math.floor(asked.input_tokens * settings.cached_share),
        reasoning_tokens=sum(len(p.tokens) for p in parts if p.kind is SaidKind.REASONING),
    )
    return Reply(parts=parts, finish_reason=reason, usage=usage, stop_sequence=stopped_by)


def _prose(prompt: str, length: int, number: int) -> str:
    # Cut first: a prompt of megabytes is not split into words for the sake of its beginning.
    quoted = " ".join(prompt[: 2 * QUOTED_CHARS].split())
    if len(quoted) > QUOTED_CHARS:
        quoted = quoted[: QUOTED_CHARS - 1] + "…"
    head = f'Answer to "{quoted}":'
    missing = max(1, length - len(head.split()))
    start = number % len(_LOREM)
    rounds = _LOREM[start:] + _LOREM * (missing // len(_LOREM) + 1)
    return f"{head} {' '.join(rounds[:missing])}."


def _stopped(parts: tuple[Said, ...], stop: tuple[str, ...]) -> tuple[tuple[Said, ...], str | None]:
    if not stop:
        return parts, None
    kept: list[Said] = []
    for part in parts:
        if part.kind is SaidKind.TEXT:
            text = part.text
            found = [(text.find(word), word) for word in stop if word and word in text]
            if found:
                at, word = min(found)
                kept.append(attrs.evolve(part, tokens=tokens_of(text[:at])))
                return tuple(kept), word
        kept.append(part)
    return parts, None


def _cut(parts: tuple[Said, ...], tokens: int) -> tuple[Said, ...]:
    kept: list[Said] = []
    for part in parts:
        if tokens <= 0:
            break
        kept.append(attrs.evolve(part, tokens=part.tokens[:tokens]))
        tokens -= len(part.tokens)
    return tuple(kept)


def _json(value: object) -> str:
    # With a space after the marks, so that it falls into more than one token.
    return msgspec.json.format(msgspec.json.encode(value), indent=0).decode()


def sample(schema: object, text: str) -> object:
    """Return a value that follows a JSON schema, as far as its common words go.

    Args:
        schema: The schema, which may be anything: what is not understood gives `text`.
        text: What texts in it say.
    """
    root = schema if isinstance(schema, Mapping) else {}
    return _sample(schema, text, root, MAX_DEPTH)


def _sample(schema: object, text: str, root: Mapping[str, object], depth: int) -> object:
    if not isinstance(schema, Mapping) or depth <= 0:
        return text
    if "const" in schema:
        return schema["const"]
    choices = schema.get("enum")
    if isinstance(choices, list) and choices:
        return choices[0]
    if isinstance(reference := schema.get("$ref"), str):
        return _sample(_referred(reference, root), text, root, depth - 1)
    for word in ("anyOf", "oneOf", "allOf"):
        options = schema.get(word)
        if isinstance(options, list) and options:
            return _sample(options[0], text, root, depth - 1)
    return _sample_type(schema, text, root, depth)


def _sample_type(
    schema: Mapping[str, object], text: str, root: Mapping[str, object], depth: int
) -> object:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = kind[0] if kind else "string"
    match kind:
        case "object":
            properties = schema.get("properties")
            if not isinstance(properties, Mapping):
                return {}
            return {
                name: _sample(inner, text, root, depth - 1) for name, inner in properties.items()
            }
        case "array":
            return [_sample(schema.get("items"), text, root, depth - 1)]
        case "integer" | "number":
            low = schema.get("minimum")
            return low if isinstance(low, int | float) else 1
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return text


def _referred(reference: str, root: Mapping[str, object]) -> object:
    """Follow `#/$defs/Name`."""
    found: object = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        if not isinstance(found, Mapping):
            return None
        found = found.get(step) if step else found
    return found
