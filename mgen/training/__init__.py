"""Training: the experiment, the game step, checkpoints, the log and the loop that joins them."""
