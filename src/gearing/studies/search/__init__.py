"""Search over the settings of an agent: what may vary, how it is drawn, what a trial of it says."""
