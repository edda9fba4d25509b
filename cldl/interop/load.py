"""Weights out of a file into a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cldl.interop.files import ANOTHER, RefusedError, check_kind, digest, reading
from cldl.interop.from_caffe import read_caffe
from cldl.interop.from_onnx import read_onnx
from cldl.interop.from_safetensors import read_safetensors
from cldl.interop.match import Offer, match
from cldl.interop.report import Misfit, WeightsReport, listed
from cldl.interop.stored import Stored
from engine.device import copy_from_host
from engine.errors import UserError
from engine.io.fields import shown
from layers.network import Network

CHANNELS = ("rgb", "bgr")
PARTLY = f"{ANOTHER}; strict=False, or --weights-partly, takes what fits"


def load_weights(
    network: Network, path: str | Path, *, strict: bool = True, channels: str | None = None
) -> WeightsReport:
    """Take over the weights in a `.safetensors`, `.onnx` or `.caffemodel` file, as far as they are the network's.

    Layouts are converted: of weights, of what a fully connected layer reads of a flattened map, and of the image's channels in
    the first convolution. Parameters that are not in the file, and classifiers of another number of classes, keep the values that
    they were drawn with, or will be. Nothing is taken where anything is refused.

    strict   -- whether a layer that has another shape in the file is refused; otherwise it is not taken, and reported
    channels -- "rgb" or "bgr", what the file's network took; None: Caffe's took bgr, also where it came by way of ONNX

    Raises:    UserError where the file is of another kind, damaged, or of another network, and where a library is missing.

    Which names and files are known: docs/weights.md.
    """
    if channels not in (None, *CHANNELS):
        raise UserError(f"channels is {channels!r}; choose one of {', '.join(CHANNELS)}, or leave it out.")
    path = check_kind(path)
    stored, others = _read(network, path)
    bgr = stored.bgr if channels is None else channels == "bgr"
    with reading(path), np.errstate(all="ignore"):  # numbers that are not finite are refused
        offers = match(network, stored, bgr)
        report = _report(network, path, stored, offers, bgr, digest([path, *others]))
        _check(report, strict)
        taken = [offer for offer in offers if offer.fits]
        for offer in taken:
            if not np.isfinite(offer.read()).all():
                raise UserError(f"has numbers in {shown(offer.file_name)} that are not finite")
        for offer in taken:
            _assign(offer)
    return report


def _assign(offer: Offer) -> None:
    """Give a parameter its value; where it has one already, in the same memory."""
    value = offer.read().astype(offer.parameter.dtype)
    if offer.parameter.is_drawn:
        copy_from_host(offer.parameter.value, value)
        offer.parameter.touch()
    else:
        offer.parameter.value = value


def _read(network: Network, path: Path) -> tuple[Stored, list[Path]]:
    """What a file holds, and the files in which it keeps numbers besides."""
    if path.suffix == ".onnx":
        return read_onnx(path)
    if path.suffix == ".caffemodel":
        return read_caffe(path), []
    return read_safetensors(path, frozenset(parameter.name for parameter in network.parameters())), []


def _report(network: Network, path: Path, stored: Stored, offers: list[Offer], bgr: bool, sha256: str) -> WeightsReport:
    found = {offer.parameter for offer in offers}
    used = {name for offer in offers if offer.fits for name in offer.all_names}
    return WeightsReport(
        path,
        stored.kind,
        tuple((offer.parameter.name, offer.file_name) for offer in offers if offer.fits),
        tuple(_misfits(offers, of_heads=True)),
        tuple(_misfits(offers, of_heads=False)),
        tuple(parameter.name for parameter in network.parameters() if parameter not in found),
        tuple(name for name in stored.names if name not in used),
        bgr,
        stored.preprocessing,
        stored.note,
        sha256,
    )


def _misfits(offers: list[Offer], of_heads: bool) -> Iterator[Misfit]:
    for offer in offers:
        if not offer.fits and offer.is_other_head == of_heads:
            yield Misfit(offer.parameter.name, offer.file_name, offer.there, offer.here)


def _check(report: WeightsReport, strict: bool) -> None:
    """Raise UserError, a predicate, where there is nothing to take, or something does not fit."""
    if not report.taken:
        left = listed([shown(name) for name in report.left])
        raise RefusedError(f"has nothing that fits the network, but {left}")
    if report.misfits and strict:
        misfits, note = listed([str(misfit) for misfit in report.misfits]), f" ({report.note})" if report.note else ""
        raise RefusedError(f"is of another network, and nothing was taken: {misfits}{note}", PARTLY)
