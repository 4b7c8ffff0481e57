"""`_policy/adaptive_places.py`: as many as prove to be useful."""

from __future__ import annotations

from trillium._policy.adaptive_places import AdaptivePlaces
from trillium._policy.concurrency import Concurrency
from trillium._policy.quota import Quota, report_of_places
from trillium.limits import Counted, Limits


def answer(places: AdaptivePlaces) -> None:
    places.answered(first_token_s=0.5, latency_s=1.0, output_tokens=10)


def test_it_has_more_places_when_all_are_used_and_says_so() -> None:
    places = AdaptivePlaces(Concurrency(2))
    answer(places)
    assert (places.total_tokens, places.raised) == (2, False)
    for _ in range(2):
        places.acquire_on_behalf_of_nowait(object())
    assert places.available_tokens == 0
    answer(places)
    assert (places.total_tokens, places.raised) == (3, True)
    places.release_on_behalf_of(object())
    assert places.available_tokens == 2


def test_it_has_fewer_when_the_provider_refuses_and_they_can_be_shown() -> None:
    places = AdaptivePlaces(Concurrency(10))
    assert report_of_places(places, "here") == []
    for _ in range(10):
        places.acquire_on_behalf_of_nowait(object())
    places.throttled()
    assert places.available_tokens == -3
    (report,) = report_of_places(places, "here")
    assert (report.amount, report.available, report.model) == (7, 0.0, None)
    assert report.counted is Counted.CONCURRENT_REQUESTS
    assert str(report) == "here: 7 concurrent requests (learnt), 0 more now"
    assert Limits.of([report]) == Limits(), "it is found again"


def test_it_begins_with_what_was_told() -> None:
    assert Quota(Limits(concurrency=200)).adaptive.total_tokens == 200
    assert Quota().adaptive.total_tokens == 50
