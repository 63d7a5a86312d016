"""Rules under every combination of direction, rebalancing and margin share."""
