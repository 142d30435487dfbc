"""What a model's outputs are: logits, their names, and the classes of a dataset they stand for."""
