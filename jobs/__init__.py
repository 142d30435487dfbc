"""The commands: ``flowatlas NAME``, each also ``python -m jobs.NAME``."""
