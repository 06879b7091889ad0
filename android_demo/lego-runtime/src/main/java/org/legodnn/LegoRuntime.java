package org.legodnn;

import java.io.Closeable;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;

/** The object an application talks to: several models under one budget. */
public final class LegoRuntime implements Closeable {
    /**
     * Plan for a budget, and load.
     *
     * @param executor what loads options
     * @param models the models
     * @param charge what leaving a running plan costs
     * @param budget the first budget
     */
    public LegoRuntime(Executor executor, List<LegoModel> models, SwitchCharge charge, Budget budget) {
        throw new UnsupportedOperationException("not yet");
    }

    /** A runtime by TensorFlow Lite, without limits; profiles in the order of stores. */
    public static LegoRuntime open(List<Store> stores, List<Profile> profiles) {
        throw new UnsupportedOperationException("not yet");
    }

    /** The scheduler; may be asked for other plans than the running one. */
    public Scheduler scheduler() {
        throw new UnsupportedOperationException("not yet");
    }

    /** The budget of the running plan. */
    public Budget budget() {
        throw new UnsupportedOperationException("not yet");
    }

    /** The running plan. */
    public Plan plan() {
        throw new UnsupportedOperationException("not yet");
    }

    /** What the last change of plan did. */
    public Switch lastSwitch() {
        throw new UnsupportedOperationException("not yet");
    }

    /** Re-plan and switch; if that fails nothing changes. */
    public Switch setBudget(Budget budget) {
        throw new UnsupportedOperationException("not yet");
    }

    /** Re-plan for a budget and slow-downs (by model, how many times slower than profiled), and switch. */
    public Switch replan(Budget budget, Map<String, Double> slowdown) {
        throw new UnsupportedOperationException("not yet");
    }

    /** Switch to a plan made elsewhere; if that fails nothing changes. */
    public Switch setPlan(Plan plan) {
        throw new UnsupportedOperationException("not yet");
    }

    /** Run one inference of a model with one input and one output; arrays are flat, without a batch dimension. */
    public float[] infer(String model, float[] input) {
        throw new UnsupportedOperationException("not yet");
    }

    /** Run one inference, buffers by tensor name. */
    public Map<String, ByteBuffer> infer(String model, Map<String, ByteBuffer> inputs) {
        return run(model, inputs).outputs;
    }

    /** Like {@link #infer}; the answer says also what ran and how long. */
    public Inference run(String model, Map<String, ByteBuffer> inputs) {
        throw new UnsupportedOperationException("not yet");
    }

    /** Let go of all pieces; inferences that run are waited for. */
    @Override
    public void close() {
    }
}
