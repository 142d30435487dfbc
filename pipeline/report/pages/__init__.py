"""The pages of a report: what each shows, read from the run."""
