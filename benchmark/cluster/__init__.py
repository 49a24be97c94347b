"""Stages made on other machines, by Dask workers.

``dask_workers`` gives stages to a Dask cluster and ``on_worker`` makes them there; ``exchange``
says how their files travel; ``start`` finds or begins the cluster, ``slurm`` reads what Slurm is
asked for. Nothing else of the suite imports Dask.
"""
