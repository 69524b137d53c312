"""Networks for smoothing, denoising and super-resolution: models, tasks, training, evaluation."""
