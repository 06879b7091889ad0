package org.legodnn;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

import org.legodnn.internal.json.Json;
import org.legodnn.internal.json.JsonObject;

/**
 * Times re-plans for benchmarks/java_scheduler.py: one JSON request a line, one JSON answer a line. A request has
 * budgets, each planned with the plan before it as the running one, and perhaps models, for a new scheduler.
 */
public final class ReplanBenchmark {
    private ReplanBenchmark() {}

    public static void main(String[] args) throws IOException {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        Scheduler scheduler = null;
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JsonObject request = (JsonObject) Json.parse(line);
            List<Budget> budgets = new ArrayList<>();
            for (Object budget : Vectors.list(request, "budgets")) {
                budgets.add(Budget.parse(budget.toString()));
            }
            JsonObject answer = new JsonObject();
            if (request.has("models")) {
                List<ModelTable> tables = new ArrayList<>();
                for (JsonObject table : Vectors.<JsonObject>list(request, "models")) {
                    tables.add(Vectors.table(table));
                }
                long start = System.nanoTime();
                scheduler = new Scheduler(tables, SwitchCharge.NONE);
                scheduler.plan(budgets.get(0));
                answer.put("cold_ms", (System.nanoTime() - start) / 1e6);
            } else {
                replan(scheduler, budgets, answer);
            }
            System.out.println(Json.write(answer).replace("\n", ""));
        }
    }

    private static void replan(Scheduler scheduler, List<Budget> budgets, JsonObject answer) {
        List<Double> times = new ArrayList<>();
        List<Object> chosen = new ArrayList<>();
        List<Object> gaps = new ArrayList<>();
        Plan running = null;
        for (Budget budget : budgets) {
            long start = System.nanoTime();
            try {
                running = scheduler.plan(budget, running);
            } catch (InfeasibleException e) {
                chosen.add(null);
                gaps.add(0.0);
                continue;
            }
            gaps.add(running.gap());
            times.add((System.nanoTime() - start) / 1e6);
            List<Object> options = new ArrayList<>();
            for (ModelPlan model : running.models()) {
                options.add(new ArrayList<>(model.options.values()));
            }
            chosen.add(options);
        }
        answer.put("ms", times).put("chosen", chosen).put("gaps", gaps);
    }
}
