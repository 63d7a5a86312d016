"""Reports of finished experiments of every kind, made from their folders."""
