"""What the optimiser minimises: policy losses to choose from."""
