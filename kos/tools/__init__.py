"""The medical tools, their sources on line and off, and the layer that guards the way out."""
