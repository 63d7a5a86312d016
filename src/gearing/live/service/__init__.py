"""An HTTP service of bundles: decisions over a documented interface, each logged before it is answered."""
