"""Image files of the user's, decoded to arrays."""
