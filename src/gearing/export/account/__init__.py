"""The account of a decision, in the records of the exchange."""
