"""Layers that prepare data: images made alike or varied at random, features normalized."""
