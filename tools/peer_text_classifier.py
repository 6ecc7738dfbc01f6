#!/usr/bin/env python3
"""Trains text_classifier's model in PyTorch, as it was trained here: what does the same recipe reach there?

    pip install torch numpy safetensors
    text_classifier train && text_classifier export sentences.ids
    tools/peer_text_classifier.py out/text_classifier/best.safetensors sentences.ids --seeds 1 2 3

The checkpoint tells the recipe (sizes, dropout, optimiser, epochs, batch), the exported file the very tokens and the
very split. Weights begin as ours do, in other random numbers. The test sentences are looked at once for each seed, by
the weights that did best on the validation.
"""
import argparse
import copy
import json

import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import nn

PAD, UNKNOWN = 0, 3


class TextClassifier(nn.Module):
    def __init__(self, vocabulary, max_length, d_model, heads, dropout, embedding_std):
        super().__init__()
        self.dropout = dropout
        self.embedding = nn.Embedding(vocabulary, d_model, padding_idx=PAD)
        self.embedding.weight.data.mul_(embedding_std)
        self.positions = nn.Parameter(torch.randn(max_length, d_model) * 0.02)
        self.attention = nn.MultiheadAttention(d_model, heads, dropout=dropout, batch_first=True)
        self.norm = nn.LayerNorm(d_model)
        self.output = nn.Linear(d_model, 1)

    def forward(self, tokens):
        there = tokens != PAD
        x = F.dropout(self.embedding(tokens) + self.positions[:tokens.shape[1]], self.dropout, self.training)
        attended, _ = self.attention(x, x, x, key_padding_mask=~there, need_weights=False)
        x = self.norm(x + attended) * there.unsqueeze(-1)
        mean = x.sum(1) / there.sum(1, keepdim=True)
        return self.output(F.dropout(mean, self.dropout, self.training)).squeeze(1)


def read_sentences(path):
    parts = {"training": [], "validation": [], "test": []}
    with open(path, encoding="utf-8") as file:
        for line in file:
            part, label, ids = line.rstrip("\n").split("\t")
            parts[part].append((float(label), [int(i) for i in ids.split()]))
    return parts


def make_batch(rows):
    longest = max(len(ids) for _, ids in rows)
    return (torch.tensor([ids + [PAD] * (longest - len(ids)) for _, ids in rows]),
            torch.tensor([label for label, _ in rows]))


@torch.no_grad()
def accuracy(model, rows, batch):
    model.eval()
    right = 0
    for i in range(0, len(rows), batch):
        tokens, labels = make_batch(rows[i:i + batch])
        right += ((model(tokens) > 0) == (labels > 0.5)).sum().item()
    return 100 * right / len(rows)


def train(parts, o, seed):
    """The accuracies on the validation and the test."""
    torch.manual_seed(seed)
    model = TextClassifier(o["vocabulary"], int(o["max-length"]), int(o["size"]), int(o["heads"]), float(o["dropout"]),
                           float(o["embedding-std"]))
    word_dropout = float(o["word-dropout"])
    optimizer = torch.optim.AdamW(model.parameters(), lr=float(o["lr"]), weight_decay=float(o["weight-decay"]))
    rows, batch, epochs = parts["training"], int(o["batch"]), int(o["epochs"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * -(-len(rows) // batch))
    best, weights = -1, None
    for epoch in range(epochs):
        model.train()
        order = torch.randperm(len(rows)).tolist()
        for i in range(0, len(rows), batch):
            tokens, labels = make_batch([rows[j] for j in order[i:i + batch]])
            drop = (torch.rand(tokens.shape) < word_dropout) & (tokens != PAD)
            tokens = tokens.masked_fill(drop, UNKNOWN)
            loss = F.binary_cross_entropy_with_logits(model(tokens), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        reached = accuracy(model, parts["validation"], batch)
        if reached > best:
            best, weights = reached, copy.deepcopy(model.state_dict())
    model.load_state_dict(weights)
    return best, accuracy(model, parts["test"], batch)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("sentences")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with safe_open(arguments.checkpoint, "pt") as file:
        options = dict(file.metadata())
    options["vocabulary"] = len(json.loads(options["tokenizer"])["tokens"])
    parts = read_sentences(arguments.sentences)
    results = []
    for seed in arguments.seeds:
        results.append(train(parts, options, seed))
        print("seed %d: validation accuracy %.2f%%, test accuracy %.2f%%" % (seed, *results[-1]), flush=True)
    print("mean: validation accuracy %.2f%%, test accuracy %.2f%%" %
          tuple(sum(column) / len(results) for column in zip(*results)))


if __name__ == "__main__":
    main()
