"""The networks: pure Flax modules, free of configs, data and meshes."""
