package org.legodnn;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

import org.jspecify.annotations.Nullable;
import org.legodnn.internal.Text;
import org.legodnn.internal.json.Json;
import org.legodnn.internal.json.JsonObject;

/** Why there is no plan. */
public final class Infeasible {
    private final Budget budget;
    private final List<Limit> limits;
    private final @Nullable Plan nearest;
    private final @Nullable Double excess;
    private final List<String> suspended;

    Infeasible(Budget budget, List<Limit> limits, @Nullable Plan nearest, @Nullable Double excess,
            List<String> suspended) {
        this.budget = budget;
        this.limits = Collections.unmodifiableList(limits);
        this.nearest = nearest;
        this.excess = excess;
        this.suspended = Collections.unmodifiableList(suspended);
    }

    /** The budget that no plan holds. */
    public Budget budget() {
        return budget;
    }

    /** Every limit that was set, each with the least relaxation of it alone that would do. */
    public List<Limit> limits() {
        return limits;
    }

    /** Limits that cannot hold together; without any one of them, the rest of them can. */
    public List<Limit> clash() {
        List<Limit> clash = new ArrayList<>();
        for (Limit limit : limits) {
            if (limit.clashes) {
                clash.add(limit);
            }
        }
        return clash;
    }

    /**
     * The best plan when the limits that clash are relaxed by the same fraction, the least that lets a plan exist;
     * where others clash without them, those by a fraction of their own. It keeps all limits that do not clash, and is
     * never run unless the application asks for it. Null if there is none.
     */
    public @Nullable Plan nearest() {
        return nearest;
    }

    /** The greatest of these fractions, 0.1 for limits 10 % wider; null if there is no nearest plan. */
    public @Nullable Double excess() {
        return excess;
    }

    /** Best-effort models, all of which were suspended without avail. */
    public List<String> suspended() {
        return suspended;
    }

    /** The JSON text, as the Python package writes it. */
    public String toJson() {
        List<JsonObject> entries = new ArrayList<>();
        for (Limit limit : limits) {
            entries.add(limit.toJson());
        }
        return Json.write(new JsonObject().put("schema", "legodnn.infeasible/1").put("budget", budget.toJsonObject())
                .put("limits", entries).put("nearest", nearest == null ? null : nearest.toJsonObject())
                .put("excess", excess).put("suspended", suspended));
    }

    /** What does not fit, and what would do. */
    @Override
    public String toString() {
        StringBuilder held = new StringBuilder();
        StringBuilder remedies = new StringBuilder();
        for (Limit limit : limits) {
            if (limit.clashes) {
                held.append(held.length() == 0 ? "" : " and ").append(limit.title())
                        .append(limit.kind == Limit.Kind.ACCURACY ? " at least " : " at most ")
                        .append(limit.show(limit.limit));
            }
            if (limit.needed != null) {
                remedies.append(remedies.length() == 0 ? "" : "; ").append(limit.title()).append(' ')
                        .append(limit.remedy());
            }
        }
        String even = suspended.isEmpty() ? "" : " even with " + Text.list(suspended) + " suspended";
        return "no plan holds " + held + even + "\n" + (remedies.length() == 0
                ? "no single limit can be relaxed to make it fit"
                : "any one of these would do: " + remedies);
    }
}
