"""Every layer, loss and network of the project as cases for the gradient checker."""
