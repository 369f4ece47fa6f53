"""Figures as ratios: Tocsin beside a bare Temporal workflow, on one embedded server, in one run."""
