"""The agent for books: gradients through the accounting of one account over many contracts."""
