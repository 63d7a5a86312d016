"""Published questions, each an experiment of its own kind."""
