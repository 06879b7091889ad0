package org.legodnn.governing;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;

import org.junit.Test;
import org.legodnn.Answers;
import org.legodnn.Budget;
import org.legodnn.ModelPlan;
import org.legodnn.ModelTable;
import org.legodnn.Plan;
import org.legodnn.Vectors;
import org.legodnn.internal.json.JsonObject;

/** The same decisions as the Python package's policy, and the same of what it learns from inferences. */
public class PolicyVectorsTest {
    @Test
    public void decisionsAreTheSame() throws Exception {
        Answers.check("policies", 18, one -> {
            Policy policy = policy(Vectors.object(one, "policy"));
            Demand demand = demand(Vectors.object(one, "demand"));
            List<Object> answers = new ArrayList<>();
            PolicyState state = PolicyState.NONE;
            for (JsonObject row : Vectors.<JsonObject>list(one, "situations")) {
                Deciding.Next next = Deciding.decide(policy, demand, state, situation(row));
                state = next.state;
                answers.add(answer(next.decision));
            }
            return answers;
        });
    }

    private static Policy policy(JsonObject given) {
        Policy policy = Policy.DEFAULT;
        for (String key : given.keys()) {
            switch (key) {
                case "reserve":
                    policy = policy.withReserve(Vectors.number(given.get(key)));
                    break;
                case "pressure":
                    policy = policy.withPressure(Vectors.number(given.get(key)));
                    break;
                case "relief":
                    policy = policy.withRelief(Vectors.number(given.get(key)));
                    break;
                case "observations":
                    policy = policy.withObservations((int) Vectors.number(given.get(key)));
                    break;
                case "memory":
                    policy = policy.withMemory(hysteresis(Vectors.object(given, key)));
                    break;
                case "cores":
                    policy = policy.withCores(hysteresis(Vectors.object(given, key)));
                    break;
                case "speed":
                    policy = policy.withSpeed(hysteresis(Vectors.object(given, key)));
                    break;
                case "tail":
                    policy = policy.withTail(hysteresis(Vectors.object(given, key)));
                    break;
                default:
                    throw new AssertionError("a policy has no " + key);
            }
        }
        return policy;
    }

    private static Hysteresis hysteresis(JsonObject given) {
        return new Hysteresis(number(given, "slack", 0), number(given, "margin", 0.05), number(given, "growth", 0.15),
                number(given, "hold_s", 10), number(given, "most_hold_s", 300));
    }

    @Test
    public void levelsFollowTheSame() throws Exception {
        Answers.check("hysteresis", 30, one -> {
            Hysteresis how = hysteresis(Vectors.object(one, "how"));
            Hysteresis.Level level = Hysteresis.Level.UNLIMITED;
            List<Object> levels = new ArrayList<>();
            for (List<?> target : Vectors.<List<?>>list(one, "targets")) {
                level = how.follow(level, Vectors.number(target.get(1)), Vectors.number(target.get(0)));
                levels.add(level.value());
            }
            return new JsonObject().put("levels", levels);
        });
    }

    private static double number(JsonObject given, String key, double otherwise) {
        return given.has(key) ? Vectors.number(given.get(key)) : otherwise;
    }

    private static Demand demand(JsonObject given) {
        if (!given.has("budget")) {
            return null;
        }
        Object cores = given.get("most_cores");
        return new Demand(Budget.parse(given.get("budget").toString()), (long) Vectors.number(given.get("most_memory")),
                cores == null ? null : Vectors.number(cores), Vectors.factors(given, "expected"));
    }

    private static Situation situation(JsonObject row) {
        Readings readings = new Readings(Vectors.number(row.get("time")), (long) Vectors.number(row.get("total")),
                (long) Vectors.number(row.get("available"))).withCores(4, number(row, "allowed", 4));
        if (row.has("pressure")) {
            readings = readings.withMemoryPressure(Vectors.number(row.get("pressure")));
        }
        if (row.has("throttled")) {
            readings = readings.withThrottled(Vectors.string(row, "throttled"));
        }
        if (row.has("busy")) {
            List<Competitor> others = new ArrayList<>();
            for (List<?> pair : Vectors.<List<?>>list(row, "competing")) {
                others.add(new Competitor(Vectors.number(pair.get(0)), Vectors.number(pair.get(1))));
            }
            readings = readings.withUse(Vectors.number(row.get("busy")), Vectors.number(row.get("own")), others);
        }
        return new Situation(readings, (long) Vectors.number(row.get("held")), Vectors.factors(row, "ratios"),
                Vectors.factors(row, "excesses"), row.has("suspended") ? Vectors.<String>list(row, "suspended")
                        : Collections.<String>emptyList());
    }

    private static JsonObject answer(Decision decision) {
        List<Object> changes = new ArrayList<>();
        for (DecidedChange change : decision.changes()) {
            changes.add(Arrays.<Object>asList(change.what(), change.before(), change.after()));
        }
        return new JsonObject().put("memory_bytes", decision.budget().memoryBytes())
                .put("cores", decision.budget().cores()).put("slowdown", object(decision.slowdown()))
                .put("tail", object(decision.tail())).put("changes", changes);
    }

    private static JsonObject object(Map<String, Double> factors) {
        JsonObject object = new JsonObject();
        factors.forEach(object::put);
        return object;
    }

    @Test
    public void whatIsLearnedOfInferencesIsTheSame() throws Exception {
        Answers.check("observed", 9, one -> {
            ModelTable table = Vectors.table(Vectors.object(one, "table"));
            SlowdownTracker slowdowns = new SlowdownTracker(Collections.singletonList(table));
            TailTracker tails = new TailTracker(Collections.singletonList(table));
            List<Object> answers = new ArrayList<>();
            for (JsonObject step : Vectors.<JsonObject>list(one, "steps")) {
                ModelPlan plan = Plan.parse("{\"schema\": \"legodnn.plan/1\", \"budget\": {}, \"objective\": 0,"
                        + " \"models\": [" + step.get("plan") + "]}").models().get(0);
                if (step.has("judged")) {
                    slowdowns.judged();
                    tails.judged();
                }
                if (step.has("rests")) {
                    slowdowns.rest(plan.name());
                    tails.rest(plan.name());
                }
                for (Object latency : Vectors.list(step, "latencies")) {
                    Double ratio = slowdowns.add(plan, Vectors.number(latency));
                    if (ratio != null) {
                        tails.add(plan, ratio);
                    }
                }
                int least = (int) Vectors.number(one.get("least"));
                answers.add(new JsonObject().put("ratios", object(slowdowns.ratios(least)))
                        .put("excess", tails.excess(plan)).put("learned", Answers.tails(tails.tails(plan.name()))));
            }
            return answers;
        });
    }
}
