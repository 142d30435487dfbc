"""Which worker computes which unit, what is tried again, and when to give up."""
