"""Who computes which unit, what is tried again, and what is given up."""
