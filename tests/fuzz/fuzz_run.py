"""Damages ONNX files and bundles and looks for what must not happen; `make fuzz` calls this.

    python tests/fuzz/fuzz_run.py                    100,000 cases of a new seed
    python tests/fuzz/fuzz_run.py --seed 7           always the same cases
    python tests/fuzz/fuzz_run.py --seed 7 --only 31 one of them
    python tests/fuzz/fuzz_run.py --replay FOLDER    a case that an earlier run kept

Each worker is a process: a crash or a hang costs that worker, is kept as a finding, and the run goes on. Findings
are made smaller and lie in `build/fuzz/`, one folder each, with the command that repeats it; the exit code is 1.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

# NumPy's library would start threads of its own, in every worker.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

ROOT: Final = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "runtime"), str(ROOT / "translator"), str(Path(__file__).resolve().parent)]

from fuzz_cases import Case, case_of, pool  # noqa: E402
from fuzz_checks import bound_memory  # noqa: E402
from fuzz_minimise import apart, minimise, outcome  # noqa: E402

if TYPE_CHECKING:
    from fuzz_sources import Sound

# A worker that does not come back within this was stopped by nothing of Python's: it is killed.
WALL_SECONDS: Final = 60.0
# How many cases a worker answers for at once; the bar moves as often.
BLOCK: Final = 50


@dataclass
class Result:
    """What a run found.

    Attributes:
        outcomes: (family, outcome) -> number of cases.
        findings: signature -> (number of the first case, message, files).
        repeats: signature -> number of cases.
    """

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    findings: dict[str, tuple[int, str]] = field(default_factory=dict)
    repeats: Counter[str] = field(default_factory=Counter)

    @property
    def cases(self) -> int:
        """Number of cases in all."""
        return sum(self.outcomes.values())

    def add(self, number: int, family: str, signature: str, message: str) -> None:
        """Count one case."""
        self.outcomes[family, "FINDING" if signature else message] += 1
        if signature:
            self.findings.setdefault(signature, (number, message))
            self.repeats[signature] += 1


def scratch() -> Path:
    """A folder in memory where there is one: a run writes some hundred thousand small files."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="webnn-fuzz-", dir=memory if os.access(memory, os.W_OK) else None))


def family_of(case: Case) -> str:
    """What kind of file it is."""
    return "model" if "model.onnx" in case.sound.files else "bundle"


def run_here(seed: int, numbers: Sequence[int], families: Sequence[Sequence[Sound]], folder: Path) -> Result:
    """Cases one after the other in this process."""
    result = Result()
    for number in numbers:
        case = case_of(seed, number, families)
        result.add(number, family_of(case), *outcome(folder, case.files(), case.thorough))
    return result


def _work(
    seed: int, first: int, step: int, cases: int, place: Any, families: Any, folder: Path, out: Connection
) -> None:
    bound_memory()
    quiet = os.open(os.devnull, os.O_WRONLY)
    # ONNX Runtime writes about every model it does not like.
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    done: list[tuple[int, str, str, str]] = []
    for number in range(first, cases, step):
        place[0], place[1] = number, time.monotonic_ns()
        case = case_of(seed, number, families)
        done.append((number, family_of(case), *outcome(folder, case.files(), case.thorough)))
        if len(done) >= BLOCK or done[-1][2]:
            out.send(done)
            done = []
    out.send(done)
    out.close()


@dataclass
class _Worker:
    process: Any
    reports: Connection
    place: Any
    folder: Path
    answered: int


class Run:
    """Workers and what they report."""

    def __init__(self, seed: int, cases: int, workers: int, families: Sequence[Sequence[Sound]]) -> None:
        self.seed = seed
        self.cases = cases
        self.step = workers
        self.families = families
        self.result = Result()
        self._fork = multiprocessing.get_context("fork")
        self._root = scratch()
        self._workers: dict[int, _Worker] = {}

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            worker.process.kill()
            worker.process.join()
        shutil.rmtree(self._root, ignore_errors=True)

    def start(self, lane: int, first: int) -> None:
        """A worker for the cases `first`, `first` + step, ..."""
        reading, writing = self._fork.Pipe(duplex=False)
        place = self._fork.RawArray("q", [first, time.monotonic_ns()])
        folder = self._root / str(lane)
        arguments = (self.seed, first, self.step, self.cases, place, self.families, folder, writing)
        process = self._fork.Process(target=_work, args=arguments, daemon=True)
        process.start()
        writing.close()
        self._workers[lane] = _Worker(process, reading, place, folder, first)

    def go(self, progress: Any) -> Result:
        """All cases; `progress(number)` is called as they are done."""
        for lane in range(self.step):
            self.start(lane, lane)
        while self._workers:
            wait([worker.reports for worker in self._workers.values()], timeout=1.0)
            for lane, worker in list(self._workers.items()):
                before = self.result.cases
                self._listen(lane, worker)
                progress(self.result.cases - before)
        return self.result

    def _listen(self, lane: int, worker: _Worker) -> None:
        try:
            while worker.reports.poll():
                for number, family, signature, message in worker.reports.recv():
                    self.result.add(number, family, signature, message)
                    worker.answered = number + self.step
        except EOFError:
            worker.process.join()
            del self._workers[lane]
            if worker.answered < self.cases:
                self._ended(lane, worker, f"crash {worker.process.exitcode}")
            return
        if time.monotonic_ns() - worker.place[1] > WALL_SECONDS * 1e9:
            worker.process.kill()
            worker.process.join()
            del self._workers[lane]
            self._ended(lane, worker, "hang")

    def _ended(self, lane: int, worker: _Worker, how: str) -> None:
        """A worker is gone. What it did not report before its last case is done again, by the next one."""
        guilty = int(worker.place[0])
        again = range(worker.answered, guilty, self.step)
        redone = run_here(self.seed, again, self.families, worker.folder)
        self.result.outcomes.update(redone.outcomes)
        for signature, found in redone.findings.items():
            self.result.findings.setdefault(signature, found)
        case = case_of(self.seed, guilty, self.families)
        signature, message = apart(worker.folder, case.files(), case.thorough)
        if not signature:
            message = f"{how}, but not when it was repeated by itself"
        self.result.add(guilty, family_of(case), signature or how, message)
        self.start(lane, guilty + self.step)


def keep(run: Result, seed: int, families: Sequence[Sequence[Sound]], out: Path) -> None:
    """Make each finding smaller and keep it, with the command that repeats it."""
    work = scratch()
    for place, (signature, (number, message)) in enumerate(run.findings.items()):
        case = case_of(seed, number, families)
        files = minimise(work / "case", case.files(), case.thorough, signature)
        folder = out / f"{seed}-{place}"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "files").mkdir(parents=True)
        for name, data in files.items():
            (folder / "files" / name).write_bytes(data)
        (folder / "thorough").write_text(str(case.thorough))
        command = f"python tests/fuzz/fuzz_run.py --replay {folder}"
        (folder / "finding.txt").write_text(f"{signature}\n{message}\ncase {number} of seed {seed}\n{command}\n")
        print(
            f"\n{signature} ({run.repeats[signature]} cases, first {number}, from {case.sound.name})\n  {message[:300]}"
        )
        print(f"  {command}")
    shutil.rmtree(work, ignore_errors=True)


def replay(folder: Path) -> int:
    """Try a kept case again."""
    files = {path.name: path.read_bytes() for path in sorted((folder / "files").iterdir())}
    work = scratch()
    signature, message = apart(work / "case", files, int((folder / "thorough").read_text()))
    shutil.rmtree(work, ignore_errors=True)
    print(f"{signature or 'no finding'}: {message}")
    return 1 if signature else 0


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, help="a number; by default another one in every run, and it is printed")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only", type=int, metavar="NUMBER", help="try only this case of the seed")
    parser.add_argument("--replay", type=Path, metavar="FOLDER", help="try a kept case again")
    parser.add_argument("--out", type=Path, default=Path("build/fuzz"), help="where findings are kept")
    asked = parser.parse_args()
    if asked.replay is not None:
        return replay(asked.replay)
    seed = asked.seed if asked.seed is not None else int.from_bytes(os.urandom(4), "little")
    families = pool()
    print(
        f"seed {seed}: {asked.cases} cases from {sum(map(len, families))} sound files, {asked.workers} workers",
        flush=True,
    )
    if asked.only is not None:
        with_one = scratch()
        case = case_of(seed, asked.only, families)
        found = Result()
        found.add(asked.only, family_of(case), *apart(with_one / "case", case.files(), case.thorough))
        shutil.rmtree(with_one, ignore_errors=True)
    else:
        found = _all(seed, asked.cases, asked.workers, families)
    for (family, what), count in sorted(found.outcomes.items(), key=lambda item: (item[0][0], -item[1])):
        print(f"{family:<8} {what:<24} {count}")
    keep(found, seed, families, asked.out)
    print(f"{found.cases} cases, {len(found.findings)} findings, seed {seed}")
    return 1 if found.findings else 0


def _all(seed: int, cases: int, workers: int, families: Sequence[Sequence[Sound]]) -> Result:
    from tqdm import tqdm

    # Its monitor is a thread, and threads and forks do not mix.
    tqdm.monitor_interval = 0
    with Run(seed, cases, workers, families) as run, tqdm(total=cases, unit=" cases", disable=None) as bar:

        def progress(count: int) -> None:
            bar.update(count)
            bar.set_postfix(findings=len(run.result.findings))

        return run.go(progress)


if __name__ == "__main__":
    sys.exit(main())
