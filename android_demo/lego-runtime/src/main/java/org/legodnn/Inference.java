package org.legodnn;

import java.nio.ByteBuffer;
import java.util.Map;

/** What one inference gave. */
public final class Inference {
    final Map<String, ByteBuffer> outputs;
    final ModelPlan plan;
    final double latencyMs;

    Inference(Map<String, ByteBuffer> outputs, ModelPlan plan, double latencyMs) {
        this.outputs = outputs;
        this.plan = plan;
        this.latencyMs = latencyMs;
    }

    /** Outputs by name: float32 in native byte order, without a batch dimension; the caller's own. */
    public Map<String, ByteBuffer> outputs() {
        return outputs;
    }

    /** What the model ran. */
    public ModelPlan plan() {
        return plan;
    }

    /** How long it ran, without waiting for another inference of the same model. */
    public double latencyMs() {
        return latencyMs;
    }
}
