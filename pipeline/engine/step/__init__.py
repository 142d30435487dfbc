"""What is done with a batch on a device: inputs there, one program, results back."""
