"""Statistical inference: bootstrap intervals, corrections for many tests, scores over seeds and tasks."""
