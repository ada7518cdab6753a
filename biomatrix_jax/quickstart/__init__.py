"""The main job, small, on real input: every part of the product once, and a report."""
