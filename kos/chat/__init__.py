"""How a conversation becomes a prompt, and how the model's text becomes messages again."""
