"""`_call/verify.py`: is the key good, may it use the model, and was that paid for."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import httpx
import pytest
import trio

import trillium
from tests.checkpoints import cancel_at_every_checkpoint
from tests.transport.servers import Connection, serving
from tests.virtual import run_simulated
from trillium import ErrorKind, Verification
from trillium._transport.pool import Pool
from trillium.endpoints import Endpoint
from trillium.prices import Prices, parse_list
from trillium.simulator import SimulatedProvider, SimulatorSettings

DIALECTS = pytest.mark.parametrize("dialect", ["openai-chat", "anthropic"])
KEY = "sk-test-4711"


class FakeProvider:
    """A provider by its answers, status and body by path; what it does not know is 404."""

    def __init__(self, **answers: tuple[int, Any]) -> None:
        self.answers = {f"/v1/{path.replace('__', '/')}": a for path, a in answers.items()}
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(f"{request.method} {request.url.raw_path.decode()}")
        status, body = self.answers.get(request.url.raw_path.decode(), (404, {"error": {}}))
        if isinstance(body, Exception):
            raise body
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx.Response(status, content=content, headers={"content-type": "application/json"})

    async def verify(
        self, *, model: str | None = "m", key: str | None = KEY, **fields: Any
    ) -> Verification:
        endpoint = Endpoint(name="fake", base_url="https://fake.test/v1", key=key, **fields)
        async with trillium.open_client(endpoint, transport=httpx.MockTransport(self)) as client:
            return await client.verify(model=model)


LIST = (200, {"data": [{"id": "m"}, {"id": "other"}]})
ANSWER = (200, {"choices": [{"message": {"content": "Yes."}, "finish_reason": "stop"}]})
REFUSED = (401, {"error": {"message": f"Incorrect API key provided: {KEY}."}})


@DIALECTS
def test_a_good_key_is_found_so_without_paying(dialect: str) -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        found = await client.verify()
        assert found == Verification(
            endpoint=found.endpoint,
            model="sim-1",
            key_accepted=True,
            model_available=True,
            latency_s=found.latency_s,
        )
        assert found.success
        asked = {entry.path.partition("?")[0] for entry in provider.ledger.entries}
        assert asked <= {"/v1/models", "/v1/models/sim-1"}
        assert not provider.ledger.answers

    run_simulated(main, dialect=dialect)


@DIALECTS
def test_a_wrong_key_is_told_and_not_shown(dialect: str) -> None:
    async def main(_: trillium.Client, provider: SimulatedProvider) -> None:
        async with trillium.open_client(
            "sim-1", base_url=provider.base_url, key=KEY, dialect=dialect
        ) as client:
            found = await client.verify()
        assert (found.key_accepted, found.model_available, found.paid) == (False, None, False)
        assert found.error is not None
        assert found.error.kind is ErrorKind.AUTHENTICATION
        assert found.error.status == 401
        assert KEY not in repr(found) + str(found.error)
        assert not found.success

    run_simulated(main)


@pytest.mark.parametrize(
    "said",
    [
        (200, b'{"data": [{"id": "%b' % KEY.encode()),
        (401, {"error": {"message": "no", "code": KEY}}),
        (500, {"error": {"message": KEY, "type": f"bad_{KEY}"}}),
    ],
)
async def test_a_key_that_the_server_repeats_is_not_shown(said: tuple[int, Any]) -> None:
    found = await FakeProvider(models=said).verify()
    assert found.error is not None
    assert KEY not in repr(found) + str(found.error) + repr(vars(found.error))


@DIALECTS
def test_an_unknown_model_is_told_with_a_good_key(dialect: str) -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        found = await client.verify(model="m/2")
        assert (found.key_accepted, found.model_available, found.paid) == (True, False, False)
        assert found.error is not None
        assert found.error.kind is ErrorKind.MODEL_NOT_FOUND
        assert "'m/2'" in str(found.error)
        assert (await client.verify(model="sim-1")).model_available is True

    run_simulated(main, settings=SimulatorSettings(models=["sim-1"]), dialect=dialect)


async def test_without_a_model_only_the_key_is_looked_at() -> None:
    fake = FakeProvider(models=LIST)
    found = await fake.verify(model=None)
    assert (found.model, found.key_accepted, found.model_available) == (None, True, None)
    assert fake.asked == ["GET /v1/models"]


async def test_a_server_without_keys_says_nothing_of_one() -> None:
    found = await FakeProvider(models=LIST).verify(key=None)
    assert (found.key_accepted, found.model_available, found.success) == (None, True, True)


async def test_an_alias_that_is_not_listed_is_asked_for_by_its_name() -> None:
    fake = FakeProvider(models=(200, {"data": []}), models__m=(200, {"id": "m-2025"}))
    found = await fake.verify()
    assert (found.key_accepted, found.model_available) == (True, True)
    assert fake.asked == ["GET /v1/models", "GET /v1/models/m"]


@pytest.mark.parametrize("no_list", [(404, {}), (405, {}), (200, b"<html>hello</html>")])
async def test_where_no_models_are_listed_a_small_request_is_paid_for(
    no_list: tuple[int, Any],
) -> None:
    fake = FakeProvider(models=no_list, chat__completions=ANSWER)
    found = await fake.verify()
    assert (found.key_accepted, found.model_available, found.paid) == (True, True, True)
    assert found.success
    assert fake.asked == ["GET /v1/models", "POST /v1/chat/completions"]


@pytest.mark.parametrize("cents", ["0.001", "100"])
async def test_what_is_paid_for_comes_out_of_the_client_s_budget(cents: str) -> None:
    fake = FakeProvider(chat__completions=ANSWER)
    text = 'provider = "fake"\n[models."m"]\ninput = 1\noutput = 1'
    prices = Prices((parse_list(text, file="test"),))
    budget = trillium.Budget(Decimal(cents) / 100)
    endpoint = Endpoint(name="fake", base_url="https://fake.test/v1", key=KEY)
    async with trillium.open_client(
        endpoint, transport=httpx.MockTransport(fake), prices=prices, budget=budget
    ) as client:
        found = await client.verify(model="m")
        unpriced = await client.verify(model="other")
    enough = cents == "100"
    assert (found.success, found.paid, bool(budget.spent_usd)) == (enough, enough, enough)
    assert (unpriced.success, unpriced.paid, unpriced.model_available) == (False, False, None)
    assert "no price" in str(unpriced.error)
    assert fake.asked.count("POST /v1/chat/completions") == enough


@pytest.mark.parametrize("lists", [True, False])
async def test_cancelled_at_any_checkpoint_it_leaks_nothing(*, lists: bool) -> None:
    async def handler(connection: Connection) -> None:
        while (request := await connection.request()) is not None:
            is_paid = request.startswith(b"POST")
            body = json.dumps((ANSWER if is_paid else LIST)[1]).encode()
            status = 200 if lists or is_paid else 404
            head = b"HTTP/1.1 %d x\r\ncontent-length: %d\r\n\r\n" % (status, len(body))
            await connection.send(head + body)

    async with (
        serving(handler) as server,
        trillium.open_client(
            "m", base_url=f"http://127.0.0.1:{server.port}/v1", key=KEY, concurrency=1
        ) as client,
    ):

        async def after_each() -> None:
            (station,) = client._routes.stations
            assert isinstance(station.transport, Pool)
            assert station.transport.open_connections == station.transport.idle_connections
            assert station.limiter.borrowed_tokens == 0
            assert client._routes.gate.queues.waiting == 0

        assert await cancel_at_every_checkpoint(client.verify, after_each) >= 3
        assert (await client.verify()).success


async def test_a_small_request_that_is_refused_says_why() -> None:
    found = await FakeProvider(chat__completions=REFUSED).verify()
    # Of the model nobody could say anything.
    assert (found.key_accepted, found.model_available, found.paid) == (False, None, True)
    assert found.error is not None
    assert found.error.kind is ErrorKind.AUTHENTICATION
    assert KEY not in str(found.error)
    unknown = (404, {"error": {"message": "no such model", "code": "model_not_found"}})
    found = await FakeProvider(chat__completions=unknown).verify()
    assert (found.key_accepted, found.model_available, found.paid) == (True, False, True)


async def test_without_a_list_and_a_model_nobody_can_say() -> None:
    fake = FakeProvider(chat__completions=ANSWER)
    found = await fake.verify(model=None)
    assert (found.key_accepted, found.model_available, found.paid) == (None, None, False)
    assert found.error is not None
    assert fake.asked == ["GET /v1/models"]


async def test_where_the_list_is_open_to_all_a_path_of_its_own_tells_of_the_key() -> None:
    """OpenRouter lists its models to everybody, and answers for a key at /key."""
    fake = FakeProvider(models=LIST, key=(200, {"data": {"limit": None}}))
    found = await fake.verify(key_check_path="/key")
    assert (found.key_accepted, found.model_available, found.paid) == (True, True, False)
    assert fake.asked == ["GET /v1/key", "GET /v1/models"]
    fake = FakeProvider(models=LIST, key=REFUSED)
    found = await fake.verify(key_check_path="/key")
    assert (found.key_accepted, found.model_available) == (False, None)
    assert fake.asked == ["GET /v1/key"]


async def test_no_connection_says_nothing_of_the_key() -> None:
    found = await FakeProvider(models=(0, httpx.ConnectError("refused"))).verify()
    assert (found.key_accepted, found.model_available, found.paid) == (None, None, False)
    assert found.error is not None
    assert found.error.kind is ErrorKind.CONNECTION_FAILED


@pytest.mark.parametrize("paid", [False, True])
def test_a_deadline_ends_it_and_is_named(*, paid: bool) -> None:
    async def slow(request: httpx.Request) -> httpx.Response:
        if paid and request.url.path.endswith("/models"):
            return httpx.Response(404)
        await trio.sleep(60)
        return httpx.Response(500)

    async def main(_: trillium.Client, __: SimulatedProvider) -> None:
        async with trillium.open_client(
            "m", base_url="https://fake.test/v1", key=KEY, transport=httpx.MockTransport(slow)
        ) as client:
            found = await client.verify(timeouts=trillium.Timeouts(request_s=5))
        assert (found.key_accepted, found.paid) == (None, paid)
        assert found.error is not None
        assert found.error.kind is ErrorKind.REQUEST_TIMEOUT
        assert found.error.seconds == 5
        assert found.latency_s == pytest.approx(5.0)

    run_simulated(main)
