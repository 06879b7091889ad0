package org.legodnn;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import java.io.File;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;
import org.legodnn.internal.json.Json;
import org.legodnn.internal.json.JsonObject;

/** The same answers as the Python package's, to every question in tests/vectors. */
public class VectorsTest {
    @Rule public final TemporaryFolder temporary = new TemporaryFolder();

    static Object plan(Plan plan) {
        List<JsonObject> models = new ArrayList<>();
        for (ModelPlan m : plan.models()) {
            JsonObject model = new JsonObject().put("name", m.name);
            if (m.suspended) {
                models.add(model.put("suspended", true));
                continue;
            }
            JsonObject options = new JsonObject();
            m.options.forEach(options::put);
            models.add(model.put("threads", m.threads).put("options", options).put("accuracy", m.accuracy)
                    .put("latency_ms", m.latencyMs).put("quantile", m.quantile).put("quantile_ms", m.quantileMs)
                    .put("memory_bytes", m.memoryBytes).put("cores", m.cores));
        }
        return new JsonObject().put("models", models).put("objective", plan.objective())
                .put("switch_charge", plan.switchCharge());
    }

    static JsonObject report(Infeasible report) {
        List<JsonObject> limits = new ArrayList<>();
        for (Limit limit : report.limits()) {
            limits.add(limit.toJson());
        }
        return new JsonObject().put("error", "InfeasibleError").put("limits", limits)
                .put("nearest", report.nearest() == null ? null : plan(report.nearest()))
                .put("excess", report.excess()).put("suspended", report.suspended());
    }

    @Test
    public void plansAreTheSame() throws Exception {
        JsonObject workloads = Vectors.object(Vectors.read("plans"), "workloads");
        Answers.check("plans", 250, one -> {
            Scheduler scheduler = Vectors.scheduler((JsonObject) workloads.get((String) one.get("workload")));
            List<Object> answers = new ArrayList<>();
            Plan last = null;
            for (JsonObject step : Vectors.<JsonObject>list(one, "steps")) {
                try {
                    last = Vectors.planned(scheduler, step, last);
                    answers.add(new JsonObject().put("plan", plan(last)));
                } catch (InfeasibleException e) {
                    answers.add(report(e.report()));
                } catch (LegoException e) {
                    answers.add(Answers.error(e));
                }
            }
            return answers;
        });
    }

    @Test
    public void plansReadBackAreTheSame() throws Exception {
        JsonObject workloads = Vectors.object(Vectors.read("plans"), "workloads");
        for (String name : workloads.keys()) {
            if (!name.equals("one name twice")) {
                try {
                    Plan plan = Vectors.scheduler((JsonObject) workloads.get(name)).plan(Budget.none());
                    assertEquals(plan.toJson(), Plan.parse(plan.toJson()).toJson());
                    String printed = "{\"plan\": " + plan.toJson() + ", \"slack\": {}}"; // by the command
                    assertEquals(plan.toJson(), Plan.parse(printed).toJson());
                } catch (InfeasibleException e) {
                    assertTrue(e.report().toJson().contains("legodnn.infeasible/1"));
                } catch (ProfileException e) { // a limit of its own, and no tail
                    assertTrue(e.getMessage().contains("cannot be promised"));
                }
            }
        }
    }

    @Test
    public void tablesAreTakenAndRefusedAlike() throws Exception {
        Answers.check("tables", 90, one -> {
            ModelTable table = Vectors.table(Vectors.object(one, "table"));
            new Scheduler(Collections.singletonList(table), SwitchCharge.NONE);
            return new JsonObject().put("thread_counts", table.threadCounts);
        });
    }

    @Test
    public void budgetsAreTakenAndRefusedAlike() throws Exception {
        Answers.check("budgets", 45, one -> {
            if (one.has("charge")) {
                SwitchCharge charge = Vectors.charge(Vectors.object(one, "charge"));
                return new JsonObject().put("per_mb", charge.perMb).put("per_ms", charge.perMs);
            }
            Budget budget = Budget.parse(one.get("budget").toString());
            assertEquals(budget, Budget.parse(budget.toJson()));
            JsonObject given = Vectors.object(one, "budget");
            return new JsonObject().put("memory_bytes", budget.memoryBytes())
                    .put("latency_ms", read(given.get("latency_ms"), budget.latencyMs(), budget.latencyByModel()))
                    .put("quantile", read(given.get("quantile"), budget.quantile(), budget.quantileByModel()))
                    .put("cores", budget.cores());
        });
    }

    /** What was read of one number for all models, or of numbers by model. */
    private static Object read(Object given, Double forAll, Map<String, Double> byModel) {
        JsonObject numbers = new JsonObject();
        byModel.forEach(numbers::put);
        return given instanceof JsonObject ? numbers : forAll;
    }

    @Test
    public void picturesBecomeTheSameInputs() throws Exception {
        Answers.check("pictures", 50, one -> {
            int[] shape = Vectors.ints(one, "shape");
            int[] size = Vectors.ints(one, "size");
            double[] range = Vectors.doubles(Vectors.list(one, "range"));
            String fit = one.has("fit") ? Vectors.string(one, "fit") : "stretch";
            InputSpec spec = new InputSpec("x", shape, fit, 114, range[0], range[1],
                    Vectors.doubles(Vectors.list(one, "mean")), Vectors.doubles(Vectors.list(one, "std")));
            int[] pixels = Vectors.pixels(one, size[0] * size[1]);
            int channels = one.has("source") ? (int) Vectors.number(one.get("source")) : 0;
            float[] input = channels == 0 ? spec.fromPicture(pixels, size[0], size[1])
                    : spec.fromArgb(Vectors.argb(pixels, channels), size[0], size[1]);
            List<Object> found = new ArrayList<>();
            for (float value : input) {
                found.add((double) value);
            }
            return found;
        });
    }

    @Test
    public void storesAreTakenAndRefusedAlike() throws Exception {
        JsonObject bases = Vectors.object(Vectors.read("stores"), "bases");
        Answers.check("stores", 600, one -> {
            JsonObject base = Vectors.object(bases, (String) one.get("base"));
            File folder = new File(temporary.getRoot(), "store");
            Vectors.remove(folder);
            byte[] manifest = Vectors.edited(Vectors.string(base, "manifest"), Vectors.list(one, "edits"));
            Vectors.writeStore(folder, manifest, Vectors.list(base, "files"), Vectors.object(one, "files"));
            return store(Store.open(folder));
        });
    }

    private static Object store(Store store) {
        StoreManifest m = store.manifest();
        return new JsonObject().put("id", store.id()).put("name", store.name()).put("labels", m.labels)
                .put("inputs", map(m.inputs, i -> Arrays.asList(i.name, numbers(i.shape()),
                        Arrays.asList(i.low(), i.high()), numbers(i.mean()), numbers(i.std()))))
                .put("tensors", map(m.specs.values(), t -> Arrays.asList(t.name, numbers(t.shape())), m.inputs.size()))
                .put("outputs", m.outputs)
                .put("segments", map(m.segments, s -> Arrays.asList(s.name, s.block ? "block" : "fixed", s.inputs,
                        s.outputs, map(s.options, o -> Arrays.asList(o.name, o.precision, o.loss, o.bytes)),
                        s.interaction)))
                .put("accuracy", Arrays.asList(
                        m.originalAccuracy, m.accuracyError, numbers(m.link.x()), numbers(m.link.y())));
    }

    private static <T> List<Object> map(Iterable<T> items, Function<T, Object> function) {
        return map(items, function, 0);
    }

    private static <T> List<Object> map(Iterable<T> items, Function<T, Object> function, int skipped) {
        List<Object> found = new ArrayList<>();
        for (T item : items) {
            found.add(function.apply(item));
        }
        return found.subList(skipped, found.size());
    }

    private static List<Object> numbers(double[] values) {
        List<Object> found = new ArrayList<>();
        for (double value : values) {
            found.add(value);
        }
        return found;
    }

    private static List<Object> numbers(int[] values) {
        List<Object> found = new ArrayList<>();
        for (int value : values) {
            found.add(value);
        }
        return found;
    }

    @Test
    public void profilesAreTakenAndRefusedAlike() throws Exception {
        JsonObject bases = Vectors.object(Vectors.read("profiles"), "bases");
        Answers.check("profiles", 180, one -> {
            File file = new File(temporary.getRoot(), "profile.json");
            String base = Vectors.string(bases, (String) one.get("base"));
            Vectors.write(file, Vectors.edited(base, Vectors.list(one, "edits")));
            Profile profile = Profile.load(file);
            JsonObject device = Vectors.object(one, "device");
            if (device != null) {
                profile.checkDevice(new Fingerprint(Vectors.string(device, "machine"), Vectors.string(device, "cpu"),
                        (int) Vectors.number(device.get("cores")), Vectors.string(device, "executor")));
            }
            assertEquals(profile.toJson(), Profile.parse(profile.toJson()).toJson());
            return new JsonObject().put("store_id", profile.storeId).put("model", profile.model)
                    .put("options", map(profile.options, o -> Arrays.asList(o.segment, o.option, o.memoryBytes,
                            o.loadMs, map(o.latency, e -> Arrays.asList(e.threads, e.medianMs)))));
        });
    }

    @Test
    public void plansOfStoresAndProfilesAreTheSame() throws Exception {
        JsonObject bases = Vectors.object(Vectors.read("measured"), "bases");
        Answers.check("measured", 50, one -> {
            JsonObject base = Vectors.object(bases, (String) one.get("base"));
            File folder = new File(temporary.getRoot(), "store");
            Vectors.remove(folder);
            Vectors.writeStore(folder, Vectors.string(base, "manifest").getBytes(StandardCharsets.UTF_8),
                    Vectors.list(base, "files"), null);
            Store store = Store.open(folder);
            JsonObject document = Vectors.object(one, "profile");
            if (document.get("store_id") == null) {
                document.put("store_id", store.id());
            }
            ModelTable table = ModelTable.fromStore(store, Profile.parse(document.toString()));
            table = asked(table, Vectors.object(one, "asked"));
            try {
                return new JsonObject().put("plan", plan(Vectors.planned(
                        new Scheduler(Collections.singletonList(table), SwitchCharge.NONE), one, null)));
            } catch (InfeasibleException e) {
                return report(e.report());
            }
        });
    }

    @Test
    public void modelsBesideOneAnotherArePlannedTheSame() throws Exception {
        JsonObject bases = Vectors.object(Vectors.read("beside"), "bases");
        Map<String, Store> stores = new LinkedHashMap<>();
        for (String name : bases.keys()) {
            JsonObject base = Vectors.object(bases, name);
            File folder = new File(temporary.getRoot(), name);
            Vectors.writeStore(folder, Vectors.string(base, "manifest").getBytes(StandardCharsets.UTF_8),
                    Vectors.list(base, "files"), null);
            stores.put(name, Store.open(folder));
        }
        Answers.check("beside", 25, one -> {
            List<LegoModel> models = new ArrayList<>();
            for (JsonObject asked : Vectors.<JsonObject>list(one, "models")) {
                Store store = stores.get(Vectors.string(asked, "store"));
                LegoModel model = LegoModel.of(store, beside(asked, bases, stores)).onAnyDevice();
                Object rate = asked.get("rate_hz");
                models.add(model.withTable((rate == null ? model.table : model.table.withRateHz(Vectors.number(rate)))
                        .withName(Vectors.string(asked, "store"))));
            }
            return map(WorkloadTables.of(models), table -> new JsonObject().put("slowdown", table.slowdown)
                    .put("tails", table.tails.stretches == null ? null
                            : Json.parse(Json.write(table.tails.stretches))));
        });
    }

    /** A profile whose tails and contention name stores by the names of their bases. */
    private static Profile beside(JsonObject asked, JsonObject bases, Map<String, Store> stores) {
        String text = Vectors.object(Vectors.object(bases, Vectors.string(asked, "store")), "profile").toString();
        JsonObject document = (JsonObject) Json.parse(text);
        List<Object> tails = new ArrayList<>();
        for (JsonObject tail : Vectors.<JsonObject>list(asked, "tail")) {
            JsonObject copy = (JsonObject) Json.parse(tail.toString());
            tails.add(tail.has("other") ? copy.put("other", stores.get(tail.get("other")).id()) : copy);
        }
        List<Object> contention = new ArrayList<>();
        JsonObject slow = Vectors.object(asked, "contention");
        for (String name : slow == null ? Collections.<String>emptySet() : slow.keys()) {
            contention.add(new JsonObject().put("store_id", stores.get(name).id()).put("model", name)
                    .put("slowdown", slow.get(name)));
        }
        return Profile.parse(document.put("store_id", stores.get(asked.get("store")).id()).put("tail", tails)
                .put("contention", contention).toString());
    }

    private static ModelTable asked(ModelTable made, JsonObject asked) {
        ModelTable table = made;
        for (String key : asked == null ? Collections.<String>emptySet() : asked.keys()) {
            Object value = asked.get(key);
            switch (key) {
                case "name":
                    table = table.withName((String) value);
                    break;
                case "threads":
                    table = table.withThreads((int) Vectors.number(value));
                    break;
                case "critical":
                    table = table.withCritical((Boolean) value);
                    break;
                case "rate_hz":
                    table = table.withRateHz(Vectors.number(value));
                    break;
                case "weight":
                    table = table.withWeight(Vectors.number(value));
                    break;
                case "latency_ms":
                    table = table.withLatencyMs(Vectors.number(value));
                    break;
                default:
                    assertEquals("min_accuracy", key);
                    table = table.withMinAccuracy(Vectors.number(value));
            }
        }
        return table;
    }
}
