"""``python -m gearing.cli``."""

from gearing.cli import main

main()
