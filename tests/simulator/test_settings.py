"""Settings that exist are valid, and those that are not are named."""

import pickle

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trillium.errors import InvalidRequestError
from trillium.simulator import (
    DEFAULT_KEY,
    FaultKind,
    Faults,
    HeaderStyle,
    SimulatedQuota,
    SimulatorSettings,
    TokenCharge,
)

NAN = float("nan")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", 1.5),
        ("seed", True),
        ("keys", ()),
        ("keys", ("",)),
        ("models", (3,)),
        ("latency_s", -1),
        ("latency_s", NAN),
        ("latency_s", "1"),
        ("latency_spread", 4),
        ("tokens_per_second", 0),
        ("output_tokens", 0),
        ("output_tokens", 1.5),
        ("output_tokens", True),
        ("cached_share", 1.1),
        ("keep_alive_s", 0),
        ("idle_close_s", -3),
        ("keep", 0),
        ("keep", True),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(field, value):
    with pytest.raises(InvalidRequestError, match=field):
        SimulatorSettings(**{field: value})


@pytest.mark.parametrize("value", [-0.1, 1.1, NAN, "half", True])
def test_a_fault_is_a_share(value):
    with pytest.raises(InvalidRequestError, match="cut"):
        Faults(cut=value)


@pytest.mark.parametrize("value", [0, -1, 1.5, "10", True])
def test_a_limit_is_a_count(value):
    with pytest.raises(InvalidRequestError, match="requests_per_minute"):
        SimulatedQuota(requests_per_minute=value)


def test_words_of_closed_lists_are_taken_as_text():
    settings = SimulatorSettings(header_style="groq", quota=SimulatedQuota(charge="used"))
    assert settings.header_style is HeaderStyle.GROQ
    assert settings.quota.charge is TokenCharge.USED


def test_one_text_stands_for_a_list_of_one():
    settings = SimulatorSettings(keys="k", models="m")
    assert (settings.keys, settings.models, settings.key) == (("k",), ("m",), "k")


def test_keys_do_not_show():
    assert "hidden-key" not in repr(SimulatorSettings(keys=["hidden-key"]))
    with pytest.raises(InvalidRequestError) as caught:
        SimulatorSettings(keys=["hidden-key", ""])
    assert "hidden-key" not in str(caught.value)


def test_any_key_will_do_where_none_is_told():
    assert SimulatorSettings(keys=None).key == DEFAULT_KEY


def test_each_kind_of_fault_has_a_rate():
    names = {field.name for field in attrs.fields(Faults)}
    assert {kind.value for kind in FaultKind} <= names


def test_faults_are_at_most_all_requests():
    with pytest.raises(InvalidRequestError, match=r"add up to 1\.1"):
        Faults(cut=0.6, reset=0.5)
    tenths = ["rate_limited", "server_error", "unavailable", "overloaded", "reset"]
    tenths += ["cut", "stall", "drip", "malformed", "html"]
    assert Faults(**dict.fromkeys(tenths, 0.1)).drawn(0.05) is FaultKind.RATE_LIMITED


@given(st.floats(0, 1, exclude_max=True))
def test_a_draw_falls_into_the_share_of_its_fault(draw):
    faults = Faults(reset=0.25, html=0.25)
    expected = FaultKind.RESET if draw < 0.25 else FaultKind.HTML if draw < 0.5 else None
    assert faults.drawn(draw) is expected


def test_settings_survive_pickling():
    settings = SimulatorSettings(seed=3, faults=Faults(cut=0.5), header_style="date")
    assert pickle.loads(pickle.dumps(settings)) == settings
