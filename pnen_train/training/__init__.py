"""How it is learnt: recipe and pairs to checkpoints, with the state between, its steps, costs and locks."""
