"""Reading images ahead of the model: by threads of a worker, or by processes beside it."""
