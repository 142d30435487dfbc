"""The command line: arguments, errors, progress, events."""
