"""The engine: variables, the bridge from state to arguments, symbolic graphs, configs."""
