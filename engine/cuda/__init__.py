"""The engine on an NVIDIA GPU: each module has the launches that its namesake in the engine has loops for.

The scalar mathematics is not written twice: the kernels call the scalar functions of `engine.kernels`. Nothing here adds to one
place from two threads: every sum has a fixed order, so results repeat bit for bit. Imported only where CUDA is asked for.
"""
