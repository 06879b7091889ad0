/**
 * The exact solver behind {@link org.legodnn.Scheduler}: frontiers of single models, a multiple-choice knapsack over
 * them, and what to say when nothing fits. The algorithms, their units and the way ties are broken are those of the
 * Python package ({@code runtime/}), so both give the same plan; docs/scheduler.md describes them. Not for
 * applications.
 */
package org.legodnn.solver;
