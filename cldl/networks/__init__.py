"""The networks of the poster, as their authors published them."""

from cldl.networks.deeply_supervised import dsn
from cldl.networks.maxout_networks import maxout
from cldl.networks.network_in_network import LOWER, nin
from cldl.networks.tapped import INITIALISERS

__all__ = ["INITIALISERS", "LOWER", "dsn", "maxout", "nin"]
