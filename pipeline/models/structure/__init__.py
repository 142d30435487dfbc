"""A network's parts, read by running it: blocks, tokens, trunk, where a layer lies, its logits."""
