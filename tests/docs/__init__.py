"""The documentation names everything that exists, and nothing else."""
