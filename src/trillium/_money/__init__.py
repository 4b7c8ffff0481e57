"""Money, sans-io: what tokens cost, what they may cost at most, and what a budget still permits.

What belongs here: rates, how they are found for a model, sums and budgets; time comes as an
argument. Which files prices come from does not: that is `trillium.prices`.
"""
