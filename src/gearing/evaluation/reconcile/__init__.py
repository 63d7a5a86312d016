"""Account statements replayed through the exchange rules."""
