"""The loop around the model: it asks, reads, calls tools, and knows where to stop.

============== ===========================================================================
loop           ``Harness`` and ``run_turn``: one question, answered to the end
options        what the loop may spend (``Limits``) and how it works (``Options``)
events         what it says on the way
question       the state of one question on its way, and ``ending`` of it
turns          one generation: rendered, streamed, parsed, recorded
calls          the calls of one turn: checked, made side by side, kept in order
observations   what a tool brought back, cut to size and made harmless
context        what happens when the prompt grows too long
citations      the sources of a question, and what the answer cites of them
faithfulness   whether a cited source says what the answer says
swarm          an orchestrator that hands work to sub-agents
metrics        steps, seconds and tokens of a question, seen from its records
record         a finished question as a trace
compare        the single agent against the swarm on the same questions
============== ===========================================================================
"""
