package org.legodnn;

/** Is told of plans. */
public interface PlanListener {
    /** A plan runs from now on; called on the thread that switched, returns at once, and asks for no other plan. */
    void onPlan(Plan plan);
}
