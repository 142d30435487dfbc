"""The first screen of a report: does the model work, where does it look, what is suspicious."""
