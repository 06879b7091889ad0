package org.legodnn;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

import org.legodnn.internal.json.Json;
import org.legodnn.internal.json.JsonObject;

/**
 * Profiles a store by TensorFlow Lite, plans for shares of its memory, and runs the plans, for
 * tests/runtime/planning/test_java.py.
 *
 * <pre>RunStore STORE PROFILE INPUT SHARE...</pre>
 *
 * PROFILE is written; INPUT is one float32 image, little-endian; the answers are one JSON object.
 */
public final class RunStore {
    private RunStore() {}

    public static void main(String[] args) throws IOException {
        Store store = Store.open(new File(args[0]));
        BlockExecutor executor = new TfLiteExecutor();
        ProfilerOptions options = ProfilerOptions.DEFAULTS.withThreads(1, 2).withRounds(5).withWeighings(1);
        Profiler.profile(store, executor, options, null).save(new File(args[1]));
        addFiles(store, new File(args[1]));
        Profile profile = Profile.load(new File(args[1]));
        ByteBuffer image = ByteBuffer.wrap(Files.readAllBytes(new File(args[2]).toPath()));
        image.order(ByteOrder.LITTLE_ENDIAN);
        List<Object> answers = new ArrayList<>();
        try (LegoRuntime runtime = new LegoRuntime(executor, Collections.singletonList(LegoModel.of(store, profile)),
                SwitchCharge.NONE, Budget.none())) {
            long all = runtime.plan().memoryBytes();
            for (int i = 3; i < args.length; i++) {
                Budget budget = Budget.none().withMemoryBytes((long) (all * Double.parseDouble(args[i])));
                JsonObject answer = new JsonObject().put("memory_bytes", budget.memoryBytes());
                answers.add(answer);
                try {
                    PlanSwitch done = runtime.setBudget(budget);
                    answer.put("plan", Json.parse(runtime.plan().toJson())).put("loaded", done.loaded)
                            .put("output", run(runtime, store, image));
                } catch (InfeasibleException e) {
                    answer.put("plan", null);
                }
            }
            for (Segment block : store.blocks()) { // every option once, whatever it is good for
                for (Option option : block.options) {
                    JsonObject plan = (JsonObject) Json.parse(runtime.plan().toJson());
                    JsonObject model = Vectors.<JsonObject>list(plan, "models").get(0);
                    Vectors.object(model, "options").put(block.name, option.name);
                    PlanSwitch done = runtime.setPlan(Plan.parse(plan.toString()));
                    answers.add(new JsonObject().put("plan", plan).put("loaded", done.loaded)
                            .put("output", run(runtime, store, image)));
                }
            }
        }
        JsonObject found = new JsonObject().put("executor", executor.name()).put("answers", answers);
        System.out.println(Json.write(found).replace("\n", ""));
    }

    /**
     * Adds the size of its file to what each option takes: some kilobytes are now and then weighed as nothing in a
     * process that also collects garbage, and shares of nothing cannot be planned for.
     */
    private static void addFiles(Store store, File file) throws IOException {
        JsonObject profile = (JsonObject) Json.parse(new String(Files.readAllBytes(file.toPath()), UTF_8));
        for (Segment segment : store.manifest().segments) {
            for (Option option : segment.options) {
                for (JsonObject entry : Vectors.<JsonObject>list(profile, "options")) {
                    if (segment.name.equals(entry.get("segment")) && option.name.equals(entry.get("option"))) {
                        long weighed = Long.parseLong(entry.get("memory_bytes").toString());
                        entry.put("memory_bytes", weighed + option.bytes);
                    }
                }
            }
        }
        Files.write(file.toPath(), Json.write(profile).getBytes(UTF_8));
    }

    private static List<Object> run(LegoRuntime runtime, Store store, ByteBuffer image) {
        String input = store.manifest().inputs.get(0).name;
        ByteBuffer output = runtime.infer(store.name(), Collections.singletonMap(input, image))
                .get(store.manifest().outputs.get(0));
        List<Object> values = new ArrayList<>();
        while (output.hasRemaining()) {
            values.add((double) output.getFloat());
        }
        return values;
    }
}
