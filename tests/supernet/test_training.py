from contextlib import suppress
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest
import torch

from supernet import AVConvTasNet, SearchSpace, load, recipe, training
from supernet.checkpoint import identity_hash, read_notes, read_tensors, weights_hash, write_tensors
from supernet.data.mixing.batches import Batch
from supernet.errors import UserError
from supernet.recipe import NetworkObjective, Sandwich, SupernetObjective
from supernet.resuming import Checkpoint
from supernet.settings import SupernetSettings, TrainingSettings, training_identity, without_deleted
from supernet.training import CHECKPOINT, WEIGHTS, Diverged, train

WIDTH = 1 / 32
SETTINGS = TrainingSettings(
    steps=6, batch_size=2, clip_seconds=0.08, batches_per_epoch=2, checkpoint_every=2, rate_warmup=2
)


class Noise:
    """Mixtures of tones in noise, a pure function of the step. `stop_at` breaks off there, as a kill would."""

    def __init__(self, stop_at: int | None = None, name: str = "noise") -> None:
        self.stop_at, self.identity, self.loaders, self.lip_region = stop_at, {"name": name}, 0, "detect"

    def batch(self, step: int) -> Batch:
        if step == self.stop_at:
            raise KeyboardInterrupt
        generator = torch.Generator().manual_seed(step)
        time = torch.arange(1280) / 16_000
        clean = 0.3 * torch.sin(6.28 * (200 + 400 * torch.rand(2, 1, generator=generator)) * time)
        return Batch(
            mixture=clean + 0.2 * torch.randn(2, 1280, generator=generator),
            clean=clean,
            lips=torch.randint(0, 256, (2, 2, 88, 88), dtype=torch.uint8, generator=generator),
            lips_present=torch.tensor([True, step % 2 == 0]),
        )


def fresh(subnet=SearchSpace.largest) -> AVConvTasNet:
    torch.manual_seed(0)
    return AVConvTasNet(subnet, WIDTH)


def same(a: AVConvTasNet, b: AVConvTasNet) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


SANDWICH = Sandwich(SearchSpace(WIDTH), warmup=2, random=1)
OBJECTIVES = [SupernetObjective(SANDWICH), NetworkObjective()]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=["supernet", "network"])
@pytest.mark.parametrize("killed_at", [1, 3, 5])
def test_a_killed_run_ends_with_the_weights_of_an_undisturbed_one(tmp_path, objective, killed_at):
    undisturbed, killed = fresh(), fresh()
    train(undisturbed, Noise(), objective, SETTINGS, tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        train(killed, Noise(stop_at=killed_at), objective, SETTINGS, tmp_path / "b")
    resumed = fresh()
    train(resumed, Noise(), objective, SETTINGS, tmp_path / "b")
    assert same(resumed, undisturbed)
    assert same(load(tmp_path / "b" / WEIGHTS), undisturbed)


def test_a_finished_run_is_loaded_and_not_trained_again(tmp_path):
    first, again = fresh(), fresh()
    train(first, Noise(), OBJECTIVES[1], SETTINGS, tmp_path)
    train(again, Noise(stop_at=0), OBJECTIVES[1], SETTINGS, tmp_path)
    assert same(first, again)


def test_weights_of_an_earlier_run_do_not_outlive_its_checkpoint(tmp_path):
    train(fresh(), Noise(), OBJECTIVES[1], SETTINGS, tmp_path)
    (tmp_path / CHECKPOINT).unlink()
    network = fresh()
    train(network, Noise(), OBJECTIVES[1], replace(SETTINGS, learning_rate=1e-4), tmp_path)
    assert same(load(tmp_path / WEIGHTS), network)


@pytest.mark.parametrize(
    "changed",
    [{"settings": replace(SETTINGS, learning_rate=1e-4)}, {"mixtures": Noise(name="other")}],
    ids=["settings", "mixtures"],
)
def test_a_folder_of_another_run_is_refused(tmp_path, changed):
    arguments = {"mixtures": Noise(), "objective": OBJECTIVES[1], "settings": SETTINGS, "folder": tmp_path}
    train(fresh(), **arguments)
    with pytest.raises(UserError, match=CHECKPOINT):
        train(fresh(), **(arguments | changed))


FORMERLY = {  # the sampler of commit ee8efb0, and the fields of its settings that have left
    "supernet": (
        "Sandwich(space=SearchSpace(width=0.03125), warmup=2, random=1, exits=True, seed=0)",
        {"zero_init": False, "distillation_of": "waveform"},
    ),
    "network": (
        "Single(subnet=Subnet(encoder=256, bottleneck=256, blocks=8, repeats=4, expansion=2.5, visual=256))",
        {},
    ),
}


def of_ee8efb0(objective):
    sampler, left = FORMERLY["supernet" if isinstance(objective, SupernetObjective) else "network"]
    return {
        "settings": former_settings() | left,
        "sampler": sampler,
        "network": [
            "E256-B256-X8-R4-H2.5-V256",
            WIDTH,
            False,
            "global",
            {"fusion": "add", "dilation": "exponential", "mask_heads": "one"},
        ],
    }


def of_83fcd35(objective):
    return {"settings": former_settings(), "objective": repr(objective), "network": fresh().architecture}


def former_settings():
    settings = asdict(SETTINGS)
    del settings["kernels"]
    return settings


@pytest.mark.parametrize("objective", OBJECTIVES, ids=FORMERLY)
@pytest.mark.parametrize("former", [of_ee8efb0, of_83fcd35])
@pytest.mark.parametrize("killed_at", [3, None], ids=["killed", "finished"])
def test_a_run_of_a_former_version_is_gone_on_with(tmp_path, objective, former, killed_at):
    undisturbed, resumed = fresh(), fresh()
    identity = former(objective) | {"mixtures": Noise().identity, "initial": weights_hash(fresh())}
    train(undisturbed, Noise(), objective, replace(SETTINGS, kernels="torch"))
    with suppress(KeyboardInterrupt):
        train(fresh(), Noise(stop_at=killed_at), objective, replace(SETTINGS, kernels="torch"), tmp_path)
    for path in tmp_path.glob("*.safetensors"):
        tensors, header = read_tensors(path, "checkpoint" if path.name == CHECKPOINT else "network")
        (header if path.name == CHECKPOINT else header["notes"])["run"] = identity_hash(identity)
        write_tensors(path, tensors, header)
    train(resumed, Noise(stop_at=0), objective, SETTINGS, tmp_path)  # begins behind its first step, or not at all
    assert same(resumed, undisturbed)
    with pytest.raises(UserError, match=CHECKPOINT):
        train(fresh(), Noise(), objective, replace(SETTINGS, seed=1), tmp_path)


@pytest.mark.parametrize("change", [{"checkpoint_every": 1}, {"batches_per_epoch": 3}, {"precision": "32-true"}])
def test_what_does_not_change_the_weights_may_change_while_a_training_waits(tmp_path, change):
    undisturbed, resumed = fresh(), fresh()
    train(undisturbed, Noise(), OBJECTIVES[0], SETTINGS)
    with pytest.raises(KeyboardInterrupt):
        train(fresh(), Noise(stop_at=3), OBJECTIVES[0], SETTINGS, tmp_path)
    train(resumed, Noise(stop_at=0), OBJECTIVES[0], replace(SETTINGS, **change), tmp_path)
    assert same(resumed, undisturbed)


@pytest.mark.parametrize(
    "change", [{"steps": 8}, {"learning_rate": 1e-3}, {"rate_warmup": 1}, {"precision": "bf16-mixed"}]
)
def test_what_changes_the_weights_may_not(tmp_path, change):
    with pytest.raises(KeyboardInterrupt):
        train(fresh(), Noise(stop_at=3), OBJECTIVES[0], SETTINGS, tmp_path)
    with pytest.raises(UserError, match=CHECKPOINT):
        train(fresh(), Noise(), OBJECTIVES[0], replace(SETTINGS, **change), tmp_path)


@pytest.mark.parametrize("begun, other", [("compiled", "torch"), ("torch", "compiled")])
def test_a_training_goes_on_with_the_kernels_that_it_began_with(tmp_path, begun, other):
    undisturbed, resumed, chosen = fresh(), fresh(), replace(SETTINGS, kernels=begun)
    train(undisturbed, Noise(), OBJECTIVES[0], chosen)
    with pytest.raises(KeyboardInterrupt):
        train(fresh(), Noise(stop_at=3), OBJECTIVES[0], chosen, tmp_path)
    with pytest.raises(UserError, match=CHECKPOINT):
        train(fresh(), Noise(), OBJECTIVES[0], replace(SETTINGS, kernels=other), tmp_path)
    train(resumed, Noise(), OBJECTIVES[0], SETTINGS, tmp_path)
    assert same(resumed, undisturbed)
    assert read_notes(tmp_path / WEIGHTS)["training"]["kernels"] == begun


def test_without_a_compiler_auto_takes_the_kernels_of_pytorch(monkeypatch, tmp_path):
    monkeypatch.setattr(training, "missing", lambda: "no C compiler")
    assert [each.kernels for each in training.choices(SETTINGS, fresh())] == ["torch"]
    with pytest.raises(UserError, match=r"kernels: .*no C compiler.*auto or torch"):
        train(fresh(), Noise(), OBJECTIVES[0], replace(SETTINGS, kernels="compiled"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_only_what_the_compiled_kernels_compute_is_given_to_them():
    kernels = [
        [each.kernels for each in training.choices(settings, network)]
        for settings, network in (
            (SETTINGS, fresh()),
            (SETTINGS, AVConvTasNet(SearchSpace.smallest, WIDTH, norm="frame")),
            (SETTINGS, torch.nn.Linear(1, 1)),
            (replace(SETTINGS, precision="bf16-mixed"), fresh()),
            (replace(SETTINGS, kernels="torch"), fresh()),
        )
    ]
    assert kernels == [["compiled", "torch"], ["torch"], ["torch"], ["torch"], ["torch"]]


def test_precision_counts_as_what_it_stands_for(monkeypatch):
    assert {each.precision for each in training.choices(SETTINGS, fresh())} == {"32-true"}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    (on_a_gpu,) = training.choices(SETTINGS, fresh())
    assert on_a_gpu.precision == "bf16-mixed"
    on_a_cpu = replace(SETTINGS, precision="32-true", kernels="torch")
    here, there = (training_identity(asdict(settings)) for settings in (on_a_cpu, on_a_gpu))
    assert training_identity(former_settings()) == here != there


def test_training_lowers_the_loss():
    network = fresh(SearchSpace.smallest)
    seen = []
    tracker = SimpleNamespace(log=lambda figures: seen.append(figures["tones/si_snr"]))
    settings = replace(SETTINGS, steps=60, batches_per_epoch=10, rate_warmup=5, learning_rate=3e-3)
    train(network, Noise(), NetworkObjective(), settings, tracker=tracker, description="tones")
    assert len(seen) == 6
    assert seen[-1] > seen[0] + 1


def test_each_epoch_is_tracked_with_what_the_field_shows_and_what_a_look_found():
    tracked = []
    train(
        fresh(SearchSpace.smallest),
        Noise(),
        NetworkObjective(),
        SETTINGS,
        tracker=SimpleNamespace(log=tracked.append),
        description="tones",
        after_epoch=lambda epoch: {"validation/network": 0.5 * epoch} if epoch != 2 else None,
    )
    shown = {f"tones/{name}" for name in ("loss", "si_snr", "gradient_norm", "learning_rate", "clips_per_second")}
    look = {"tones/validation/network"}
    assert [figures.keys() - {"step"} for figures in tracked] == [shown | look, shown, shown | look]
    assert [figures["step"] for figures in tracked] == [2, 4, 6]
    assert [figures["tones/learning_rate"] for figures in tracked] == [SETTINGS.rate(step) for step in (1, 3, 5)]
    assert tracked[2]["tones/validation/network"] == 1.5
    assert all(figures["tones/gradient_norm"] > 0 < figures["tones/clips_per_second"] for figures in tracked)


def test_the_terminal_shows_them_too(capsys, monkeypatch):
    monkeypatch.setattr("supernet.training.SHOWN_EVERY", 0.0)
    settings = replace(SETTINGS, steps=6, batches_per_epoch=1)
    after = lambda epoch: {"validation/winner": 7.25}  # noqa: E731
    train(fresh(SearchSpace.smallest), Noise(), NetworkObjective(), settings, after_epoch=after)
    line = capsys.readouterr().err
    for shown in ("SI-SNR ", "loss ", "gradient ", "rate ", "clips/s"):
        assert shown in line


def test_what_a_look_found_stays_on_the_terminal():
    meter = training.Meter(SETTINGS)
    meter.add(["loss", "gradient_norm"], torch.tensor([1.5, 0.25]))
    assert meter.text(0, {"validation/winner": 7.25}).startswith("loss 1.5, gradient 0.25, rate 1.0e-03, ")
    assert meter.text(0, {"validation/winner": 7.25}).endswith(", winner 7.25")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_running_mean_never_forgets_a_gradient_that_was_not_finite(value):
    """So that a GPU need not be asked in each step."""
    meter = training.Meter(SETTINGS)
    for norm in (1.0, value, 1.0, 1.0):
        meter.add(["gradient_norm"], torch.tensor([norm]))
    with pytest.raises(Diverged, match="learning_rate"):
        meter.check()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("objective", OBJECTIVES, ids=["supernet", "network"])
def test_a_gpu_is_not_waited_for_in_any_step(objective, monkeypatch):
    network = fresh().to("cuda")
    monkeypatch.setattr(training, "in_worker", lambda: True)  # shows nothing
    settings = replace(SETTINGS, batches_per_epoch=100)
    train(network, Noise(), objective, settings)  # what is prepared once may take its time
    gradients = type(objective).gradients
    steps = []

    def watched(*arguments):
        torch.cuda.set_sync_debug_mode("error")
        steps.append(arguments[3])
        return gradients(*arguments)

    monkeypatch.setattr(type(objective), "gradients", watched)
    try:
        train(network, Noise(), objective, settings)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert steps == list(range(SETTINGS.steps))


def test_epochs_are_announced_in_order():
    epochs = []
    train(fresh(SearchSpace.smallest), Noise(), NetworkObjective(), SETTINGS, after_epoch=epochs.append)
    assert epochs == [1, 2, 3]


def test_nothing_is_written_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train(fresh(SearchSpace.smallest), Noise(), NetworkObjective(), SETTINGS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("begins", "differs"), [(0, True), (5, True), (6, False)])
def test_distillation_works_from_its_first_step_on(begins, differs):
    """Six steps, on networks whose subnets disagree: fresh ones all return the mixture, and have nothing to learn."""
    ends = []
    for weight in (0.0, 1.0):
        network = fresh()
        torch.nn.init.normal_(network.separator.mask.weight, generator=torch.Generator().manual_seed(0))
        settings = SupernetSettings(
            **asdict(SETTINGS), sampler="sandwich", distillation=weight, distillation_from=begins
        )
        train(network, Noise(), SupernetObjective.of(SearchSpace(WIDTH), settings), settings)
        ends.append(network)
    assert same(*ends) != differs


@pytest.mark.parametrize("killed_at", [2, 3])
def test_channels_are_sorted_once_whenever_the_run_is_killed(tmp_path, killed_at):
    settings = SupernetSettings(**asdict(SETTINGS), largest_alone=2, sort_channels=True)
    objective = SupernetObjective.of(SearchSpace(WIDTH), settings)
    undisturbed, resumed = fresh(), fresh()
    train(undisturbed, Noise(), objective, settings)
    with pytest.raises(KeyboardInterrupt):
        train(fresh(), Noise(stop_at=killed_at), objective, settings, tmp_path)
    train(resumed, Noise(), objective, settings, tmp_path)
    assert same(resumed, undisturbed)


def test_a_network_of_its_own_knows_no_recipe(monkeypatch):
    """Whatever the supernet's settings say, a network of its own is trained without them."""
    settings = SupernetSettings(**asdict(SETTINGS), largest_alone=2, sort_channels=True)
    monkeypatch.setattr(recipe, "sort_channels", lambda *_: pytest.fail("sorted"))
    plain, with_recipe = fresh(SearchSpace.smallest), fresh(SearchSpace.smallest)
    train(plain, Noise(), NetworkObjective(), SETTINGS)
    train(with_recipe, Noise(), NetworkObjective(), settings)
    assert same(plain, with_recipe)


@pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter")
def test_a_resumed_optimiser_is_where_its_network_is(tmp_path):
    """A checkpoint is read to the CPU, a network may be on a GPU (here `meta`). AdamW counts its steps on the CPU."""
    with pytest.raises(KeyboardInterrupt):
        train(fresh(), Noise(stop_at=3), OBJECTIVES[1], SETTINGS, tmp_path)
    network = fresh().to("meta")
    optimizer = torch.optim.AdamW(network.parameters())
    identity = read_tensors(tmp_path / CHECKPOINT, "checkpoint")[1]["run"]
    assert Checkpoint(tmp_path, [identity]).restore(network, optimizer) == 2
    states = list(optimizer.state.values())
    assert {state[key].device.type for state in states for key in ("exp_avg", "exp_avg_sq")} == {"meta"}
    assert {state["step"].device.type for state in states} == {"cpu"}


def test_divergence_is_named_and_leaves_finite_weights():
    network = fresh(SearchSpace.smallest)
    mixtures = Noise()
    mixtures.batch = lambda step, whole=mixtures.batch: _spoiled(whole(step), step == 3)
    with pytest.raises(Diverged, match="learning_rate"):
        train(network, mixtures, NetworkObjective(), SETTINGS)
    assert all(parameter.isfinite().all() for parameter in network.parameters())


def _spoiled(batch: Batch, spoil: bool) -> Batch:
    return replace(batch, mixture=batch.mixture * float("nan")) if spoil else batch


def test_the_rate_rises_then_falls_to_a_hundredth():
    settings = TrainingSettings(steps=100, rate_warmup=10, learning_rate=1.0)
    rates = [settings.rate(step) for step in range(100)]
    assert rates[9] == 1.0
    assert rates[:10] == sorted(rates[:10])
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[-1] < 0.02


@pytest.mark.parametrize(
    ("key", "value"),
    [("steps", 0), ("lip_dropout", 1.5), ("learning_rate", float("nan")), ("batch_size", 0)]
    + [("gradient_norm", -1.0), ("gradient_norm", float("nan")), ("rate_warmup", -1), ("seed", -1)],
)
def test_settings_out_of_range_are_named(key, value):
    with pytest.raises(UserError, match=key):
        TrainingSettings(**{key: value})


@pytest.mark.parametrize(
    ("key", "recipe"),
    [
        ("random_subnets", {"sampler": "uniform", "random_subnets": 0}),
        ("random_subnets", {"random_subnets": -1}),
        ("largest_alone", {"largest_alone": -5}),
        ("distillation", {"distillation": -1.0}),
        ("sort_channels", {"sort_channels": True}),
        ("distillation", {"sampler": "fair", "distillation": 1.0}),
    ],
)
def test_recipes_that_contradict_themselves_are_named(key, recipe):
    with pytest.raises(UserError, match=key):
        SupernetSettings(**recipe)


def test_fields_that_have_left_are_dropped_where_they_say_what_is_true_anyway():
    today = asdict(SupernetSettings())
    assert without_deleted(today | {"zero_init": False, "distillation_of": "waveform"}) == today
    assert without_deleted(today | {"zero_init": True}) != today
    assert without_deleted(today | {"distillation_of": "mask"}) != today
