"""The provider itself, without I/O: a request and the time go in, a plan comes out.

The order of questions is that of providers: is the path there, is the key good, is the request
well-formed, is there such a model, does the quota permit it?
Then a script may speak, then the dice fall.
"""

from __future__ import annotations

import collections
import hashlib
import math
import urllib.parse
from collections.abc import Callable
from typing import Final, final

import attrs

from trillium.errors import LocalProtocolError
from trillium.simulator import rate_limits, responses
from trillium.simulator.anthropic import Anthropic
from trillium.simulator.dice import Dice, Draw
from trillium.simulator.ledger import FAULT, MAX_PROMPT_CHARS, Ending, Ledger, LedgerEntry
from trillium.simulator.openai_chat import OpenAIChat
from trillium.simulator.plans import Plan, Send
from trillium.simulator.quota import Excess, QuotaMeter
from trillium.simulator.replies import compose
from trillium.simulator.responses import Case
from trillium.simulator.scripts import Arrival, Script, Scripted, Scripts
from trillium.simulator.serving import STATUS_FAULTS, STREAM_ONLY, Pace, Serving
from trillium.simulator.settings import (
    DEFAULT_MODELS,
    FaultKind,
    SimulatedQuota,
    SimulatorSettings,
    TokenCharge,
)
from trillium.simulator.words import (
    Asked,
    Face,
    Problem,
    Reason,
    Reply,
    SimulatedRequest,
    Spoken,
    Stamp,
)

MAX_BODY_BYTES: Final = 32 * 1024 * 1024
"""Anthropic's bound on a request; what is longer is answered 413."""

_OPENAI: Final = OpenAIChat()
_ANTHROPIC: Final = Anthropic()


@final
@attrs.define(eq=False)
class Simulator:
    """A provider in a box.

    `plan` says what is to be done about a request, whoever carries it out calls `end`.
    It is not for several threads at once.
    """

    settings: SimulatorSettings = attrs.field(factory=SimulatorSettings)
    unix_offset_s: float = 0.0
    """What must be added to the run's clock to get seconds since 1970, for headers with times."""
    ledger: Ledger = attrs.field(init=False)
    """What was asked, and what became of it."""
    compose: Callable[[Asked, SimulatorSettings], Reply] = attrs.field(
        default=compose, kw_only=True, repr=False
    )
    """What is answered where no script speaks; the quota is charged by its usage."""
    _quota: QuotaMeter = attrs.field(
        default=attrs.Factory(lambda self: QuotaMeter.of(self.settings.quota), takes_self=True),
        kw_only=True,
        repr=False,
    )
    """What it permits: by the settings, unless another meter is given as `quota`."""
    _admitted: set[int] = attrs.field(factory=set, init=False, repr=False)
    """Numbers of the requests that hold a place of the quota."""
    _scripts: Scripts = attrs.field(factory=Scripts, init=False, repr=False)
    _attempts: collections.OrderedDict[bytes, int] = attrs.field(
        factory=collections.OrderedDict, init=False, repr=False
    )

    def __attrs_post_init__(self) -> None:
        self.ledger = Ledger(self.settings.keep)

    def script(self, script: Script, *, prompt: str | None = None) -> None:
        """Say what is to be answered, in place of what the dice would say.

        Args:
            script: One line for each request to come, in the order in which they come, and then
                no more; or a function that is asked about each. A line is a `Scripted` answer,
                a `FaultKind`, the text of an answer, or None for an ordinary answer. A later
                script is asked where an earlier one says None.
            prompt: Only for requests whose prompt contains this.

        Raises:
            InvalidRequestError: The script is a single line.
        """
        self._scripts.add(script, prompt=prompt)

    def clear_scripts(self) -> None:
        """Forget all scripts."""
        self._scripts.clear()

    def set_quota(self, quota: SimulatedQuota, now: float) -> None:
        """Permit more or less from now on, as providers do in the middle of a run.

        Args:
            quota: In the place of the settings' own. What is left of a limit that it has too
                stays, as far as the new one has room for it.
            now: Seconds on the clock of the run: `trio.current_time()`.
        """
        self.settings = attrs.evolve(self.settings, quota=quota)
        self._quota.tell_again(quota, now)

    def plan(self, request: SimulatedRequest, now: float) -> Plan:
        """Say what is to be done about a request; it is then in flight until `end`.

        Args:
            request: It may be anything.
            now: Seconds on the clock of the run, which does not run back.
        """
        case = self._opened(request, now)
        path = urllib.parse.unquote(request.path.partition("?")[0])
        path = path.removeprefix("/v1")
        if path in ("/chat/completions", "/messages"):
            plan = self._answer(case)
        elif path == "/models" or path.startswith("/models/"):
            plan = self._models(case, path.removeprefix("/models").removeprefix("/"))
        else:
            message = f"Invalid URL ({request.method} {request.path[:MAX_PROMPT_CHARS]})"
            plan = self._refused(case, Problem(reason=Reason.PATH_NOT_FOUND, message=message))
        case.entry.status = plan.status
        if request.method == "HEAD":
            plan = attrs.evolve(plan, steps=(Send(b""),))
        return plan

    def end(self, plan: Plan, *, now: float, tokens: int, ending: Ending | None = None) -> None:
        """Note that a plan is over.

        It may be called once more, where what was thought to be sent was not.

        Args:
            plan: Which one.
            now: Seconds on the clock of the run.
            tokens: How many tokens were sent.
            ending: Why it is over before its last step; None if all of it is done.

        Raises:
            LocalProtocolError: The plan is said to be in flight again.
        """
        if ending is Ending.IN_FLIGHT:
            raise LocalProtocolError("a plan that is over cannot be in flight")
        if plan.entry.number in self._admitted:
            self._admitted.remove(plan.entry.number)
            self._quota.release()
        outcome = plan.outcome if ending is None else ending.value
        whole = ending is None and plan.whole
        self.ledger.close(plan.entry, outcome, now=now, whole=whole, output_tokens=tokens)

    def _opened(self, request: SimulatedRequest, now: float) -> Case:
        """Note a request in the ledger, and throw its dice."""
        named = f"{request.method} {request.path}".encode()
        digest = hashlib.blake2b(named + b"\n" + request.body, digest_size=16).digest()
        attempt = self._attempts.pop(digest, 0) + 1
        self._attempts[digest] = attempt
        if self.settings.keep is not None and len(self._attempts) > self.settings.keep:
            self._attempts.popitem(last=False)
        dice = Dice.of(self.settings.seed, digest, attempt.to_bytes(8, "big"))
        face = _face(request)
        entry = LedgerEntry(
            number=self.ledger.received + 1,
            received_s=now,
            dialect=face.name,
            path=request.path[:MAX_PROMPT_CHARS],
            body_hash=digest.hex(),
            attempt=attempt,
            status=0,
        )
        self.ledger.open(entry)
        return Case(
            request=request,
            face=face,
            dice=dice,
            stamp=Stamp(name=dice.name(), created=math.floor(now + self.unix_offset_s)),
            style=rate_limits.style_of(self.settings.header_style, dice.number(Draw.STYLE)),
            now=now,
            now_unix=now + self.unix_offset_s,
            entry=entry,
        )

    def _answer(self, case: Case) -> Plan:
        if case.request.method != "POST":
            message = f"Method {case.request.method} is not allowed here: use POST."
            return self._refused(case, Problem(reason=Reason.METHOD_NOT_ALLOWED, message=message))
        if (problem := self._locked_out(case.request)) is not None:
            return self._refused(case, problem)
        if len(case.request.body) > MAX_BODY_BYTES:
            message = f"The request's body is longer than {MAX_BODY_BYTES} bytes."
            return self._refused(case, Problem(reason=Reason.BODY_TOO_LARGE, message=message))
        asked = case.face.read(case.request)
        if isinstance(asked, Problem):
            return self._refused(case, asked)
        entry = case.entry
        entry.model, entry.prompt = asked.model, asked.prompt[:MAX_PROMPT_CHARS]
        entry.stream, entry.input_tokens = asked.stream, asked.input_tokens
        if not self._has_model(asked.model):
            return self._refused(case, _no_such_model(asked.model))
        reply = self.compose(asked, self.settings)
        if (excess := self._admit(case.now, asked, reply)) is not None:
            states = self._quota.states(case.now)
            return responses.throttled(case, excess, states, outcome=Ending.REFUSED.value)
        self._admitted.add(entry.number)
        arrival = Arrival(
            number=entry.number, attempt=entry.attempt, dialect=case.face.name, asked=asked
        )
        scripted = self._scripts.line(arrival)
        return self._served(case, asked, reply, scripted)

    def _locked_out(self, request: SimulatedRequest) -> Problem | None:
        headers = request.headers
        scheme, _, token = headers.get("authorization", "").partition(" ")
        bearer = token.strip() if scheme.lower() == "bearer" else ""
        # Azure has a name of its own for it; the later SDKs of Anthropic send a bearer.
        key = headers.get("x-api-key") or headers.get("api-key") or bearer
        keys = self.settings.keys
        if key and (keys is None or key in keys):
            return None
        message = "Incorrect API key provided." if key else "You didn't provide an API key."
        return Problem(reason=Reason.UNAUTHENTICATED, message=message)

    def _has_model(self, name: str) -> bool:
        return bool(name) and (self.settings.models is None or name in self.settings.models)

    def _models(self, case: Case, name: str) -> Plan:
        if case.request.method not in ("GET", "HEAD"):
            message = f"Method {case.request.method} is not allowed here: use GET."
            return self._refused(case, Problem(reason=Reason.METHOD_NOT_ALLOWED, message=message))
        if (problem := self._locked_out(case.request)) is not None:
            return self._refused(case, problem)
        if name and not self._has_model(name):
            return self._refused(case, _no_such_model(name))
        listed = self.settings.models or DEFAULT_MODELS
        body = case.face.model(name) if name else case.face.model_list(listed)
        states = self._quota.states(case.now)
        return responses.at_once(case, 200, body, outcome=Ending.ANSWERED.value, states=states)

    def _admit(self, now: float, asked: Asked, reply: Reply) -> Excess | None:
        usage = reply.usage
        input_tokens, output_tokens = usage.input_tokens, usage.output_tokens
        if self.settings.quota.charge is TokenCharge.USED:
            input_tokens -= usage.cached_tokens
        elif self.settings.quota.charge is TokenCharge.LARGER:
            output_tokens = max(0, (asked.max_tokens or 0) - input_tokens)
        elif asked.max_tokens is not None:
            output_tokens = asked.max_tokens
        return self._quota.admit(now, input_tokens=input_tokens, output_tokens=output_tokens)

    def _served(self, case: Case, asked: Asked, reply: Reply, scripted: Scripted | None) -> Plan:
        """Return the plan of a request that was let in."""
        settings, dice = self.settings, case.dice
        latency_s = dice.lognormal(
            Draw.LATENCY, median=settings.latency_s, spread=settings.latency_spread
        )
        states = self._quota.states(case.now)
        if scripted is None:
            fault = settings.faults.drawn(dice.share(Draw.FAULT))
        else:
            if scripted.body is not None or scripted.status != 200:
                return responses.scripted_response(case, scripted, states)
            fault = scripted.fault
            reply = scripted.reply(asked, settings, reply)
            latency_s = latency_s if scripted.latency_s is None else scripted.latency_s
        if fault in STREAM_ONLY and not asked.stream:
            fault = None
        if fault is FaultKind.RATE_LIMITED:
            excess = responses.simulated_excess(settings.faults.retry_after_s)
            return responses.throttled(case, excess, states, outcome=FAULT + fault.value)
        if fault is not None and fault in STATUS_FAULTS:
            return responses.failed(case, fault, states)
        serving = Serving(
            face=case.face,
            spoken=Spoken(asked=asked, reply=reply, stamp=case.stamp),
            pace=Pace(
                first_s=latency_s,
                between_s=1 / settings.tokens_per_second if settings.tokens_per_second else 0.0,
                keep_alive_s=settings.keep_alive_s,
                drip_s=settings.faults.drip_s,
            ),
            fault=fault,
            place=dice.share(Draw.PLACE),
        )
        return responses.served(case, serving, states, scripted)

    def _refused(self, case: Case, problem: Problem) -> Plan:
        return responses.refused(case, problem, self._quota.states(case.now))


def _face(request: SimulatedRequest) -> Face:
    path = request.path.partition("?")[0]
    if path.endswith("/messages"):
        return _ANTHROPIC
    if path.endswith("/chat/completions"):
        return _OPENAI
    headers = request.headers
    by_anthropic = "anthropic-version" in headers or "x-api-key" in headers
    return _ANTHROPIC if by_anthropic else _OPENAI


def _no_such_model(name: str) -> Problem:
    shown = name[:MAX_PROMPT_CHARS]
    message = f"The model `{shown}` does not exist or you do not have access to it."
    return Problem(reason=Reason.MODEL_NOT_FOUND, message=message, param="model")
