"""How much of an adapter survives an export format, on a sample of its weights.

W0 is the base, D the change, W1 = W0 + D, Q what a format stores, d_eff = Q(W1) - Q(W0).

- slope = <d_eff, D> / <D, D>: 1 keeps the change on average, 0 erases it. ``slope_out`` is the
  same at the weights' outputs, weighed by what calibration saw at their inputs;
- cos: how much of d_eff points along D;
- snr_db = 10 log10(|D|^2 / |d_eff - D|^2): below 0 the rounding noise outweighs the change;
- error = |Q(W1) - W1| / |W1|, of which ``base_error`` = |Q(W0) - W0| / |W0| is the format's own
  and ``delta_error`` = |d_eff - D| / |W1| what it does to the change.

None of them says how the model behaves: a rounding that is best in the change's own directions
was harmful in use. ``kos.weights.behaviour`` measures that, and the gate asks for both.
``gate``, ``advice`` and ``margins`` load no torch: pages read finished reports with them.
"""
