"""The networks of the poster, as their authors published them: a family a module."""
