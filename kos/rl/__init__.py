"""Reinforcement learning on rubrics: losses, rewards, advantages, and the training loops."""
