"""Where a dataset lists its images: folders, tables, archives, Parquet, with labels and boxes."""
