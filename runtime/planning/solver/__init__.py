"""The exact solver behind the scheduler: Pareto frontiers of models, joined by a multiple-choice knapsack."""
