"""Which refusals a pace is cut by, and which are stray (`_policy/quota_pace.py`)."""

from __future__ import annotations

import math

import pytest

from trillium._policy.quota_pace import (
    FEW_RATE,
    FOUND_SHARE,
    GROWTH,
    MOST_BACK,
    NO_STRAY_S,
    WORST_CUT,
    Pace,
)


def paced_at(found: float) -> tuple[Pace, float]:
    """Return a pace after ten seconds at so many requests a second, and the time."""
    pace = Pace.begin(round(1.2 * found), 1.0, 0.0, most=math.inf)
    pace.accepted = round(10 * found) + 1
    pace.refused(10.0, 10.0)
    return pace, 10.0


def refuse(pace: Pace, now: float, accepted: list[int], pause_s: float = 2.0) -> float:
    """Let so many in before each of some refusals; return when the last was."""
    for count in accepted:
        pace.accepted = count + 1
        now += pause_s
        pace.refused(now, now)
    return now


def test_what_several_times_tell_alike_is_known_better() -> None:
    """So the pace grows more slowly, and fewer are refused: 10 + 10 + 20 s."""
    pace, now = paced_at(80.0)
    pace.bucket.set_amount(200.0, now)
    pace.accepted = 881
    pace.refused(now, now + 10.0)
    assert pace.bucket.rate == pytest.approx(84.0 * FOUND_SHARE)
    assert pace.found_in_s == 20.0
    pace.bucket.set_amount(200.0, now)
    refuse(pace, now + 10.0, [1680], 20.0)
    assert pace.found_in_s == 40.0
    pace.bucket.set_amount(200.0, now)
    refuse(pace, now + 30.0, [2520], 20.0)
    assert pace.bucket.rate == pytest.approx(126.0 * FOUND_SHARE), "another rate stands alone"
    assert pace.found_in_s == 20.0


def test_odd_refusals_that_are_not_alike_say_nothing_of_a_limit() -> None:
    pace, now = paced_at(80.0)
    before = pace.bucket.rate
    now = refuse(pace, now, [95, 10, 95, 60, 90, 80, 95, 15, 95, 95, 20, 40])
    assert pace.bucket.rate >= before


def test_more_refusals_than_can_be_stray_are_a_limit_however_they_come() -> None:
    pace, now = paced_at(80.0)
    refuse(pace, now, [95, 0, 20, 0, 4, 0])
    assert pace.bucket.rate < 40.0


def doubting() -> tuple[Pace, float]:
    """Return a pace that falls to half after an odd refusal at a few requests a second."""
    pace, now = Pace.begin(10, 1.0, 0.0, most=math.inf), 30.0
    pace.accepted = 301
    pace.refused(now, now)
    assert pace.bucket.rate < FEW_RATE
    return pace, refuse(pace, now, [10])


def test_an_odd_refusal_that_is_unlikely_to_be_stray_is_put_to_the_test() -> None:
    pace, now = doubting()
    rates = [pace.bucket.rate]
    for second in range(1, 8):
        pace.wanted = True
        pace.grow(now + second, most=math.inf)
        rates.append(pace.bucket.rate)
    assert rates[0] == pytest.approx(5.0)
    assert rates[4] == pytest.approx(9.0 * 0.96)
    assert rates[5] == pytest.approx(rates[4] * (1 + GROWTH[0][1]))


def test_the_next_refusal_shows_that_the_limit_was_lowered() -> None:
    pace, now = doubting()
    refuse(pace, now, [40], 8.0)
    assert pace.bucket.rate == pytest.approx(5.0 * FOUND_SHARE)
    pace, now = doubting()
    pace.bucket.set_amount(9.0, now)
    refuse(pace, now, [120], 15.0)
    assert pace.bucket.rate == pytest.approx(8.0 * FOUND_SHARE), "by a fifth"


def test_or_that_the_odd_one_was_a_stray_one() -> None:
    pace, now = doubting()
    pace.bucket.set_amount(10.0, now)
    now = refuse(pace, now, [95], 10.0)
    before = pace.bucket.rate
    now = refuse(pace, now, [10])
    assert pace.bucket.rate >= before, "such ones occur: no other is put to the test"


def test_an_odd_refusal_that_may_well_be_stray_is_not_put_to_the_test() -> None:
    pace, now = Pace.begin(10, 1.0, 0.0, most=math.inf), 30.0
    pace.accepted = 301
    pace.refused(now, now)
    before = pace.bucket.rate
    refuse(pace, now, [16], 3.0)
    assert pace.bucket.rate == before


def test_a_low_rate_that_is_known_is_tried_more_rarely_unless_that_is_in_vain() -> None:
    """Refused at a pace that had grown, and at one that had not."""
    shares = []
    for rate in (13.0, 9.5):
        pace, now = Pace.begin(10, 1.0, 0.0, most=math.inf), 10.0
        pace.bucket.set_amount(20.0, 0.0)
        pace.accepted = 101
        pace.refused(now, now)
        pace.bucket.set_amount(rate, now)
        now = refuse(pace, now, [100], 10.0)
        before, pace.wanted = pace.bucket.rate, True
        pace.grow(now + 1.0, most=math.inf)
        shares.append(pace.bucket.rate / before - 1.0)
    assert shares[0] < 0.3 * shares[1]


def test_a_low_rate_is_taken_for_lowered_after_fewer() -> None:
    """Of nine requests hardly one meets a stray refusal, and not twice in a row."""
    pace, now = paced_at(9.0)
    before = pace.bucket.rate
    now = refuse(pace, now, [9])
    assert pace.bucket.rate == before
    refuse(pace, now, [9])
    assert pace.bucket.rate == pytest.approx(4.5 * FOUND_SHARE)


def test_a_rate_that_a_short_time_showed_is_no_proof_that_what_comes_later_is_odd() -> None:
    """The requests may have been small, and a fill was left over: so it is cut, each time."""
    pace = Pace.begin(40, 1.0, 0.0, most=math.inf)
    refuse(pace, 0.0, [45], 3.0)
    before = pace.bucket.rate
    refuse(pace, 3.0, [30], 3.0)
    assert pace.bucket.rate < 0.9 * before


def test_a_pace_does_not_grow_fast_while_it_is_open_whether_the_limit_was_lowered() -> None:
    pace = Pace.begin(100, 1.0, 0.0, most=math.inf)
    pace.accepted = 201
    pace.refused(2.0, 2.0)
    pace.accepted = 31
    pace.refused(4.0, 4.0)
    before, pace.wanted = pace.bucket.rate, True
    pace.grow(5.0, most=math.inf)
    assert pace.bucket.rate == pytest.approx(before * (1.0 + GROWTH[0][1]))


@pytest.mark.parametrize(("found_in_s", "share"), [(5.0, 0.96), (60.0, 0.975), (400.0, 0.985)])
def test_a_pace_begins_the_nearer_to_a_rate_the_longer_that_was_found_in(
    found_in_s: float, share: float
) -> None:
    pace = Pace.begin(1000, 1.0, 0.0, most=math.inf)
    refuse(pace, 0.0, [round(100 * found_in_s)], found_in_s)
    assert pace.bucket.rate == pytest.approx(max(100 * share, 900 * WORST_CUT))
    pace.bucket.set_amount(100.0, found_in_s)
    refuse(pace, found_in_s, [round(100 * found_in_s)], found_in_s)
    assert pace.bucket.rate == pytest.approx(100 * max(share, 1 - 1.5 / min(2 * found_in_s, 100)))


def test_where_refusals_are_stray_a_cut_that_an_odd_one_follows_is_undone() -> None:
    pace, now = paced_at(80.0)
    before = pace.bucket.rate
    now = refuse(pace, now, [60], 2.0)
    now = refuse(pace, now, [130], 2.0)
    assert pace.bucket.rate == pytest.approx(65.0 * FOUND_SHARE), "it may have been too fast"
    refuse(pace, now, [60], 2.0)
    assert pace.bucket.rate == before


def test_where_no_refusal_was_stray_for_long_a_cut_stands() -> None:
    pace, now = paced_at(80.0)
    now = refuse(pace, now, [60], 2.0)
    now = refuse(pace, now, [900, 900], NO_STRAY_S + 1.0)
    before = pace.bucket.rate
    refuse(pace, now, [60], 2.0)
    assert pace.bucket.rate == before


def test_a_pace_that_goes_back_does_not_run_away() -> None:
    pace, now = paced_at(80.0)
    now = refuse(pace, now, [60], 2.0)
    pace.bucket.set_amount(1000.0, now)
    now = refuse(pace, now, [160], 2.0)
    assert pace.bucket.rate == pytest.approx(250.0), "no refusal cuts it to less than a quarter"
    pace.bucket.set_amount(70.0, now)
    refuse(pace, now, [60], 2.0)
    assert pace.bucket.rate == pytest.approx((800 - math.sqrt(800)) / 11 * MOST_BACK)


def test_of_a_job_whose_limit_is_halved_few_are_refused_and_the_new_limit_is_used() -> None:
    """15 requests in a second, filled by the second, then 7.5: each refusal holds for a second."""
    level, filled_at, refused = 37.5, 0, 0
    let_in: list[float] = []
    pace, now = Pace.begin(50, 1.0, 0.0, most=math.inf), 1.0
    while now < 120.0:
        at = pace.bucket.ready_at(1.0, now)
        pace.wanted = pace.wanted or at > now
        now = max(now, at)
        rate = 15.0 if now < 60.0 else 7.5
        level = min(2.5 * rate, level + (math.floor(now) - filled_at) * rate)
        filled_at = math.floor(now)
        pace.bucket.take(1.0, now)
        pace.accepted += 1
        pace.grow(now, most=math.inf)
        if level >= 1.0:
            level -= 1.0
            let_in.append(now)
        else:
            refused += 1
            pace.refused(now, now)
            now += 1.0
    assert refused <= 0.01 * len(let_in)
    later = [at for at in let_in if at >= 90.0]
    assert len(later) >= 7.5 * 30 / 1.05
