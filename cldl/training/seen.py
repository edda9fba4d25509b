"""How often, and how, a photograph is seen in a test; predictions are averaged over all of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from data.dataset import Split, VariedSplit, is_varied
from engine.errors import UserError

CROPS = {1: range(1), 5: range(5), 10: range(10), 36: range(10, 46)}  # their numbers: see `data.disk.views.View.crop`


@dataclass(frozen=True)
class Seen:
    """What is seen of each photograph of a test.

    crops  -- 1, the middle; 5, the corners too (Krizhevsky et al., NIPS 2012, section 4.1); 10, and their reflections;
              36, three squares, the middle and the corners of each, and reflections (Szegedy et al., CVPR 2015, section 7)
    scales -- what photographs are resized to, one after another; none: as the split has it
    dense  -- instead of crops, the whole resized image, and its reflection (Simonyan and Zisserman, ICLR 2015, section 3.2)

    Raises:    UserError for another number of crops, and for crops of what is seen whole.
    """

    crops: int = 1
    scales: tuple[int, ...] = ()
    dense: bool = False

    def __post_init__(self) -> None:
        if self.crops not in CROPS:
            raise UserError(f"the number of crops is {self.crops!r}; choose one of {', '.join(map(str, CROPS))}.")
        if self.dense and self.crops > 1:
            raise UserError(f"{self.crops} crops are taken, or the image is seen whole (dense): leave one of them out.")

    @classmethod
    def of_line(cls, line: dict[str, Any]) -> Seen:
        """That of a line of evaluations.jsonl."""
        is_whole = line["crops"] == "whole"
        return cls(1 if is_whole else int(line["crops"]), tuple(line["scales"]), is_whole)

    def as_line(self) -> dict[str, Any]:
        """What a line of evaluations.jsonl says of it."""
        return {"crops": "whole" if self.dense else str(self.crops), "scales": list(self.scales)}

    @property
    def is_once(self) -> bool:
        """Whether it is the crop in the middle alone, at the scale of the split."""
        return self == Seen()

    def __str__(self) -> str:
        if self.dense:
            what = "whole, and mirrored"
        elif self.crops == 1:
            what = "in the middle"
        else:
            what = f"{self.crops} crops of each"
        return f"{what}, resized to {' and '.join(map(str, self.scales))} pixels" if self.scales else what

    def check(self, split: Split) -> VariedSplit:
        """The split; raises UserError where it holds no photographs."""
        if not is_varied(split):
            how = f"{self.crops} crops are" if self.crops > 1 else "whole images and other scales are"
            raise UserError(
                f"{how} taken of photographs, and these images have the network's size: leave such options out."
            )
        return split

    def splits(self, split: VariedSplit) -> Iterator[Split]:
        """The images, as often as crops of them are seen."""
        for scale in self.scales or (None,):
            scaled = split if scale is None else split.scaled(scale)
            for number in CROPS[self.crops]:
                yield scaled.cropped(number)

    def whole(self, split: VariedSplit) -> Iterator[tuple[VariedSplit, bool]]:
        """The images at each scale, and whether they are mirrored."""
        for scale in self.scales or (None,):
            for mirrored in (False, True):
                yield (split if scale is None else split.scaled(scale)), mirrored
