package org.legodnn.governing;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

import org.legodnn.ModelPlan;
import org.legodnn.Plan;
import org.legodnn.internal.Text;
import org.legodnn.internal.json.Json;
import org.legodnn.internal.json.JsonObject;

/** A decision as one line of JSON, of the same fields as the Python package's. */
final class DecisionLog {
    private DecisionLog() {}

    static String line(Decision decision, Readings readings, Outcome outcome, String message, Plan plan) {
        JsonObject line = new JsonObject().put("event", "decision").put("time", Text.now("ss.SSS"))
                .put("outcome", outcome.name().toLowerCase(Locale.ROOT));
        if (!message.isEmpty()) {
            line.put("message", message);
        }
        List<JsonObject> changes = new ArrayList<>();
        for (DecidedChange change : decision.changes()) {
            changes.add(change.toJson());
        }
        JsonObject options = new JsonObject();
        JsonObject accuracy = new JsonObject();
        JsonObject latency = new JsonObject();
        JsonObject slowest = new JsonObject();
        for (ModelPlan model : plan.models()) {
            options.put(model.name(), model.suspended() ? null : model.options());
            if (!model.suspended()) {
                accuracy.put(model.name(), model.accuracy());
                latency.put(model.name(), model.latencyMs());
                slowest.put(model.name(), model.quantileMs());
            }
        }
        String text = Json.write(line.put("budget", Json.parse(decision.budget().toJson()))
                .put("slowdown", decision.slowdown()).put("tail", decision.tail()).put("changes", changes)
                .put("readings", readings.toJson()).put("plan", options)
                .put("predicted", new JsonObject().put("objective", plan.objective())
                        .put("memory_bytes", plan.memoryBytes()).put("accuracy", accuracy).put("latency_ms", latency)
                        .put("quantile_ms", slowest)));
        return text.trim().replaceAll("\\n *", " "); // a line break within a value is written as \\n
    }
}
