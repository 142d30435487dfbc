"""How commands talk to a person: arguments, errors, progress, events."""
