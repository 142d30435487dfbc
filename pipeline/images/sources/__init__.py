"""Datasets as lists of images: folders, tables, archives, Parquet, with labels and boxes."""
