package org.legodnn;

/** Is told of plans. */
public interface PlanListener {
    /**
     * A plan runs from now on; called on the thread that switched, returns at once, and asks for no other plan. What is
     * thrown here, whoever set the plan or budget gets when all listeners have been told; the plan runs all the same.
     */
    void onPlan(Plan plan);
}
