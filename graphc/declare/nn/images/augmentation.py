"""Layers that change images at random while a network is trained, and are their input where it is
used: augmentation inside of the training step.

Every sample has numbers of its own, and every step others: those of the layer's random stream, so
they are the same in numpy, at any number of threads, and when a step is run again.
"""

from __future__ import annotations

import math
from typing import Any

from graphc.declare.graphs.training_forms import training_form
from graphc.declare.hyperparameters import check_number
from graphc.declare.nn.layer import Layer, short_form
from graphc.declare.random import draws
from graphc.errors import DTypeError, ShapeError
from graphc.ir.arguments.given import is_one_of, shown
from graphc.ir.dims import Extent
from graphc.ir.functions import build
from graphc.ir.functions.arrays.elements import clip
from graphc.ir.functions.arrays.filling import full
from graphc.ir.functions.arrays.joining import flip
from graphc.ir.functions.spatial.moved_pixels import CONSTANT, FILL_MODES, REFLECT, moved_pixels
from graphc.ir.functions.spatial.window_arguments import (
    fixed_extents,
    is_channels_first,
    with_channels_first,
    with_channels_last,
)
from graphc.ir.graph import Node
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.types import f32, i32, is_several

# A number f for the range -f to f, or its two ends.
Factor = float | tuple[float, float]

HORIZONTAL, VERTICAL, BOTH = "horizontal", "vertical", "horizontal_and_vertical"
FLIP_MODES = (HORIZONTAL, VERTICAL, BOTH)


class _Augmentation(Layer):
    """What is done to images [batch, height, width, channels], or with channels first."""

    def __init__(self, data_format: str | None, name: str | None) -> None:
        super().__init__(name)
        self.data_format = data_format

    def call(self, x: Node) -> Node:
        if x.rank != 4:
            raise ShapeError(self._message(x, "images expected, a batch of 4 axes"))
        channels_first = is_channels_first(self.kind, x, self.data_format)
        last = with_channels_last(x, channels_first)
        fixed_extents(self.kind, last, (1, 2, 3))
        changed = with_channels_first(self._augmented(last), channels_first)
        return training_form(changed, with_channels_first(self._plain(last), channels_first))

    def _augmented(self, x: Node) -> Node:
        raise NotImplementedError

    def _plain(self, x: Node) -> Node:
        """What stands in its place in inference."""
        return x

    def _even(self, x: Node, count: int) -> list[Node]:
        """`count` random numbers of each sample, evenly from [0, 1): [batch]."""
        key = self.random_stream()
        pairs = [draws.even(key, x.shape[:1], f32, n) for n in range((count + 1) // 2)]
        return [u for pair in pairs for u in pair][:count]

    def _range(self, what: str, given: Any, least: float, most: float) -> tuple[float, float]:
        """The ends of a range of random numbers. Raises TypeError and ValueError."""
        ends = tuple(given) if is_several(given) else (-given if least < 0 else given, given)
        name = f"{self.kind}: {what}"
        if len(ends) != 2:
            raise self._problem(f"{what}: a number or the two ends of a range, not {shown(given)}")
        for end in ends:
            check_number(name, end, least)
        if not ends[0] <= ends[1] <= most:
            wanted = f"a range within {least:g} to {most:g} expected"
            raise self._problem(f"{what}: {wanted}, not {shown(given)}")
        return float(ends[0]), float(ends[1])

    def _problem(self, problem: str) -> ValueError:
        return ValueError(located(f"{self.kind}: {problem}", callers_location()))


class RandomFlip(_Augmentation):
    """Images mirrored, each with a probability of 1/2: left and right ("horizontal"), top and
    bottom ("vertical"), or both, each for itself.

    Any dtype; x itself in inference. Arguments and defaults are those of keras.layers.RandomFlip.

        images = gc.nn.RandomFlip("horizontal")(images)
    """

    def __init__(
        self, mode: str = BOTH, data_format: str | None = None, name: str | None = None
    ) -> None:
        """Raises ValueError for another mode. Calls raise ShapeError for what are no images."""
        super().__init__(data_format, name)
        if not is_one_of(mode, FLIP_MODES):
            known = ", ".join(map(repr, FLIP_MODES))
            raise self._problem(f"mode: one of {known} expected, not {shown(mode)}")
        self.mode = mode

    def _augmented(self, x: Node) -> Node:
        u, v = (build.reshape(each, _one_a_sample(x)) for each in self._even(x, 2))
        if self.mode != VERTICAL:
            x = ops.where(ops.less(u, 0.5), flip(x, 2), x)
        if self.mode != HORIZONTAL:
            x = ops.where(ops.less(v, 0.5), flip(x, 1), x)
        return x


class RandomCrop(_Augmentation):
    """A window of `height` rows and `width` columns at a random place of each image, with `padding`
    zeros around it; every place is as frequent. In inference the middle of the image, which is x
    itself where the extents are those of x.

    Any dtype. Names are those of keras.layers.RandomCrop, with the `padding` of torchvision's
    RandomCrop.

        images = gc.nn.RandomCrop(32, 32, padding=4)(images)
    """

    def __init__(
        self,
        height: int,
        width: int,
        padding: int = 0,
        data_format: str | None = None,
        name: str | None = None,
    ) -> None:
        """Raises ShapeError for a height or width below 1 and a padding below 0. Calls raise it for
        a window that is larger than the images."""
        super().__init__(data_format, name)
        self.height, self.width = self._count(height, "row"), self._count(width, "column")
        self.padding = self._count(padding, "zero", least=0)

    def _augmented(self, x: Node) -> Node:
        height, width = fixed_extents(self.kind, x, (1, 2))
        if self.height > height or self.width > width:
            window = f"a window of {self.height} rows and {self.width} columns"
            raise ShapeError(self._message(x, f"{window} is larger than the images"))
        wider = 2 * self.padding + 1
        u, v = self._even(x, 2)
        top = _integers(u, height - self.height + wider) - self.padding
        left = _integers(v, width - self.width + wider) - self.padding
        return moved_pixels(x, top, left, (self.height, self.width), CONSTANT)

    def _plain(self, x: Node) -> Node:
        height, width = fixed_extents(self.kind, x, (1, 2))
        top, left = (height - self.height) // 2, (width - self.width) // 2
        return x[:, top : top + self.height, left : left + self.width]


class RandomTranslation(_Augmentation):
    """Images shifted by whole pixels, down by a share of their height and right by one of their
    width: a number f for shares of -f to f, or the two ends of a range; every shift is as frequent.

    `fill_mode` says what comes in from beyond: "reflect" (pixels mirrored behind the border),
    "wrap" (from the other end), "nearest" (the last pixel), or "constant", `fill_value`. Any dtype;
    x itself in inference. Arguments and defaults are those of keras.layers.RandomTranslation, which
    shifts by fractions of pixels too.

        images = gc.nn.RandomTranslation(0.1, 0.1, "nearest")(images)
    """

    def __init__(
        self,
        height_factor: Factor,
        width_factor: Factor,
        fill_mode: str = REFLECT,
        fill_value: float = 0.0,
        data_format: str | None = None,
        name: str | None = None,
    ) -> None:
        """Raises ValueError and TypeError for factors outside -1 to 1 and for another mode. Calls
        raise ShapeError for what are no images."""
        super().__init__(data_format, name)
        self.height_factor = self._range("height_factor", height_factor, -1.0, 1.0)
        self.width_factor = self._range("width_factor", width_factor, -1.0, 1.0)
        if not is_one_of(fill_mode, FILL_MODES):
            known = ", ".join(map(repr, FILL_MODES))
            raise self._problem(f"fill_mode: one of {known} expected, not {shown(fill_mode)}")
        check_number(f"{self.kind}: fill_value", fill_value)
        self.fill_mode, self.fill_value = fill_mode, fill_value

    def _augmented(self, x: Node) -> Node:
        height, width = fixed_extents(self.kind, x, (1, 2))
        u, v = self._even(x, 2)
        top = _start(u, self.height_factor, height)
        left = _start(v, self.width_factor, width)
        return moved_pixels(x, top, left, (height, width), self.fill_mode, self.fill_value)


def _start(u: Node, factor: tuple[float, float], extent: int) -> Node:
    """Where an image begins that is shifted by whole pixels, all in the range as frequent."""
    first, last = (math.floor(end * extent + 0.5) for end in factor)
    return -(_integers(u, last - first + 1) + first)


def _integers(u: Node, count: int) -> Node:
    """0 to count - 1: u is at most 1 - 2^-24, whose product with a count rounds to less than it."""
    return build.cast(u * float(count), i32)


class RandomErasing(_Augmentation):
    """A rectangle of each image becomes `fill_value`, with the probability `factor`: cutout.

    It has the image's shape and a share of its area evenly from `scale`, or always one share where
    that is a number; its middle is anywhere in the image, and what lies beyond the border is cut
    off. Any dtype; x itself in inference. Names are those of keras.layers.RandomErasing. Source:
    DeVries and Taylor, Improved regularization with cutout, 2017.

        images = gc.nn.RandomErasing(0.5, scale=(0.02, 0.2))(images)
    """

    def __init__(
        self,
        factor: float = 1.0,
        scale: float | tuple[float, float] = (0.02, 0.33),
        fill_value: float = 0.0,
        data_format: str | None = None,
        name: str | None = None,
    ) -> None:
        """Raises ValueError and TypeError for a probability or shares outside 0 to 1. Calls raise
        ShapeError for what are no images."""
        super().__init__(data_format, name)
        _, self.factor = self._range("factor", factor, 0.0, 1.0)
        self.scale = self._range("scale", scale, 0.0, 1.0)
        check_number(f"{self.kind}: fill_value", fill_value)
        self.fill_value = fill_value

    def _augmented(self, x: Node) -> Node:
        happens, share, row, column = self._even(x, 4)
        low, high = self.scale
        side = ops.sqrt(low + (high - low) * share)
        erased = ops.logical_and(self._covers(x, 1, row, side), self._covers(x, 2, column, side))
        if self.factor < 1:
            chosen = build.reshape(ops.less(happens, self.factor), _one_a_sample(x))
            erased = ops.logical_and(erased, chosen)
        return ops.where(erased, full((), self.fill_value, like=x), x)

    def _covers(self, x: Node, axis: int, middle: Node, side: Node) -> Node:
        """Which pixels along `axis` have their centre in the rectangle, as [batch, .., extent, ..]
        of x's rank."""
        (extent,) = fixed_extents(self.kind, x, (axis,))
        shape = tuple(extent if a == axis else 1 for a in range(x.rank))
        place = build.cast(build.reshape(x.graph.iota((extent,), i32), shape), f32) + 0.5
        centre = build.reshape(middle * float(extent), _one_a_sample(x))
        half = build.reshape(side * (0.5 * extent), _one_a_sample(x))
        return ops.less(ops.absolute(place - centre), half)


class _RandomColor(_Augmentation):
    def __init__(
        self,
        factor: Factor,
        value_range: tuple[float, float] = (0, 255),
        data_format: str | None = None,
        name: str | None = None,
    ) -> None:
        """Raises ValueError and TypeError for factors that are too large, and for a range of values
        that is none. Calls raise DTypeError unless x is of floats."""
        super().__init__(data_format, name)
        self.factor = self._ends(factor)
        self.value_range = self._range("value_range", value_range, -math.inf, math.inf)

    def _ends(self, factor: Any) -> tuple[float, float]:
        return self._range("factor", factor, -1.0, 1.0)

    def _augmented(self, x: Node) -> Node:
        if not x.dtype.is_float:
            raise DTypeError(self._message(x, "f32 or f64 expected; cast first"))
        (u,) = self._even(x, 1)
        low, high = self.factor
        number = build.reshape(build.cast(low + (high - low) * u, x.dtype), _one_a_sample(x))
        return clip(self._changed(x, number), *self.value_range)

    def _changed(self, x: Node, number: Node) -> Node:
        """x by a random number of each sample."""
        raise NotImplementedError


class RandomBrightness(_RandomColor):
    """A number is added to all of an image: a random share of the width of `value_range`, within
    which the sum is kept. A factor f is for shares of -f to f; or the two ends of a range.

    Floats; x itself in inference. Arguments and defaults are those of
    keras.layers.RandomBrightness.

        images = gc.nn.RandomBrightness(0.2, value_range=(0, 1))(images)
    """

    def _changed(self, x: Node, number: Node) -> Node:
        low, high = self.value_range
        return x + (high - low) * number


class RandomContrast(_RandomColor):
    """Each channel's distance from its mean over the image is multiplied by a random number from
    1 - f to 1 + f, for a pair (f, g) of factors to 1 + g, and the sum kept within `value_range`.

    Floats; x itself in inference. Arguments and defaults are those of keras.layers.RandomContrast.

        images = gc.nn.RandomContrast(0.3, value_range=(0, 1))(images)
    """

    def _ends(self, factor: Any) -> tuple[float, float]:
        lower, upper = (
            self._range("factor", each, 0.0, math.inf)[1]
            for each in (factor if is_several(factor) else (factor, factor))
        )
        return 1 - lower, 1 + upper

    def _changed(self, x: Node, number: Node) -> Node:
        mean = build.mean(x, (1, 2), keepdims=True)
        return mean + (x - mean) * number


def _one_a_sample(x: Node) -> tuple[Extent, ...]:
    """The shape of a value for each sample that broadcasts with x."""
    return (x.shape[0], *(1,) * (x.rank - 1))


random_flip = short_form(RandomFlip, "random_flip")
random_crop = short_form(RandomCrop, "random_crop")
random_translation = short_form(RandomTranslation, "random_translation")
random_erasing = short_form(RandomErasing, "random_erasing")
random_brightness = short_form(RandomBrightness, "random_brightness")
random_contrast = short_form(RandomContrast, "random_contrast")
