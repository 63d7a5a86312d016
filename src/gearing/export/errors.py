"""What a bundle refuses."""


class BundleError(ValueError):
    """A bundle, or what it was asked to decide on, cannot be used; the message says why and what to do."""
