package org.legodnn.governing;

import org.legodnn.Plan;

/**
 * Is told of every decision that a {@link Governor} applies, on the thread that decided, once the next one may be
 * taken: it may set another budget.
 */
public interface DecisionListener {
    /**
     * A decision was applied, as far as that could be done.
     *
     * @param decision what was decided, with reasons
     * @param outcome what became of it
     * @param message what was wrong; empty if nothing was
     * @param plan what runs now
     */
    void onDecision(Decision decision, Outcome outcome, String message, Plan plan);
}
