"""From long thinking to short answers at the same quality (Kimi k1.5, sec. 2.4).

Four ways: average the weights of a long and a short model, fine-tune on the shortest correct
answers, prefer them over long ones (DPO), or a second phase of RL with a length reward.
"""
