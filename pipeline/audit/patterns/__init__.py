"""Groups within a class: clusters, outliers, wrong answers against right ones."""
