"""Policy engines behind one protocol: what trains and what samples."""
