"""Published questions, each an experiment of its own kind; the modules below register them."""

from gearing.questions import answers, case_study, methods

__all__ = ["answers", "case_study", "methods"]
