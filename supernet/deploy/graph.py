"""A network as an ONNX graph of plain operators, channels first, which is the layout that runtimes like.

The weights stand in the graph as they are trained, under their own names; what follows from them alone, such as a gain
times the matrix behind it, runtimes compute once, when they open the file. PReLU has one slope, so it is LeakyRelu,
which onnxruntime joins with the convolution before it. A norm over the clip has its statistics from those of the
channels: one mean over everything, as runtimes take it, is off by 1e-3 after a minute. How, is the difference of two
forms, either of which both runtimes read:

- `onnxruntime`: (batch, channels, time). One LayerNormalization of each channel gives them, in a pass over memory less.
- `openvino`: (batch, channels, 1, time), which it keeps in one order of memory from end to end; a mean and an L2 norm.

The last norm of a block is folded into the matrix behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from supernet.deploy.runtime import Runtime
from supernet.lip_encoder import DEVIATION, MEAN
from supernet.model import AVConvTasNet
from supernet.space import (
    MOTION_FRAMES,
    PIXELS,
    SIDES,
    STEM_KERNEL,
    STEM_STRIDE,
    TEMPORAL_DILATIONS,
    TEMPORAL_TAPS,
    channels,
)
from supernet.timing import LATENTS_PER_FRAME, STRIDE

Weights = Mapping[str, np.ndarray]

OPSET, IR = 21, 10
EPSILON, ROW_EPSILON = 1e-5, 1e-9
TAPS = 3  # of the separator's depthwise convolutions
WHITE = 255
END = np.iinfo(np.int64).max


def graph(network: AVConvTasNet, weights: Weights, dtype: np.dtype, form: Runtime) -> onnx.ModelProto:
    """`mixture` (batch, samples) and `lips` uint8 (batch, frames, 88, 88) -> `estimate` (batch, samples).

    Args:
        network: whose shape it has.
        weights: fp32, by the names that they have in the network.
        dtype: of the weights in the graph; they are computed with in fp32.

    Without lips, `lips` has no frames.
    """
    made = _Network(network, weights, dtype, form)
    made.forward()
    inputs = [
        helper.make_tensor_value_info("mixture", TensorProto.FLOAT, ["batch", "samples"]),
        helper.make_tensor_value_info("lips", TensorProto.UINT8, ["batch", "frames", PIXELS, PIXELS]),
    ]
    output = helper.make_tensor_value_info("estimate", TensorProto.FLOAT, ["batch", "samples"])
    body = helper.make_graph(made.op.nodes, "ofa-avse", inputs, [output], list(made.op.initializers.values()))
    model = helper.make_model(
        body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR, producer_name="ofa-avse"
    )
    onnx.checker.check_model(model)
    return model


class Graph:
    """Operators and weights of one graph, or of a branch of it."""

    def __init__(self, weights: Weights, dtype: np.dtype, name: str = "") -> None:
        self.weights, self.dtype, self.name = weights, dtype, name
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}

    def add(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> list[str]:
        """An operator; the names of what it gives."""
        stem = f"{self.name}{kind}.{len(self.nodes)}"
        names = [stem, *(f"{stem}_{place}" for place in range(1, outputs))]
        self.nodes.append(helper.make_node(kind, list(inputs), names, stem, **attributes))
        return names

    def __call__(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """The same of an operator that gives one thing."""
        return self.add(kind, *inputs, **attributes)[0]

    def constant(self, *values: float) -> str:
        """A vector of whole numbers, or a number that is none."""
        array = np.array(values, np.int64) if isinstance(values[0], int) else np.array(values[0], np.float32)
        return self._keep(f"{self.name}{','.join(map(str, values))}", array)

    def number(self, value: int) -> str:
        """A whole number that is no vector."""
        return self._keep(f"{self.name}number {value}", np.array(value, np.int64))

    def branch(self, output: str) -> onnx.GraphProto:
        """This graph as a branch of another, of which it sees everything."""
        info = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
        return helper.make_graph(self.nodes, self.name, [], [info], list(self.initializers.values()))

    def weight(self, name: str, *shape: int) -> str:
        """A weight, in fp32, with some more dimensions of 1 where a shape is given."""
        array = self.weights[name]
        kept = self._keep(name, (array.reshape(shape) if shape else array).astype(self.dtype))
        if self.dtype == np.float32:
            return kept
        wide = f"{name}.fp32"
        if not any(wide in node.output for node in self.nodes):
            self.nodes.append(helper.make_node("Cast", [kept], [wide], wide, to=TensorProto.FLOAT))
        return wide

    def _keep(self, name: str, array: np.ndarray) -> str:
        self.initializers.setdefault(name, numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name


class _Network:
    """What `AVConvTasNet.forward` does, operator by operator."""

    def __init__(self, network: AVConvTasNet, weights: Weights, dtype: np.dtype, form: Runtime) -> None:
        self.op = Graph(weights, dtype)
        self.shape = channels(network.subnet, network.width)
        self.dilation = network.dilation
        self.causal, self.over_clip = network.causal, network.norm == "global"
        self.flat = (1,) if form == "openvino" else ()  # what there is between channels and time

    def forward(self) -> None:
        op, c = self.op, self.shape
        mixture = op("Unsqueeze", "mixture", op.constant(*self.missing))
        window = {"strides": [*self.flat, STRIDE], "pads": self.pads(STRIDE, 0)}
        latents = op("Conv", mixture, op.weight("encoder.weight", c.encoder, 1, *self.flat, -1), **window)
        latents = op("Relu", latents)
        x = self.normalised(latents, "separator.input_norm", c.encoder)
        x = self.with_lips(self.pointwise(x, "separator.bottleneck"))
        for repeat in range(c.repeats):
            for block in range(c.blocks):
                x = self.block(x, f"separator.repeats.{repeat}.{block}", self.dilation(block))
        mask = op("Sigmoid", self.pointwise(self.activated(x, "separator.mask_activation"), "separator.mask"))
        masked, weight = op("Mul", latents, mask), op.weight("decoder.weight", c.encoder, 1, *self.flat, -1)
        wave = op("ConvTranspose", masked, weight, **window)
        op.nodes.append(helper.make_node("Squeeze", [wave, op.constant(*self.missing)], ["estimate"], "estimate"))

    def block(self, x: str, name: str, dilation: int) -> str:
        hidden = self.activated(self.pointwise(x, f"{name}.expand"), f"{name}.expand_activation")
        hidden = self.normalised(hidden, f"{name}.expand_norm", self.shape.hidden)
        hidden = self.depthwise(hidden, f"{name}.depthwise", self.shape.hidden, TAPS, dilation)
        return self.reduced(x, self.activated(hidden, f"{name}.depthwise_activation"), name)

    def pointwise(self, x: str, name: str) -> str:
        """A 1x1 convolution."""
        outputs, inputs = self.op.weights[f"{name}.weight"].shape
        return self.op(
            "Conv", x, self.op.weight(f"{name}.weight", outputs, inputs, *self.flat, 1), self.op.weight(f"{name}.bias")
        )

    def depthwise(self, x: str, name: str, width: int, taps: int, dilation: int) -> str:
        reach = (taps - 1) * dilation
        pads = self.pads(reach, 0) if self.causal else self.pads(reach // 2, reach // 2)
        weight, bias = self.op.weight(f"{name}.weight", width, 1, *self.flat, taps), self.op.weight(f"{name}.bias")
        return self.op("Conv", x, weight, bias, group=width, dilations=[*self.flat, dilation], pads=pads)

    def pads(self, before: int, after: int) -> list[int]:
        """Of time, with what is silent around it."""
        none = [0] * len(self.flat)
        return [*none, before, *none, after]

    def activated(self, x: str, name: str) -> str:
        return self.op("LeakyRelu", x, alpha=float(self.op.weights[f"{name}.slope"][0]))

    def normalised(self, x: str, name: str, width: int) -> str:
        """A norm, its gain and shift."""
        op = self.op
        weight = op.weight(f"{name}.weight", width, *self.flat, 1)
        bias = op.weight(f"{name}.bias", width, *self.flat, 1)
        if not self.over_clip:
            return op("Add", op("Mul", self.centred(x), weight), bias)
        if self.flat:
            mean, inverse = self.statistics(x)
            gain = op("Mul", weight, inverse)
            return op("Add", op("Mul", x, gain), op("Sub", bias, op("Mul", gain, mean)))
        rows = self.rows(x)
        scale = op("Mul", rows.inverse, weight)
        shift = op("Add", bias, op("Mul", scale, op("Sub", rows.means, rows.mean)))
        return self.scaled(rows.x, op("Mul", scale, rows.deviations), shift, width)

    def reduced(self, x: str, hidden: str, name: str) -> str:
        """`x` and what the end of a block adds to it: a norm, whose gain and shift go into the matrix behind."""
        op, c = self.op, self.shape
        matrix = op("Mul", op.weight(f"{name}.reduce.weight"), op.weight(f"{name}.depthwise_norm.weight"))
        filters = op("Reshape", matrix, op.constant(c.bottleneck, c.hidden, *self.flat, 1))
        shift = op("MatMul", op.weight(f"{name}.reduce.weight"), op.weight(f"{name}.depthwise_norm.bias", c.hidden, 1))
        bias = op("Add", shift, op.weight(f"{name}.reduce.bias", c.bottleneck, 1))
        if not self.over_clip:
            return op("Add", x, op("Conv", self.centred(hidden), filters, op("Reshape", bias, op.constant(-1))))
        if self.flat:
            mean, inverse = self.statistics(hidden)
            column = op.constant(c.bottleneck, 1, 1)
            sums = op("Reshape", op("ReduceSum", matrix, op.constant(1)), column)
            middle = op("Sub", op("Reshape", bias, column), op("Mul", sums, op("Mul", mean, inverse)))
            return op("Add", x, op("Add", op("Mul", op("Conv", hidden, filters), inverse), middle))
        rows = self.rows(hidden)
        by_row = op("Transpose", op("Mul", rows.deviations, rows.inverse), perm=[0, 2, 1])
        middle = op("MatMul", matrix, op("Mul", op("Sub", rows.means, rows.mean), rows.inverse))
        return op("Add", op("Add", x, op("Add", middle, bias)), op("MatMul", op("Mul", matrix, by_row), rows.x))

    def centred(self, x: str) -> str:
        """Less its mean and over its deviation, frame by frame."""
        op = self.op
        less = op("Sub", x, op("ReduceMean", x, op.constant(1)))
        variance = op("ReduceMean", op("Mul", less, less), op.constant(1))
        return op("Div", less, op("Sqrt", op("Add", variance, op.constant(EPSILON))))

    def statistics(self, x: str) -> tuple[str, str]:
        """Mean and inverse deviation of each clip, (batch, 1, 1, 1)."""
        op = self.op
        mean = op("ReduceMean", op("ReduceMean", x, op.constant(3)), op.constant(1))
        norm = op("ReduceL2", x, op.constant(3))
        energy = op("ReduceMean", op("Mul", norm, norm), op.constant(1))
        time = op("Cast", op("Slice", op("Shape", x), op.constant(3), op.constant(4)), to=TensorProto.FLOAT)
        return mean, self.inverse(mean, op("Div", energy, time))

    def rows(self, x: str) -> _Rows:
        op = self.op
        rows, means, inverse = op.add("LayerNormalization", x, self.ones, outputs=3, axis=2, epsilon=ROW_EPSILON)
        deviations = op("Reciprocal", inverse)
        energies = op("Add", op("Mul", deviations, deviations), op("Mul", means, means))
        mean = op("ReduceMean", means, op.constant(1))
        return _Rows(rows, means, deviations, mean, self.inverse(mean, op("ReduceMean", energies, op.constant(1))))

    def inverse(self, mean: str, energy: str) -> str:
        """The inverse deviation of what has this mean, and this mean of its squares."""
        op = self.op
        variance = op("Sub", energy, op("Mul", mean, mean))
        return op("Reciprocal", op("Sqrt", op("Add", variance, op.constant(EPSILON))))

    def scaled(self, x: str, gain: str, shift: str, width: int) -> str:
        """gain x + shift of vectors (batch, channels, 1), by the one operator that does it in one pass over memory."""
        op = self.op
        time = op("Slice", op("Shape", x), op.constant(2), op.constant(3))
        flat = op("Reshape", x, op("Concat", op.constant(1, -1), time, axis=0))
        gain, shift = op("Reshape", gain, op.constant(-1)), op("Reshape", shift, op.constant(-1))
        none = op("Sub", shift, shift)
        y = op("BatchNormalization", flat, gain, shift, none, op("Exp", none), epsilon=0.0)
        return op("Reshape", y, op("Concat", op.constant(-1, width), time, axis=0))

    @property
    def missing(self) -> tuple[int, ...]:
        """The dimensions that a wave, (batch, samples), has not."""
        return (1, 2) if self.flat else (1,)

    @cached_property
    def ones(self) -> str:
        """(time,), the gain that a LayerNormalization must have."""
        op = self.op
        time = op("Div", op("Slice", op("Shape", "mixture"), op.constant(1), op.constant(2)), op.constant(STRIDE))
        return op("ConstantOfShape", time, value=helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0]))

    def with_lips(self, x: str) -> str:
        """What the lips say is added to (batch, bottleneck, time), where there are any."""
        op, c = self.op, self.shape
        frames = op("Slice", op("Shape", "lips"), op.constant(1), op.constant(2))
        shown = op("Squeeze", op("Greater", frames, op.constant(0)))
        self.op = Graph(op.weights, op.dtype, "Lips")
        seen = self.op.branch(self.lips())
        self.op = Graph(op.weights, op.dtype, "NoLips")
        zero = helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0])
        none = self.op.branch(self.op("ConstantOfShape", self.op.constant(1, c.bottleneck, 1, 1), value=zero))
        self.op = op
        visual = op("If", shown, then_branch=seen, else_branch=none)
        by_frame = op("Reshape", x, op.constant(0, c.bottleneck, -1, LATENTS_PER_FRAME))
        return op("Reshape", op("Add", by_frame, visual), op("Shape", x))

    def lips(self) -> str:
        """(batch, bottleneck, frames, 1), as `supernet.lip_encoder` makes it."""
        op, c = self.op, self.shape
        frames = op("Slice", op("Shape", "lips"), op.constant(1), op.constant(2))
        mean = helper.make_tensor("mean", TensorProto.FLOAT, [1], [MEAN * WHITE])
        means = op("ConstantOfShape", op("Concat", op.constant(1), frames, op.constant(1, 1), axis=0), value=mean)
        x = op("Cast", self.stacked("lips"), to=TensorProto.FLOAT)  # in bytes until here, which are sooner moved
        x = op("Sub", x, self.stacked(means))  # nothing where there is no picture
        x = op("Reshape", x, op.constant(-1, MOTION_FRAMES, PIXELS, PIXELS))
        stem = op("Mul", op.weight("lip_trunk.stem.weight"), op.constant(1 / (WHITE * DEVIATION)))
        edge = STEM_KERNEL // 2
        x = op("Conv", x, stem, op.weight("lip_trunk.stem.bias"), strides=[STEM_STRIDE] * 2, pads=[edge] * 4)
        x = self.picture_norm(op("Relu", x), 0)
        for stage in range(2):
            name = f"lip_trunk.stages.{stage}"
            apart = op.weights[f"{name}.0.weight"].shape[0]
            x = self.filtered(x, f"{name}.0", strides=[2, 2], pads=[1] * 4, group=apart)
            x = self.picture_norm(op("Relu", self.filtered(x, f"{name}.1")), stage + 1)
        features = op.weights["lip_trunk.pool.weight"].shape[0]
        x = self.filtered(x, "lip_trunk.pool", group=features)
        clips = op("Slice", op("Shape", "lips"), op.constant(0), op.constant(2))
        x = op("Transpose", op("Reshape", x, op("Concat", clips, op.constant(features), axis=0)), perm=[0, 2, 1])
        x = op("Unsqueeze", x, op.constant(2)) if self.flat else x
        x = self.pointwise(x, "lip_head.squeeze")
        for layer, dilation in enumerate(TEMPORAL_DILATIONS):
            y = self.depthwise(x, f"lip_head.temporal.{layer}", c.visual, TEMPORAL_TAPS, dilation)
            y = self.pointwise(y, f"lip_head.pointwise.{layer}")
            y = op("Mul", self.centred(y), op.weight(f"lip_head.norms.{layer}.weight", c.visual, *self.flat, 1))
            y = op("Add", y, op.weight(f"lip_head.norms.{layer}.bias", c.visual, *self.flat, 1))
            x = op("Add", x, self.activated(y, f"lip_head.activations.{layer}"))
        x = self.pointwise(x, "lip_head.project")
        return op("Transpose", x, perm=[0, 1, 3, 2]) if self.flat else op("Unsqueeze", x, op.constant(3))

    def stacked(self, x: str) -> str:
        """(batch, frames, h, w) -> (batch, frames, 3, h, w): each picture between those before and after it."""
        op = self.op
        before = MOTION_FRAMES - 1 if self.causal else MOTION_FRAMES // 2
        x = op("Pad", x, op.constant(0, before, 0, 0, 0, MOTION_FRAMES - 1 - before, 0, 0))
        ends = [op.constant(place - MOTION_FRAMES + 1) for place in range(MOTION_FRAMES - 1)] + [op.constant(END)]
        shifted = [op("Slice", x, op.constant(place), end, op.constant(1)) for place, end in enumerate(ends)]
        return op("Concat", *(op("Unsqueeze", part, op.constant(2)) for part in shifted), axis=2)

    def filtered(self, x: str, name: str, **attributes: Any) -> str:
        return self.op("Conv", x, self.op.weight(f"{name}.weight"), self.op.weight(f"{name}.bias"), **attributes)

    def picture_norm(self, x: str, stage: int) -> str:
        """Over all of a picture; its gain and shift are laid out in the picture's shape when the file is opened."""
        op, name = self.op, f"lip_trunk.norms.{stage}"
        width = len(op.weights[f"{name}.weight"])
        shape = op.constant(width, SIDES[stage], SIDES[stage])
        affine = [op("Expand", op.weight(f"{name}.{kind}", width, 1, 1), shape) for kind in ("weight", "bias")]
        return op("LayerNormalization", x, *affine, axis=1, epsilon=EPSILON)


class _Rows(NamedTuple):
    """Channels, each less its mean and over its deviation; these, (batch, channels, 1); and of the clip its mean and
    inverse deviation, (batch, 1, 1)."""

    x: str
    means: str
    deviations: str
    mean: str
    inverse: str
