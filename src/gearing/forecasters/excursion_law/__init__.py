"""One law of the largest adverse move of a price over days and weeks, pooled over contracts.

`scale` measures today's volatility, `starts` collects what followed past days, `law` turns both into distances and
probabilities, `fitting` fits and calibrates the law walking forward.
"""
