"""Pairs of a query and a gallery image: which patches of both make them similar."""
