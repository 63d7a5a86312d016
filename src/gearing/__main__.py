"""``python -m gearing``, the same as the ``gearing`` command."""

from gearing.cli import main

main()
