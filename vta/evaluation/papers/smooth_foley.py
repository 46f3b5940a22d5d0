"""Smooth-Foley: frames one by one against one for the clip; both adapters."""

from vta.evaluation import ablation

TRAININGS = {"text": ablation.Training(config="composed.py:text-yard")}
TABLES = ()
