"""What a unit takes: seconds by stage, a GPU's share of them, memory."""
