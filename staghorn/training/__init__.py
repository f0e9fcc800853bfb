"""Training: data, losses and metrics by output, the compiled loop, and the methods of models."""
