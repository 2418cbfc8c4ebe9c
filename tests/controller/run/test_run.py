"""What a run holds is opened once, what it lacks is named, and a command is a short way from its stage."""

import json
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, wraps

import pytest
from reading import read

from controller.cli import main
from controller.ladder.ledger import Ledger
from controller.run.config import Settings
from controller.run.run import Run
from controller.studies import recipes, truth
from eval.table.quality_table import QualityTable
from eval.table.scoring import Prepared
from supernet import SearchSpace
from supernet import checkpoint as checkpoints
from supernet.checkpoint import weights_hash
from supernet.data.corpus import Corpus
from supernet.errors import UserError
from supernet.space import PAPER_WINNER, Subnet

OURS = ("supernet", "eval", "controller")
DEEPEST = 8  # modules of ours between the command line and a method of `Run`


@pytest.fixture
def opened(monkeypatch) -> dict[str, list]:
    """What is opened while a test runs, by kind, in order."""
    seen: dict[str, list] = {"corpus": [], "table": [], "network": [], "mixed": [], "ledger": []}

    def noted(kind: str, owner: object, name: str, what: Callable) -> None:
        original = getattr(owner, name)

        def note(*arguments, **named):
            seen[kind].append(what(*arguments))
            return original(*arguments, **named)

        monkeypatch.setattr(owner, name, note)

    noted("corpus", Corpus, "open", str)
    noted("table", QualityTable, "load", str)
    noted("network", checkpoints, "read_tensors", lambda path, _: path.name if path.parent.name != "supernet" else "S")
    noted("mixed", Prepared, "__init__", lambda _, fixed, *__: fixed.hash)
    noted("ledger", Ledger, "__init__", lambda _, path: str(path))
    return seen


def test_a_report_opens_corpus_table_and_networks_once_and_mixes_the_validation_list_once(run, config, opened):
    assert main(["report", "--config", str(config), "--run", str(run)]) == 0
    assert opened["corpus"] == [str(run / "corpus")]
    assert opened["table"] == [str(run / "quality.csv")]
    assert sorted(opened["network"]) == ["S", "winner.safetensors"]
    assert len(opened["mixed"]) == 1
    assert opened["ledger"] == [str(run / "search" / "ledger.sqlite")]


def test_a_whole_job_mixes_the_validation_list_once_and_opens_one_corpus(run, config, opened):
    assert main(["quickstart", "--config", str(config), "--run", str(run)]) == 0
    assert len(opened["corpus"]) == len(opened["mixed"]) == 1


def scores_are_words(document):
    document["si_snri"] = "high"


def winner_lacks_its_fidelity(document):
    del document["winner"]["fidelity"]


def trajectory_is_a_number(document):
    document["trajectory"] = 3


def time_is_a_word(document):
    document["search"] = "long"


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("retrained/*/validation.json", scores_are_words),
        ("search/search.json", winner_lacks_its_fidelity),
        ("search/search.json", trajectory_is_a_number),
        ("stage_seconds.json", time_is_a_word),
    ],
)
def test_a_file_whose_values_are_damaged_is_refused_in_one_line(file, damage, run, config, tmp_path, capsys):
    shutil.copytree(run, tmp_path / "damaged")
    path = min((tmp_path / "damaged").glob(file))
    document = json.loads(path.read_text())
    damage(document)
    del document["sha256"]
    path.write_text(json.dumps(document))
    assert main(["report", "--config", str(config), "--run", str(tmp_path / "damaged")]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ofa-avse:")]
    assert str(path) in line


LACKING = {
    "train": lambda run: run.supernet,
    "score": lambda run: run.table,
    "search": lambda run: run.searched(),
    "retrain": lambda run: run.winner,
    f"retrain --subnet {PAPER_WINNER}": lambda run: run.keep_winner(PAPER_WINNER),
}


@pytest.mark.parametrize("stage", LACKING)
def test_what_a_run_lacks_is_said_with_the_stage_that_makes_it(stage, tmp_path):
    with pytest.raises(UserError, match=f"^{tmp_path}/[^\n]*: [^\n]*`ofa-avse {stage}`[^\n]*$"):
        LACKING[stage](Run(Settings(run=str(tmp_path))))
    assert not list(tmp_path.iterdir())


def test_what_a_stage_makes_is_what_the_run_holds(run, config, tmp_path):
    folder = shutil.copytree(run, tmp_path / "run")
    with Run(read(config, folder)).working() as here:
        before, table, winner = here.supernet, here.table, here.winner
        trained = here.train()
        assert here.supernet is trained is not before
        assert weights_hash(trained) == weights_hash(before)
        scored = here.score()
        assert here.table is scored is not table
        assert scored.rows == table.rows
        other = next(path.name for path in here.paths.retrained.iterdir() if path.name != str(winner.subnet))
        here.keep_winner(Subnet.parse(other))
        assert str(here.winner.subnet) == other


def test_a_ledger_is_closed_when_the_work_is_done_and_opened_again_when_it_goes_on(tmp_path):
    run = Run(Settings(run=str(tmp_path), threads=1))
    for _ in range(2):
        with run.working():
            ledger = run.ledger
            assert ledger is run.ledger and ledger.rows() == []
        with pytest.raises(Exception, match="closed"):
            ledger.rows()


@pytest.fixture
def depths(monkeypatch) -> dict[str, set[str]]:
    """For each member of `Run` that is entered, the most modules of ours between it and `cli.main`."""
    deepest: dict[str, set[str]] = {}

    def watched(name: str, member: Callable) -> Callable:
        @wraps(member)
        def enter(*arguments, **named):
            frame, modules, inside = sys._getframe(), set(), False
            while frame and not inside:
                module = frame.f_globals["__name__"]
                modules |= {module} if module.split(".")[0] in OURS else set()
                inside = frame.f_code is main.__code__
                frame = frame.f_back
            if inside:
                deepest[name] = max(modules | {member.__module__}, deepest.get(name, set()), key=len)
            return member(*arguments, **named)

        return enter

    for name, member in list(vars(Run).items()):
        if isinstance(member, cached_property):
            monkeypatch.setattr(member, "func", watched(name, member.func))
        elif isinstance(member, property):
            monkeypatch.setattr(Run, name, property(watched(name, member.fget)))
        elif callable(member) and not name.startswith("__"):
            monkeypatch.setattr(Run, name, watched(name, member))
    return deepest


ENTERED = {  # a stage, or what it begins with, of every command that works in a run's folder
    "quickstart": "retrain",
    "data": "corpus",
    "data index": "working",
    "data prepare": "working",
    "data pack --output {tmp}/shards": "working",
    "train": "train",
    "score": "score",
    "search": "search",
    "extract --output {tmp}/small.safetensors": "searched",
    "retrain": "retrain",
    "retrain --subnet smallest": "retrain",
    "evaluate --perceptual false": "evaluate",
    "truth --only standalone": "mixtures",
    "recipes --only base": "corpus",
    "tables": "extrapolated",
    "report": "finetuned",
}


@pytest.mark.parametrize("command", ENTERED)
def test_a_command_is_at_most_eight_modules_from_what_it_asks_of_its_run(
    command, run, config, tmp_path, depths, monkeypatch
):
    monkeypatch.setattr(truth, "truth_subnets", lambda _: [SearchSpace.smallest])
    monkeypatch.setattr(recipes, "WorkerPool", lambda *_: ThreadPoolExecutor(1))
    monkeypatch.setattr(recipes, "train_one", lambda *_: None)
    monkeypatch.setattr(recipes, "comparison", lambda *_: "")
    arguments = command.format(tmp=tmp_path).split()
    code = main([*arguments, "--config", str(config), "--run", str(run)])
    assert code == (2 if command in ("data index", "data prepare") else 0)  # synthetic talkers are made, not found
    assert ENTERED[command] in depths
    assert {name: modules for name, modules in depths.items() if len(modules) > DEEPEST} == {}
