"""Figures as ratios: Tocsin and a bare workflow, on one embedded server, in one run."""
