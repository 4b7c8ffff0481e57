import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from trillium._policy.doom import DOOMS_ENDPOINT, DOOMS_MODEL, Doom
from trillium.endpoints import Endpoint
from trillium.errors import ErrorKind, Fault


def at(name: str, key: str | None = None) -> Endpoint:
    return Endpoint(name=name, base_url="https://api.test/v1", key=key)


def test_nothing_is_doomed_at_first() -> None:
    assert Doom().verdict(at("openai"), "gpt") is None


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (ErrorKind.AUTHENTICATION, "api.openai.com refused the key"),
        (ErrorKind.NO_CREDIT, "no credit is left at api.openai.com"),
        (ErrorKind.HOST_UNKNOWN, "the host of api.openai.com does not exist"),
    ],
)
def test_an_endpoint_is_doomed_with_all_its_models_and_no_other(kind: ErrorKind, told: str) -> None:
    doom = Doom()
    fault = Fault(kind=kind, message="it said so", status=401, possibly_billed=True)
    assert doom.record(fault, endpoint=at("api.openai.com"), model="gpt")
    for model in ("gpt", "another"):
        verdict = doom.verdict(at("api.openai.com"), model)
        assert verdict == Fault(kind=ErrorKind.NOT_SENT, message=f"not sent: {told}: it said so")
    assert doom.verdict(at("api.anthropic.com"), "gpt") is None


def test_a_model_is_doomed_on_its_endpoint_alone() -> None:
    doom = Doom()
    fault = Fault(kind=ErrorKind.MODEL_NOT_FOUND, message="it said so", status=404)
    assert doom.record(fault, endpoint=at("groq"), model="a/{b}")
    verdict = doom.verdict(at("groq"), "a/{b}")
    assert verdict is not None
    assert verdict.message == "not sent: groq has no model 'a/{b}': it said so"
    assert doom.verdict(at("groq"), "other") is None
    assert doom.verdict(at("openrouter"), "a/{b}") is None


def test_another_key_at_the_same_provider_is_another_endpoint() -> None:
    doom = Doom()
    fault = Fault(kind=ErrorKind.AUTHENTICATION, message="it said so", status=401)
    assert doom.record(fault, endpoint=at("openai", "sk-revoked"), model="gpt")
    assert doom.verdict(at("openai", "sk-revoked"), "gpt") is not None
    assert doom.verdict(at("openai", "sk-good"), "gpt") is None


def test_the_rest_share_one_record() -> None:
    """There may be a million of them."""
    doom = Doom()
    doom.record(Fault(kind=ErrorKind.NO_CREDIT, message="m"), endpoint=at("e"), model="m")
    assert doom.verdict(at("e"), "a") is doom.verdict(at("e"), "b")


class AgainstSets(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.doom = Doom()
        self.endpoints: dict[str, str] = {}
        self.models: dict[tuple[str, str], str] = {}

    names = st.sampled_from(["a", "b", "c"])

    @rule(kind=st.sampled_from(list(ErrorKind)), endpoint=names, model=names, text=st.text())
    def a_request_ends(self, kind: ErrorKind, endpoint: str, model: str, text: str) -> None:
        fault = Fault(kind=kind, message=text)
        news = self.doom.record(fault, endpoint=at(endpoint), model=model)
        if kind in DOOMS_ENDPOINT:
            assert news == (endpoint not in self.endpoints)
            self.endpoints.setdefault(endpoint, text)
        elif kind in DOOMS_MODEL:
            assert news == ((endpoint, model) not in self.models)
            self.models.setdefault((endpoint, model), text)
        else:
            assert not news

    @rule(endpoint=names, model=names)
    def a_request_asks(self, endpoint: str, model: str) -> None:
        verdict = self.doom.verdict(at(endpoint), model)
        first = self.endpoints.get(endpoint, self.models.get((endpoint, model)))
        if first is None:
            assert verdict is None
        else:
            assert verdict is not None
            assert verdict.kind is ErrorKind.NOT_SENT
            assert not verdict.possibly_billed
            assert verdict.message.endswith(f": {first}")


TestAgainstSets = AgainstSets.TestCase
