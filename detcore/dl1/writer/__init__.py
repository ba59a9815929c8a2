"""Simulated events into CTA-ML files."""
