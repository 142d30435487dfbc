"""Names of the statistics of attention heads. Needs no torch.

They are computed where the attention is, in :mod:`pipeline.flows.heads`.
"""

HEAD_STATISTICS = {
    "entropy": "entropy of a patch's attention ÷ log of the number of keys",
    "distance": "mean distance of what a patch attends to in the image, in diagonals of it",
    "prefix": "share of a patch's attention on prefix tokens (class token, registers)",
    "sinks": "share of a patch's attention on patches of outstanding norm",
    "self": "share of a patch's attention on itself",
    "token_entropy": "entropy of the attention of the token that is read ÷ log of the keys",
    "token_prefix": "share of the read token's attention on prefix tokens, itself among them",
    "token_sinks": "share of the read token's attention on patches of outstanding norm",
    "token_self": "share of the read token's attention on itself",
}
"""Statistic → its meaning, in the order in which they are stored. All are in [0, 1]."""
