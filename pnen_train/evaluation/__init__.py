"""How well it is learnt: scores, seams of tiles, and which tile suits."""
