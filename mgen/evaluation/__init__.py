"""How good a trained model is: what is compared (`sets`), by what (`scorecard`), and how it is shown (`sheet`)."""
