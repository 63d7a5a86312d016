"""The best leverage of markets whose law is known."""
