from hypothesis import given
from hypothesis import strategies as st

from trillium._policy.dice import draw

requests = st.integers() | st.text()


@given(seed=st.integers(), request_id=requests, attempt=st.integers(1, 1000))
def test_a_draw_is_in_the_half_open_unit_interval_and_repeats(
    seed: int, request_id: int | str, attempt: int
) -> None:
    """Promise: what befalls a request repeats from run to run."""
    number = draw(seed, request_id, attempt)
    assert 0.0 <= number < 1.0
    assert draw(seed, request_id, attempt) == number


def test_draws_are_the_same_in_every_version() -> None:
    """A recorded seed must reproduce a run that an older version made."""
    assert draw(0, 0, 1) == 0.7491714497032925
    assert draw(7, "a b", 2) == 0.1308798973010895


def test_a_number_and_its_text_are_two_requests() -> None:
    assert draw(0, 1, 1) != draw(0, "1", 1)


def test_an_id_that_looks_like_other_arguments_has_its_own_draw() -> None:
    assert draw(1, "2 s x", 3) != draw(1, "x", 3)
    assert draw(1, "s 1", 1) != draw(1, "1", 1)


def test_a_lone_surrogate_is_an_id_like_others() -> None:
    assert 0.0 <= draw(0, "\ud800", 1) < 1.0


def test_draws_spread_evenly_over_requests_attempts_and_seeds() -> None:
    count, cells = 4000, 10
    for numbers in (
        [draw(0, n, 1) for n in range(count)],
        [draw(0, "x", n) for n in range(count)],
        [draw(n, "x", 1) for n in range(count)],
    ):
        filled = [0] * cells
        for number in numbers:
            filled[int(number * cells)] += 1
        expected = count / cells
        # The chi-square of 9 degrees of freedom passes 27.9 once in a thousand times.
        assert sum((n - expected) ** 2 / expected for n in filled) < 27.9
