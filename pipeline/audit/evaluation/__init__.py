"""How far maps can be trusted: methods and baselines beside a causal reference, with intervals."""
