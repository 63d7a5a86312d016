"""The differentiable agent: gradients of log growth through the account mechanics."""
