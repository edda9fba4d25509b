"""The networks of the poster, as their authors published them: a family a module; `build` makes one by name."""

from cldl.models.by_name import NETWORKS, build

__all__ = ["NETWORKS", "build"]
