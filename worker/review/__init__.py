"""What the reviewer of a policy asks: what would this alert do, does it pass its tests, what does a change change."""
