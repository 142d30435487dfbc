"""How an atlas is laid out, written, resumed and read."""
