"""The search space: 324 subnets, their names, constraints and neighbours, and what `width` makes of their channels.

Source: Table 1 of "Efficient Audio-Visual Speech Enhancement via Neural Architecture Search".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import product

from supernet.errors import UserError

AXES: dict[str, tuple] = {
    "encoder": (128, 192, 256),
    "bottleneck": (128, 192, 256),
    "blocks": (4, 6, 8),
    "repeats": (2, 3, 4),
    "expansion": (1.5, 2.0, 2.5),
    "visual": (128, 256),
}
COMPUTE_BOUND = 24  # repeats x blocks of a network that a search may enter or return
NARROWEST_ENCODER = 5 / 8  # of full width: 80 channels, the inverse basis and its negative
WIDEST = 2.0

_NAME = re.compile(r"E(\d+)-B(\d+)-X(\d+)-R(\d+)-H(\d+(?:\.\d+)?)-V(\d+)")


@dataclass(frozen=True, order=True)
class Subnet:
    """One point of the space, named at full width: `E192-B192-X6-R3-H2.0-V128`.

    >>> Subnet.parse("E192-B192-X6-R3-H2.0-V128").depth
    18
    """

    encoder: int
    bottleneck: int
    blocks: int
    repeats: int
    expansion: float
    visual: int

    def __str__(self) -> str:
        return f"E{self.encoder}-B{self.bottleneck}-X{self.blocks}-R{self.repeats}-H{self.expansion:.1f}-V{self.visual}"

    @classmethod
    def parse(cls, text: str) -> Subnet:
        """Read a name. Raises UserError when it is no name, or names a point outside the 324."""
        match = _NAME.fullmatch(text.strip())
        if not match:
            raise UserError(f"subnet '{text}': expected a name such as {PAPER_WINNER}")
        e, b, x, r, h, v = match.groups()
        subnet = cls(int(e), int(b), int(x), int(r), float(h), int(v))
        for axis, options in AXES.items():
            if getattr(subnet, axis) not in options:
                allowed = ", ".join(map(str, options))
                raise UserError(f"subnet '{text}': {axis} must be one of {allowed}, not {getattr(subnet, axis):g}")
        if subnet.bottleneck > subnet.encoder:
            raise UserError(f"subnet '{text}': bottleneck {subnet.bottleneck} must not exceed encoder {subnet.encoder}")
        return subnet

    @property
    def depth(self) -> int:
        """Blocks in all: repeats x blocks, what the compute bound limits."""
        return self.repeats * self.blocks


PAPER_WINNER = Subnet(192, 192, 6, 3, 2.0, 128)


@dataclass(frozen=True)
class Channels:
    """What a subnet builds at a width: channel counts of each axis, and its depth."""

    encoder: int
    bottleneck: int
    hidden: int
    visual: int
    blocks: int
    repeats: int


def channels(subnet: Subnet, width: float = 1.0) -> Channels:
    """Channels of `subnet` at `width`; the encoder never narrows below 80 channels, twice its kernel."""
    if not 0 < width <= WIDEST:
        raise UserError(f"width {width:g}: must be above 0 and at most {WIDEST:g}")
    bottleneck = _whole(subnet.bottleneck * width, "bottleneck", width)
    return Channels(
        encoder=_whole(subnet.encoder * max(width, NARROWEST_ENCODER), "encoder", width),
        bottleneck=bottleneck,
        hidden=_whole(subnet.expansion * bottleneck, "hidden", width),
        visual=_whole(subnet.visual * width, "visual", width),
        blocks=subnet.blocks,
        repeats=subnet.repeats,
    )


def _whole(count: float, axis: str, width: float) -> int:
    if not (count >= 1 and float(count).is_integer()):
        raise UserError(f"width {width:g}: gives {count:g} {axis} channels; use 1, 0.5, 0.25, 0.125, 0.0625 or 0.03125")
    return int(count)


class SearchSpace:
    """The 324 valid subnets at one width. Iterable, sized, and a container of `Subnet`.

    >>> space = SearchSpace(width=0.125)
    >>> len(space), str(space.smallest)
    (324, 'E128-B128-X4-R2-H1.5-V128')
    >>> Subnet(128, 256, 4, 2, 1.5, 128) in space  # a bottleneck wider than its encoder
    False
    """

    def __init__(self, width: float = 1.0) -> None:
        channels(self.largest, width), channels(self.smallest, width)  # refuse a width that splits a channel
        self.width = width

    largest = Subnet(*(options[-1] for options in AXES.values()))
    smallest = Subnet(*(options[0] for options in AXES.values()))

    @cached_property
    def subnets(self) -> tuple[Subnet, ...]:
        """All subnets in a fixed order, smallest values first."""
        every = (Subnet(*values) for values in product(*AXES.values()))
        return tuple(s for s in every if s.bottleneck <= s.encoder)

    def __iter__(self) -> Iterator[Subnet]:
        return iter(self.subnets)

    def __len__(self) -> int:
        return len(self.subnets)

    def __repr__(self) -> str:
        return f"SearchSpace(width={self.width:g})"

    def __contains__(self, subnet: object) -> bool:
        return subnet in self._members

    @cached_property
    def _members(self) -> frozenset[Subnet]:
        return frozenset(self.subnets)

    def channels(self, subnet: Subnet) -> Channels:
        return channels(subnet, self.width)

    def step(self, subnet: Subnet, axis: str, direction: int) -> Subnet | None:
        """The subnet one option up (+1) or down (-1) along `axis`, or None when that leaves the space."""
        options = AXES[axis]
        index = options.index(getattr(subnet, axis)) + direction
        if not 0 <= index < len(options):
            return None
        moved = replace(subnet, **{axis: options[index]})
        return moved if moved in self else None

    def neighbours(self, subnet: Subnet) -> list[Subnet]:
        """All subnets one option away along one axis."""
        moves = (self.step(subnet, field.name, d) for field in fields(Subnet) for d in (-1, 1))
        return [move for move in moves if move is not None]

    @staticmethod
    def within_bound(subnet: Subnet) -> bool:
        """The search's compute bound, repeats x blocks <= 24 (36 of the 324 exceed it)."""
        return subnet.depth <= COMPUTE_BOUND


# Sizes of the lip encoder, here and not beside the network so that costs are known without torch.
REGION = 96  # pixels: side of the grey lip regions of a corpus, the convention of the field
PIXELS = 88  # side of what a network sees of them
MOTION_FRAMES = 3  # video frames that the first convolution sees
STEM_KERNEL, STEM_STRIDE = 5, 4  # 88 -> 22 pixels
SIDES = (22, 11, 6)  # pixels after the first convolution and after each stage, which halves them
TEMPORAL_TAPS = 5  # video frames that each temporal layer sees
TEMPORAL_DILATIONS = (1, 2)  # one temporal layer each
STAGES = (48, 96, 128)  # trunk channels at full width


def stage_channels(width: float) -> tuple[int, ...]:
    """Trunk channels at `width`, never under a sixth of the full-width ones: a mouth needs some to be seen at all."""
    return tuple(max(round(count * width), count // 6) for count in STAGES)
