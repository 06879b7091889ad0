package org.legodnn;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertSame;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;

import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;
import org.legodnn.internal.json.Json;
import org.legodnn.internal.json.JsonObject;

/** Workload files mean what they mean to the Python package: the same is read, refused and planned. */
public class WorkloadTest {
    @Rule public final TemporaryFolder temporary = new TemporaryFolder();

    @Test
    public void theyAreTakenAndRefusedAlike() throws Exception {
        JsonObject bases = Vectors.object(Vectors.read("workloads"), "bases");
        Answers.check("workloads", 250, one -> {
            byte[] content = Vectors.edited(Vectors.string(bases, Vectors.string(one, "base")),
                    Vectors.list(one, "edits"));
            String text;
            try {
                text = Documents.utf8(content);
            } catch (IOException e) {
                throw new WorkloadException("not UTF-8", e);
            }
            WorkloadDocument document = WorkloadDocument.parse(text, "it");
            List<JsonObject> models = new ArrayList<>();
            for (WorkloadEntry m : document.models) {
                models.add(new JsonObject().put("name", m.name).put("store", m.store).put("profile", m.profile)
                        .put("weight", m.weight).put("rate_hz", m.rateHz).put("latency_ms", m.latencyMs)
                        .put("quantile", m.quantile).put("min_accuracy", m.minAccuracy).put("critical", m.critical)
                        .put("threads", m.threads));
            }
            JsonObject budget = new JsonObject().put("memory_bytes", document.budget.memoryBytes())
                    .put("latency_ms", limits(document.budget.latencyMs(), document.budget.latencyByModel()))
                    .put("quantile", limits(document.budget.quantile(), document.budget.quantileByModel()))
                    .put("cores", document.budget.cores());
            JsonObject wanted = Vectors.object(Vectors.object(one, "answer"), "budget");
            for (String key : Arrays.asList("latency_ms", "quantile")) { // no limits by model are no limits
                if (wanted != null && new JsonObject().equals(wanted.get(key))) {
                    budget.put(key, budget.get(key) == null ? new JsonObject() : budget.get(key));
                }
            }
            return new JsonObject().put("models", models).put("budget", budget).put("charge", new JsonObject()
                    .put("per_mb", document.charge.perMb).put("per_ms", document.charge.perMs));
        });
    }

    private static Object limits(Double forAll, Map<String, Double> byModel) {
        JsonObject numbers = new JsonObject();
        byModel.forEach(numbers::put);
        return byModel.isEmpty() ? forAll : numbers;
    }

    @Test
    public void theirPlansAreTheSame() throws Exception {
        JsonObject bases = Vectors.object(Vectors.read("bundles"), "bases");
        Answers.check("bundles", 15, one -> {
            File file = bundle(bases, Vectors.object(one, "workload"));
            List<Object> answers = new ArrayList<>();
            Workload workload = Workload.load(file);
            Scheduler scheduler = new Scheduler(WorkloadTables.of(workload.models()), workload.switchCharge());
            List<JsonObject> budgets = new ArrayList<>(Vectors.<JsonObject>list(one, "budgets"));
            budgets.add(0, (JsonObject) Json.parse(workload.budget().toJson()));
            Plan last = null;
            for (JsonObject budget : budgets) {
                try {
                    last = Vectors.planned(
                            scheduler, new JsonObject().put("budget", budget).put("running", "last"), last);
                    answers.add(new JsonObject().put("plan", VectorsTest.plan(last)));
                } catch (InfeasibleException e) {
                    answers.add(VectorsTest.report(e.report()));
                } catch (LegoException e) {
                    answers.add(Answers.error(e));
                }
            }
            return answers;
        });
    }

    /** A workload of the vectors as a file, with its stores and profiles beside it. */
    private File bundle(JsonObject bases, JsonObject workload) throws IOException {
        File folder = temporary.newFolder();
        for (JsonObject model : Vectors.<JsonObject>list(workload, "models")) {
            File store = new File(folder, Vectors.string(model, "store"));
            JsonObject base = Vectors.object(bases, store.getName());
            Vectors.writeStore(store, bytes(Vectors.string(base, "manifest")), Vectors.list(base, "files"), null);
            Vectors.write(new File(folder, Vectors.string(model, "profile")), bytes(Vectors.string(base, "profile")));
        }
        return write(folder, workload);
    }

    private static File write(File folder, JsonObject workload) throws IOException {
        File file = new File(folder, "workload.json");
        Vectors.write(file, bytes(workload.toString()));
        return file;
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    @Test
    public void oneThatMayBeStreamedIsRefusedByName() {
        String text = Vectors.string(Vectors.read("workloads"), "streamed");
        WorkloadException refused = assertThrows(WorkloadException.class, () -> WorkloadDocument.parse(text, "it"));
        assertTrue(refused.getMessage(), refused.getMessage().startsWith("it: models.0: streaming: "));
        assertTrue(refused.getMessage(), refused.getMessage().contains("`streaming = true` from 'a'; "));
        WorkloadDocument.parse(text.replace("\"streaming\": true", "\"streaming\": false"), "it");
    }

    private static JsonObject model(String name) {
        return new JsonObject().put("name", name).put("store", "stores/" + name);
    }

    private static JsonObject workload(JsonObject... models) {
        return new JsonObject().put("schema", "legodnn.workload/1").put("models", Arrays.asList(models));
    }

    /** Two stores with profiles beside them, one of a model that is called otherwise. */
    private File running() throws IOException {
        File folder = temporary.newFolder();
        for (String name : Arrays.asList("a", "b")) {
            File store = new File(folder, "stores/" + name);
            TestStores.profile(TestStores.chain(store, name), new AffineExecutor())
                    .save(new File(folder, "stores/" + name + ".profile.json"));
        }
        return folder;
    }

    @Test
    public void aRuntimeHasItsModelsBudgetAndCharge() throws Exception {
        File folder = running();
        File file = write(folder, workload(model("a").put("weight", 3),
                model("b").put("name", "other").put("critical", false).put("rate_hz", 10))
                .put("budget", new JsonObject().put("memory_bytes", 12_000))
                .put("switch_charge", new JsonObject().put("per_mb", 0.5)));
        Workload workload = Workload.load(file);
        assertEquals(0.5, workload.switchCharge().perMb(), 0);
        try (LegoRuntime runtime = LegoRuntime.builder().executor(new AffineExecutor()).budget(Budget.none())
                .workload(workload).build()) {
            assertEquals(Budget.none().withMemoryBytes(12_000), runtime.budget());
            assertEquals(Collections.singletonList("other"), runtime.plan().suspended());
            assertEquals(3, runtime.scheduler().tables().get(0).weight(), 0);
            assertEquals((Double) 10.0, runtime.scheduler().tables().get(1).rateHz());
            float[] x = {1, 2, 3, 4, 5, 6};
            assertArrayEquals(TestStores.expected(x, 0, 0), runtime.infer("a", x), 0);
            assertThrows(SuspendedException.class, () -> runtime.infer("other", x));
        }
    }

    @Test
    public void whatTheFileDoesNotSayIsAsInPython() throws Exception {
        Workload workload = Workload.load(write(running(), workload(model("a"))));
        ModelTable table = workload.get("a").table();
        assertEquals(1, table.weight(), 0);
        assertTrue(table.critical());
        assertEquals(Budget.none(), workload.budget());
        assertEquals(0, workload.switchCharge().perMs(), 0);
        assertFalse(workload.get("a").anyDevice());
    }

    @Test
    public void aProfileOfThisDeviceTakesThePlaceOfTheOneThatCameWithIt() throws Exception {
        Workload workload = Workload.load(write(running(), workload(
                model("a").put("weight", 2).put("latency_ms", 9).put("quantile", 0.5).put("rate_hz", 3)
                        .put("min_accuracy", 0.1).put("critical", false).put("threads", 1), model("b"))));
        LegoModel came = workload.get("a").onAnyDevice();
        JsonObject document = (JsonObject) Json.parse(came.profile().toJson());
        for (JsonObject option : Vectors.<JsonObject>list(document, "options")) {
            option.put("memory_bytes", 77);
        }
        LegoModel own = came.withProfile(Profile.parse(document.toString()));
        assertEquals(77, own.table().blocks().get(0).options().get(0).memoryBytes());
        assertFalse(own.anyDevice());
        ModelTable asked = own.table();
        assertEquals(Arrays.asList("a", 2.0, 9.0, 0.5, 3.0, 0.1, false, 1),
                Arrays.asList(asked.name(), asked.weight(), asked.latencyMs(), asked.quantile(), asked.rateHz(),
                        asked.minAccuracy(), asked.critical(), asked.threads()));
        Workload changed = workload.withModel(own);
        assertSame(own, changed.get("a"));
        assertSame(workload.get("b"), changed.get("b"));
        assertEquals(2, changed.models().size());
        assertThrows(WorkloadException.class, () -> workload.get("c"));
        assertThrows(WorkloadException.class, () -> workload.withModel(own.withTable(asked.withName("c"))));
        assertThrows(ProfileException.class, () -> came.withProfile(workload.get("b").profile()));
    }

    @Test
    public void whatIsMissingIsNamed() throws Exception {
        File folder = running();
        assertThrows(WorkloadException.class, () -> Workload.load(new File(folder, "none.json")));
        File none = write(folder, workload(model("c")));
        assertThrows(StoreException.class, () -> Workload.load(none));
        File noProfile = write(folder, workload(model("a").put("profile", "profiles/a.json")));
        ProfileException missing = assertThrows(ProfileException.class, () -> Workload.load(noProfile));
        assertTrue(missing.getMessage(), missing.getMessage().contains("profiles/a.json"));
        File threads = write(folder, workload(model("a").put("threads", 4)));
        WorkloadException unmeasured = assertThrows(WorkloadException.class, () -> Workload.load(threads));
        assertTrue(unmeasured.getMessage(), unmeasured.getMessage().contains("a: not measured with 4 threads"));
        File absolute = write(temporary.newFolder(),
                workload(model("a").put("store", new File(folder, "stores/a").getPath())));
        assertEquals("a", Workload.load(absolute).get("a").store().name());
    }
}
