package org.legodnn.demo;

import java.util.Collections;
import java.util.List;

/** What is to be seen at one moment: the plan that runs, what was measured of it, and why a budget was refused. */
final class Screen {
    /** One model of the plan. */
    static final class Model {
        final String name;
        final boolean suspended;
        final List<BlocksView.Piece> chain;
        final double accuracy;
        final double accuracyError;
        final double latencyMs;
        final long memoryBytes;
        /** What the model takes as it was before it was cut and pruned. */
        final Original original;
        /** Null until it was measured. */
        final Measured measured;

        Model(String name, boolean suspended, List<BlocksView.Piece> chain, double accuracy, double accuracyError,
                double latencyMs, long memoryBytes, Original original, Measured measured) {
            this.name = name;
            this.suspended = suspended;
            this.chain = chain;
            this.accuracy = accuracy;
            this.accuracyError = accuracyError;
            this.latencyMs = latencyMs;
            this.memoryBytes = memoryBytes;
            this.original = original;
            this.measured = measured;
        }
    }

    /** The composition of the originals: accuracy as its store has it, latency and memory by the profile. */
    static final class Original {
        final double accuracy;
        final double latencyMs;
        final long memoryBytes;

        Original(double accuracy, double latencyMs, long memoryBytes) {
            this.accuracy = accuracy;
            this.latencyMs = latencyMs;
            this.memoryBytes = memoryBytes;
        }
    }

    /**
     * On all bundled digits: the share that was right, and the median latency. Of memory what the composition takes,
     * weighed as the profiler weighs options; so it is like what is predicted.
     */
    static final class Measured {
        final double accuracy;
        final double latencyMs;
        final long memoryBytes;

        Measured(double accuracy, double latencyMs, long memoryBytes) {
            this.accuracy = accuracy;
            this.latencyMs = latencyMs;
            this.memoryBytes = memoryBytes;
        }
    }

    /** Empty if no plan runs. */
    final List<Model> models;
    /** Predicted, of all models. */
    final long memoryBytes;
    /** The same as measured; null until all that run were. */
    final Long measuredBytes;
    /** How many segments the last switch loaded. */
    final int switched;
    final double planMs;
    final double switchMs;
    /** Why no plan holds the budget, in words; null if one does. */
    final String problem;
    /** What the device can spare at the moment; null if that is no limit, or not asked. */
    final Long spareBytes;

    Screen(List<Model> models, long memoryBytes, Long measuredBytes, int switched, double planMs, double switchMs,
            String problem, Long spareBytes) {
        this.models = Collections.unmodifiableList(models);
        this.memoryBytes = memoryBytes;
        this.measuredBytes = measuredBytes;
        this.switched = switched;
        this.planMs = planMs;
        this.switchMs = switchMs;
        this.problem = problem;
        this.spareBytes = spareBytes;
    }
}
