"""From the model's columns to the destination's fields."""
