"""Rules and agents over folds and contracts."""
