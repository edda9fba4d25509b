"""How kernels become fast on the CPU: the compiler's front door, SIMD vectors, the gemm micro-kernel, FFTs in registers."""
