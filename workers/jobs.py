"""Which function does which kind of job. A new kind of job is a line here."""

from __future__ import annotations

# "module:function", imported only in the job's own process: that is where torch lives.
WORK = {
    "base": "kos.data.fetch:import_base",
    "synthesise": "kos.data.synthesis:synthesise",
    "sft": "kos.rl.sft:sft",
    "measure": "kos.rl.difficulty:measure",
    "train": "kos.rl.train:train",
    "select": "kos.rl.long2short.select:select",
    "dpo": "kos.rl.dpo:dpo",
    "critic": "kos.rl.critic.refine:refine",
    "average": "kos.rl.long2short.average:average",
    "merge": "kos.weights.merge:merge",
    "export": "kos.weights.export:export",
    "survival": "kos.weights.survival.job:survive",
    "evaluate": "kos.evals.run:evaluate",
    "calibrate": "kos.evals.calibrate:calibrate",
    "deploy": "kos.serving.deploy:deploy",
    "remote": "kos.serving.remote:register",
}
