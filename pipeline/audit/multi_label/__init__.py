"""Images with several labels: each image once, scores per label, and whether labels fit outputs."""
