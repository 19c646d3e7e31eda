"""What an answer earns: the rubric's score, then one stage after another, each part kept."""
