"""What this machine does with a run: every part alone, all together, and the settings to use."""
