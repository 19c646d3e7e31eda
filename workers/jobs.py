"""Which function does which kind of job. A new kind of job is a line here."""

from __future__ import annotations

# "module:function", imported only in the job's own process: that is where torch lives.
WORK = {
    "base": "kos.data.fetch:import_base",
    "synthesise": "kos.data.synthesis:synthesise",
    "sft": "kos.rl.sft:sft",
    "train": "kos.rl.train:train",
    "merge": "kos.weights.merge:merge",
    "export": "kos.weights.export:export",
    "evaluate": "kos.evals.run:evaluate",
    "calibrate": "kos.evals.calibrate:calibrate",
    "deploy": "kos.serving.deploy:deploy",
    "remote": "kos.serving.remote:register",
}
