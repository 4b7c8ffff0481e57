"""The page of a comparison: what it says, and what it leaves open."""

from __future__ import annotations

import re

import attrs
import pytest

from tests.pages.samples import HOSTILE, compared, comparison, three
from trillium._batch.statistics import Stop, StopCause
from trillium.comparison import Comparison, ModelComparison
from trillium.pages import comparison_page


def words(page: str) -> str:
    """Return what is read of a page."""
    without = re.sub(r"<(style|script|title)>.*?</\1>", "", page, flags=re.DOTALL)
    text = re.sub(r"<[^>]+>", " ", without).replace("\N{NO-BREAK SPACE}", " ")
    return re.sub(r"\s+", " ", text).replace(" ,", ",").replace(" .", ".")


def test_the_headline_says_who_is_cheapest_and_who_is_fastest() -> None:
    said = words(comparison_page(three()))
    assert "cheap is cheapest, at $0.50 per 1,000 requests, 87.5 % less than dear" in said
    assert "quick is fastest, with an answer in" in said
    assert "Answered 97.8 % 90 of 92 requests" in said
    assert "Spent on this $0.195" in said


def test_one_that_is_both_is_said_to_be_both() -> None:
    models = [compared("a", median_s=1, usd="0.001"), compared("b", median_s=2, usd="0.002")]
    said = words(comparison_page(comparison(models)))
    assert "a is both cheapest and fastest: $1.00 per 1,000 requests, 50.0 % less than b" in said


def test_each_model_is_a_row_with_all_its_figures() -> None:
    page = comparison_page(three())
    table = page[page.index('id="models"') : page.index("</table>")]
    rows = re.findall(r"<tr>(.*?)</tr>", table[table.index("<tbody>") :])
    assert len(rows) == 3
    for row in rows:
        values = re.findall(r'data-value="([^"]*)"', row)
        assert len(values) == 12
        assert "" not in values
    assert "dearest" in rows[0]


def test_a_failure_is_told_by_model_and_kind() -> None:
    page = comparison_page(three())
    assert "Without an answer" in page
    assert "server_error" in page
    assert "Without an answer" not in comparison_page(comparison([compared("a"), compared("b")]))


def test_an_unknown_cost_is_never_zero() -> None:
    known, unknown = compared("a"), compared("b", usd=None)
    said = words(comparison_page(comparison([known, unknown])))
    assert "The cost of 1 of 2 models is not known." in said
    assert "1 without a price or an answer left out" in said
    assert "without 1 model of unknown cost" in said
    both = words(comparison_page(comparison([unknown, compared("c", usd=None)])))
    assert "No cost is known" in both
    assert "$0" not in both


def test_one_model_has_its_own_page() -> None:
    said = words(comparison_page(comparison([compared("a")])))
    assert "a answers in" in said
    assert "and costs $1.00 per 1,000 requests." in said
    assert "Cost against latency" not in said
    free = words(comparison_page(comparison([compared("a", usd=None)])))
    assert "at the median. No cost is known." in free


def test_where_all_cost_the_same_none_is_cheapest() -> None:
    page = comparison_page(comparison([compared("a"), compared("b", median_s=2)]))
    said = words(page)
    assert "a is fastest, with an answer in" in said
    assert "All cost $1.00 per 1,000 requests." in said
    assert "Cheapest" not in said
    assert "dearest" not in said


def test_names_that_would_cover_each_other_stand_above_the_plot() -> None:
    apart = comparison_page(three())
    assert apart.count('class="label halo roomy"') == 3
    assert '<div class="tight"><ul class="legend">' in apart
    near = [compared(f"a-rather-long-name-{n}", median_s=1 + n / 99) for n in range(6)]
    close = comparison_page(comparison(near))
    assert close.count('class="label halo roomy"') == 0
    assert '<div class="tight">' not in close
    assert close.count('<ul class="legend">') == 2


def test_no_answer_at_all_draws_nothing() -> None:
    models = [compared("a", answers=0, failures=3), compared("b", answers=0, failures=3)]
    said = words(comparison_page(comparison(models)))
    assert "No request was answered." in said
    assert "nothing to draw" in said


def test_nothing_sent_is_no_share_of_anything() -> None:
    said = words(comparison_page(comparison([compared("a", answers=0)])))
    assert "Answered – 0 of 0 requests" in said


def test_what_stopped_it_is_said() -> None:
    stopped = comparison([compared("a")], stop=Stop(StopCause.BUDGET, "the budget is used up"))
    assert "Stopped early: the budget is used up" in words(comparison_page(stopped))


def test_that_somebody_stopped_it_is_said_in_the_words_of_a_comparison() -> None:
    stopped = comparison([compared("a")], stop=Stop(StopCause.DRAINED, "the batch was drained"))
    said = words(comparison_page(stopped))
    assert "Stopped early: it was interrupted" in said
    assert "batch" not in said


def test_a_model_without_an_answer_is_neither_cheapest_nor_unpriced() -> None:
    silent = compared("silent", answers=0, failures=3)
    page = comparison_page(comparison([compared("a"), compared("b", usd="0.002"), silent]))
    said = words(page)
    assert "1 of 3 models gave no answer." in said
    assert "is not known." not in said
    table = words(page[page.index('id="models"') : page.index("</table>")])
    assert "$0 " not in table


def test_what_looks_alike_is_not_best() -> None:
    def of(name: str, per_s: float) -> ModelComparison:
        samples = [attrs.evolve(s, output_tokens_per_s=per_s) for s in compared("x").samples]
        return ModelComparison.of("e", name, samples)

    alike = comparison_page(comparison([of("a", 100.1), of("b", 100.2)]))
    table = alike[alike.index('id="models"') : alike.index("</table>")]
    assert table.count(">100<") == 2
    assert "best" not in table
    apart = comparison_page(comparison([of("a", 100.1), of("b", 120.0)]))
    assert apart[: apart.index("</table>")].count('class="num best"') == 1


def test_what_latencies_and_first_tokens_count_is_said() -> None:
    calm = compared("calm")
    again = [attrs.evolve(sample, attempts=3) for sample in calm.samples[:2]]
    retried = ModelComparison.of("e", "retried", [*again, *compared("x").samples[2:]])
    page = comparison_page(comparison([calm, retried]))
    said = words(page)
    assert "2 of 60 answers took more than one attempt" in said
    assert "first token run from the send of the attempt that answered" in said
    assert page.count("retries included") == 3
    assert "more than one attempt" not in words(comparison_page(comparison([calm])))


def test_without_streams_the_first_token_is_not_known() -> None:
    models = [compared("a", streams=False), compared("b", usd="0.002")]
    page = comparison_page(comparison(models))
    assert page.count('data-value="">–</td>') == 2


def test_two_of_one_name_are_told_apart_by_their_endpoints() -> None:
    models = [compared("m", endpoint="e"), compared("m", endpoint="f")]
    assert "e/m is" in words(comparison_page(comparison(models)))


def test_very_different_latencies_have_a_scale_of_ratios() -> None:
    models = [compared("a", median_s=0.02), compared("b", median_s=30)]
    said = words(comparison_page(comparison(models)))
    assert " 100 ms " in said
    assert " 10 s " in said


def test_very_different_costs_have_a_scale_of_ratios() -> None:
    models = [compared("a", usd="0.00001"), compared("b", usd="0.1")]
    said = words(comparison_page(comparison(models)))
    assert "$100" in said
    assert "$0.01" in said


@pytest.mark.parametrize("where", ["model", "endpoint", "stop"])
def test_a_hostile_name_is_a_name(where: str) -> None:
    name = HOSTILE if where == "model" else "m"
    endpoint = HOSTILE if where == "endpoint" else "e"
    stop = Stop(StopCause.DRAINED, HOSTILE) if where == "stop" else None
    models = [compared(name, endpoint=endpoint), compared("b", failures=1)]
    page = comparison_page(comparison(models, stop=stop))
    assert page.count("<script>") == 1
    assert "<img" not in page


def test_the_same_comparison_gives_the_same_page_also_when_it_was_read_again() -> None:
    found = three()
    assert comparison_page(Comparison.from_json(found.to_json())) == comparison_page(found)


def test_many_answers_do_not_make_a_large_page() -> None:
    models = [compared(f"m{place}", answers=3000) for place in range(3)]
    assert len(comparison_page(comparison(models))) < 150_000
