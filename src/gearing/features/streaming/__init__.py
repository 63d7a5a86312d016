"""Features bar by bar: a new bar costs one row and not the look-back."""
