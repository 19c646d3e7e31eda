"""Which function does which kind of job. A new kind of job is a line here."""

from __future__ import annotations

# "module:function", imported only in the job's own process: that is where torch lives.
WORK = {
    "base": "kos.data.fetch:import_base",
    "sft": "kos.rl.sft:sft",
    "train": "kos.rl.train:train",
    "merge": "kos.weights.merge:merge",
    "export": "kos.weights.export:export",
    "evaluate": "kos.evals.run:evaluate",
    "deploy": "kos.serving.deploy:deploy",
}
