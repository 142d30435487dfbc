"""The methods, one file each: what every layer of a model takes from each place of an image."""
