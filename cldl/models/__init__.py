"""The networks of the poster, as their authors published them."""

from cldl.models.dsn import dsn
from cldl.models.maxout import maxout
from cldl.models.nin import LOWER, nin
from cldl.models.tapped import INITIALISERS

__all__ = ["INITIALISERS", "LOWER", "dsn", "maxout", "nin"]
