"""The networks of the experiments, one module for each family, and what they cost (``cost``).

This file imports none of them: a trained network is kept as long as the code of its own family is unchanged.
"""
