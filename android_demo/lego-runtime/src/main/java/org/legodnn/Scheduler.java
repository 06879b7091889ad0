package org.legodnn;

import java.util.List;
import java.util.Map;

/** Plans for a set of models, exactly. */
public final class Scheduler {
    /**
     * Build the frontiers.
     *
     * @throws WorkloadException no tables, or two of one name
     */
    public Scheduler(List<ModelTable> tables, SwitchCharge charge) {
    }

    /** The optimal plan under a budget. */
    public Plan plan(Budget budget) {
        return plan(budget, null, null);
    }

    /** The optimal plan, with the one that runs now, for ties and the switch charge. */
    public Plan plan(Budget budget, Plan running) {
        return plan(budget, running, null);
    }

    /**
     * The optimal plan.
     *
     * @param budget the limits of the moment; a model's own limits, in its table, hold as well
     * @param running the plan that runs now, for ties and the switch charge; may be null
     * @param slowdown by model, how many times slower it runs than it was profiled; 1 for models not named; may be null
     * @throws InfeasibleException no plan holds the limits; its report says which, and what would do
     * @throws WorkloadException the budget or slow-down names an unknown model, cores are limited but a model has no
     *     rate, or the running plan is of other stores
     */
    public Plan plan(Budget budget, Plan running, Map<String, Double> slowdown) {
        throw new UnsupportedOperationException("not yet");
    }
}
