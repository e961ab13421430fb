"""The systems that graphc is measured against, each in a process of its own.

`python -m benchmarks.peers SYSTEM --threads N` is such a process; `benchmarks.peer_process` starts
it and talks to it. Nothing here imports graphc: the peers have an environment of their own, which
`make peers` builds.
"""
