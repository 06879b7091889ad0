package org.legodnn;

/** Is told of every inference of a runtime, on the thread that asked for it. */
public interface InferenceListener {
    /**
     * An inference has ended. This should take no time worth speaking of.
     *
     * @param plan what the model ran
     * @param latencyMs how long it ran, without waiting for another inference of the same model
     */
    void onInference(ModelPlan plan, double latencyMs);
}
