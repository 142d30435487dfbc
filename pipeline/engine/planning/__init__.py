"""What a run will need, what it needed, and what limits its speed."""
