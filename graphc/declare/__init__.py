"""What a user declares a network with: graph, variables, layers, losses, metrics, optimizers."""
