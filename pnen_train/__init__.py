"""Networks for edge-preserving smoothing: models, targets, training, evaluation."""
