"""The ``gearing`` command, also ``python -m gearing``."""

import sys


def main() -> None:
    """Run the command line; one message where gearing was installed without what it depends on."""
    try:
        from gearing.cli import main as run
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "gearing":
            raise
        sys.stderr.write(
            f"error: the command line needs {error.name}, which is not installed: pip install gearing. "
            "To decide with a bundle, numpy and onnxruntime are enough: python -m gearing.export --help\n"
        )
        sys.exit(2)
    run()


if __name__ == "__main__":
    main()
