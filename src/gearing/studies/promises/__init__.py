"""The kind `promises`: budgets of liquidation and loss, promised walking forward and compared with what came."""
