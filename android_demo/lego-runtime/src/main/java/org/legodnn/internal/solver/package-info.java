/**
 * The exact solver behind {@link org.legodnn.Scheduler}: Pareto frontiers of models, joined by a multiple-choice
 * knapsack, and the report of why nothing fits.
 *
 * <p>It is the twin of the Python package's {@code runtime/planning/solver}: classes are named as the modules and
 * classes there, and algorithms, units and ties are the same, so both give the same plan. {@link InfeasibilityReport}
 * is {@code runtime/planning/infeasible.py}. docs/scheduler.md describes how it works. Applications do not use it
 * directly.
 */
package org.legodnn.internal.solver;
