"""CLDL in other frameworks."""
