"""What differs between two runs, or between two atlases of one."""
