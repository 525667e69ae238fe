"""What ``px --test`` and ``px --doctor`` check, step by step."""
