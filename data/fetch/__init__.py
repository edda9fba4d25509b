"""How a data set's files are had: downloads, archives, the cache."""
