"""The papers' ablation tables on the yard, a file each."""
