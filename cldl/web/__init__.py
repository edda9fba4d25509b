"""The page and the JSON endpoint of `cldl.serve`."""
