"""Tests of `cldl.interop`."""
