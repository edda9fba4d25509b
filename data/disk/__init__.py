"""Data sets that stay on the disk: an index of their files is held in memory, and an image is decoded when it is read."""
