package org.legodnn;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

import org.jspecify.annotations.Nullable;
import org.legodnn.internal.json.Bounds;
import org.legodnn.internal.json.Fields;
import org.legodnn.internal.json.Json;
import org.legodnn.internal.json.JsonException;
import org.legodnn.internal.json.JsonObject;

/** One option for every block of every model, and what that is predicted to give. */
public final class Plan {
    static final String VERSION = "legodnn.plan/1";

    private final List<ModelPlan> models;
    private final Budget budget;
    private final double objective;
    private final double switchCharge;
    private final double gap;

    Plan(List<ModelPlan> models, Budget budget, double objective, double switchCharge, double gap) {
        this.models = Collections.unmodifiableList(models);
        this.budget = budget;
        this.objective = objective;
        this.switchCharge = switchCharge;
        this.gap = gap;
    }

    /**
     * A plan from its JSON text, as {@code legodnn plan --json} or {@link #toJson} write it.
     *
     * @throws WorkloadException it is damaged or of another version
     */
    public static Plan parse(String text) {
        try {
            Fields document = new Fields(Documents.parse(within(text), VERSION), "");
            document.any("schema");
            List<ModelPlan> models = new ArrayList<>();
            Set<String> names = new HashSet<>();
            for (Fields model : document.objects("models", 1, Bounds.MODELS)) {
                models.add(ModelPlan.read(model));
                if (!names.add(models.get(models.size() - 1).name)) {
                    throw document.error("two models have the same name");
                }
            }
            Plan plan = new Plan(models, Budget.read(document.object("budget")),
                    document.number("objective", -Bounds.SUM, Bounds.SUM),
                    document.has("switch_charge") ? document.number("switch_charge", 0, Bounds.SUM) : 0,
                    document.has("gap") ? document.number("gap", 0, Bounds.SUM) : 0);
            document.end();
            return plan;
        } catch (JsonException e) {
            throw new WorkloadException(
                    "the plan: " + e.getMessage() + "; make it again with `legodnn plan --json`", e);
        }
    }

    /** The plan's text in that of the command, which has beside it what is left of its limits. */
    private static String within(String text) {
        Object document;
        try {
            document = Json.parse(text);
        } catch (JsonException e) {
            return text; // which is refused with its reason
        }
        boolean command = document instanceof JsonObject && ((JsonObject) document).has("plan");
        return command ? String.valueOf(((JsonObject) document).get("plan")) : text;
    }

    /** The models, in the scheduler's order. */
    public List<ModelPlan> models() {
        return models;
    }

    /**
     * A model's part.
     *
     * @throws WorkloadException the plan has no such model
     */
    public ModelPlan get(String name) {
        ModelPlan found = find(name);
        if (found == null) {
            throw new WorkloadException("this plan has no model '" + name + "'");
        }
        return found;
    }

    /** A model's part; null if the plan does not have it. */
    @Nullable ModelPlan find(String name) {
        for (ModelPlan model : models) {
            if (model.name.equals(name)) {
                return model;
            }
        }
        return null;
    }

    /** The budget that it was made for. */
    public Budget budget() {
        return budget;
    }

    /** Sum over running models of weight x accuracy. */
    public double objective() {
        return objective;
    }

    /** What was charged for leaving the running plan, in the objective's units. */
    public double switchCharge() {
        return switchCharge;
    }

    /**
     * No plan that holds the budget is worth more than this one by more than so much (objective less charge); 0 where
     * it is proven to be the best. More than 0 where time was up before that was proven.
     */
    public double gap() {
        return gap;
    }

    /** Predicted memory of all models together. */
    public long memoryBytes() {
        long sum = 0;
        for (ModelPlan model : models) {
            sum += model.memoryBytes;
        }
        return sum;
    }

    /** Predicted compute of all models together. */
    public double cores() {
        double sum = 0;
        for (ModelPlan model : models) {
            sum += model.cores;
        }
        return sum;
    }

    /** Names of the models that this plan suspends. */
    public List<String> suspended() {
        List<String> names = new ArrayList<>();
        for (ModelPlan model : models) {
            if (model.suspended) {
                names.add(model.name);
            }
        }
        return names;
    }

    /** The JSON text, as the Python package reads and writes it. */
    public String toJson() {
        return Json.write(toJsonObject());
    }

    JsonObject toJsonObject() {
        List<JsonObject> parts = new ArrayList<>();
        for (ModelPlan model : models) {
            parts.add(model.toJson());
        }
        return new JsonObject().put("schema", VERSION).put("models", parts).put("budget", budget.toJsonObject())
                .put("objective", objective).put("switch_charge", switchCharge).put("gap", gap);
    }

    /** One line for each model. */
    @Override
    public String toString() {
        StringBuilder text = new StringBuilder();
        for (ModelPlan model : models) {
            text.append(text.length() == 0 ? "" : "\n").append(model);
        }
        return text.toString();
    }
}
