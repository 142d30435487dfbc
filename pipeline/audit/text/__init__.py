"""How numbers and names are written in sentences."""
