"""What piles up, how much of it may stay, and what goes: off until ``KOS_RETENTION`` says so.

Each room says what it piles up (``stock.add``); ``tidying`` decides by age and by budget, oldest
first. What is in use, pinned, cited by a review, or still needed to resume never goes.
"""
