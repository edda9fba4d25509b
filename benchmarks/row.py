"""A row of the benchmark: what was timed, the engines' times and memory, and the ratios that follow."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.interleaved import middle, ratio

WORK = {"step": "training step", "evaluate": "evaluation"}


@dataclass(frozen=True)
class Engine:
    """An engine's part in a row."""

    name: str
    versions: dict[str, str]
    seconds: list[list[float]]  # by round and call
    base: int  # bytes in memory before the first step
    peak: int  # at most, until after the last

    def summary(self) -> dict:
        """Without the single calls."""
        least = min(min(block) for block in self.seconds)
        numbers = {"median": middle(self.seconds), "minimum": least, "base_bytes": self.base, "peak_bytes": self.peak}
        return {"name": self.name, "versions": self.versions, **numbers}


@dataclass(frozen=True)
class Row:
    """A network, a kind of work, and how long it took."""

    network: str
    work: str
    batch: int
    flops: int  # of the direct convolution
    matmul: float  # FLOP/s of a matrix product on all threads
    engines: list[Engine]
    tried: dict[str, float | str]  # PyTorch's configurations: median seconds, or why not

    @property
    def ratio(self) -> dict[str, float] | None:
        """How many times as long PyTorch takes."""
        return ratio(*(engine.seconds for engine in self.engines)) if len(self.engines) == 2 else None

    def summary(self) -> dict:
        """All that JSON says of it."""
        own = {k: v for k, v in vars(self).items() if k != "engines"}
        return {**own, "engines": [engine.summary() for engine in self.engines], "ratio": self.ratio}

    def __str__(self) -> str:
        lines = [
            f"\n{self.network}, {WORK[self.work]}, batch {self.batch}: {self.flops / 1e9:.1f} GFLOP by direct convolution; "
            f"a matrix product reaches {self.matmul / 1e9:.0f} GFLOP/s",
            f"  {'':28} {'median ms':>10} {'minimum ms':>11} {'images/s':>9} {'GFLOP/s':>8} {'of peak':>8} "
            f"{'peak MiB':>9} {'over start':>11}",
        ]
        for e in self.engines:
            s = e.summary()
            rate = self.flops / s["median"]
            lines.append(
                f"  {e.name:28} {1e3 * s['median']:10.1f} {1e3 * s['minimum']:11.1f} {self.batch / s['median']:9,.0f} "
                f"{rate / 1e9:8.1f} {rate / self.matmul:8.0%} {e.peak / 2**20:9,.0f} {(e.peak - e.base) / 2**20:11,.0f}"
            )
        if self.ratio:
            r, rounds = self.ratio, len(self.engines[0].seconds)
            lines.append(
                f"  PyTorch takes {r['median']:.2f} times as long "
                f"(the middle half of {rounds} rounds: {r['low']:.2f} to {r['high']:.2f})"
            )
        if len(self.tried) > 1:
            told = (f"{k} {v if isinstance(v, str) else f'{1e3 * v:.0f} ms'}" for k, v in self.tried.items())
            lines.append(f"  in a first trial: {'; '.join(told)}")
        versions = (", ".join(f"{what} {version}" for what, version in e.versions.items()) for e in self.engines)
        lines.append(f"  {'; '.join(f'{e.name.split()[0]}: {v}' for e, v in zip(self.engines, versions, strict=True))}")
        return "\n".join(lines)
