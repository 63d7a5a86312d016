"""Account statements of paper accounts, in the formats of venues."""
