"""Class statistics as integer sums: add images, merge, finish. The same bits in any order."""
