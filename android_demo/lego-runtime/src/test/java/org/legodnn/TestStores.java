package org.legodnn;

import java.io.File;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.TreeMap;

import org.legodnn.internal.json.Json;
import org.legodnn.internal.json.JsonObject;

/** Small stores of affine segments (see {@link AffineExecutor}), with profiles. */
final class TestStores {
    private TestStores() {}

    /**
     * A chain of two blocks of three options and a head: every block multiplies by its option's number + 1 and adds
     * its own number; the head adds 1000. Tensors have 6, 4, 3 and 2 elements.
     */
    static Store chain(File folder, String name) throws IOException {
        return write(folder, name, Arrays.asList(
                segment(folder, "block1", true, Arrays.asList("x"), "t1", 1),
                segment(folder, "block2", true, Arrays.asList("t1"), "t2", 2),
                segment(folder, "head", false, Arrays.asList("t2"), "y", 1000)),
                Arrays.asList(tensor("t1", 4), tensor("t2", 3), tensor("y", 2)), 6);
    }

    /**
     * A graph: stem, down, up (which reads stem's output as well and interacts with down), head (which reads
     * the input as well).
     */
    static Store graph(File folder, String name) throws IOException {
        return write(folder, name, Arrays.asList(
                segment(folder, "stem", false, Arrays.asList("x"), "a", 1),
                segment(folder, "down", true, Arrays.asList("a"), "b", 2),
                segment(folder, "up", true, Arrays.asList("b", "a"), "c", 3).put("interaction", Arrays.asList(
                        Arrays.asList(0, 0, 0), Arrays.asList(0, 0.001, 0), Arrays.asList(0, 0.002, -0.001))),
                segment(folder, "head", false, Arrays.asList("c", "x"), "y", 4)),
                Arrays.asList(tensor("a", 4), tensor("b", 2), tensor("c", 4), tensor("y", 2)), 6);
    }

    /** The chain with a head whose channels stay and which is a choice of precisions, as large ones are. */
    static Store choiceOfHeads(File folder, String name) throws IOException {
        JsonObject head = segment(folder, "head", true, Arrays.asList("t2"), "y", 1000);
        String[] precisions = {"float32", "float16", "int8"};
        for (int o = 0; o < precisions.length; o++) {
            Vectors.<JsonObject>list(head, "options").get(o).put("sparsity", 0.0).put("precision", precisions[o])
                    .put("loss", o * 0.001);
        }
        return write(folder, name, Arrays.asList(
                segment(folder, "block1", true, Arrays.asList("x"), "t1", 1),
                segment(folder, "block2", true, Arrays.asList("t1"), "t2", 2), head),
                Arrays.asList(tensor("t1", 4), tensor("t2", 3), tensor("y", 2)), 6);
    }

    private static JsonObject tensor(String name, int size) {
        return new JsonObject().put("name", name).put("shape", Collections.singletonList(size));
    }

    private static JsonObject segment(
            File folder, String name, boolean block, List<String> inputs, String output, int number)
            throws IOException {
        List<JsonObject> options = new ArrayList<>();
        for (int o = 0; o < (block ? 3 : 1); o++) {
            byte[] content = AffineExecutor.file(o + 1, number);
            File file = new File(folder, name + "/s" + o + ".tflite");
            Vectors.write(file, content);
            options.add(new JsonObject().put("name", "s" + o).put("sparsity", o * 0.25)
                    .put("file", name + "/s" + o + ".tflite").put("sha256", Documents.sha256(file))
                    .put("bytes", content.length).put("params", 2).put("macs", 1).put("loss", o * 0.01 * number / 4));
        }
        return new JsonObject().put("name", name).put("kind", block ? "block" : "fixed").put("inputs", inputs)
                .put("outputs", Collections.singletonList(output)).put("options", options);
    }

    private static Store write(File folder, String name, List<JsonObject> segments, List<JsonObject> tensors, int input)
            throws IOException {
        JsonObject manifest = new JsonObject().put("schema", "legodnn.store/1")
                .put("model", new JsonObject().put("name", name).put("task", "test"))
                .put("inputs", Collections.singletonList(tensor("x", input)))
                .put("outputs", Collections.singletonList("y")).put("tensors", tensors).put("segments", segments)
                .put("accuracy", new JsonObject().put("metric", "top1").put("data", "none").put("original", 0.9)
                        .put("link", new JsonObject().put("x", Arrays.asList(0.0, 1.0))
                                .put("y", Arrays.asList(0.9, 0.0)))
                        .put("error", 0.01).put("samples", 10))
                .put("built", new JsonObject().put("created", "now").put("versions", new JsonObject()).put("seed", 0)
                        .put("recipe", new JsonObject()));
        Vectors.write(new File(folder, "manifest.json"), Json.write(manifest).getBytes("UTF-8"));
        return Store.open(folder);
    }

    /** A profile in which option o takes 1000 x (4 - o) bytes and 4 - o ms. */
    static Profile profile(Store store, BlockExecutor executor) {
        List<OptionProfile> entries = new ArrayList<>();
        for (Segment segment : store.manifest().segments) {
            for (int o = 0; o < segment.options.size(); o++) {
                Latency latency = new Latency(1, 10, 4 - o, 4 - o, 5 - o, null);
                entries.add(new OptionProfile(segment.name, segment.options.get(o).name, 1000 * (4 - o), 1,
                        Collections.singletonList(latency), null));
            }
        }
        return new Profile(store.id(), store.name(), Device.fingerprint(executor), "now", entries,
                Collections.<Tail>emptyList(), new TreeMap<Integer, Validator.Found>(), null);
    }

    /** What a chain gives: option numbers of its two blocks. */
    static float[] expected(float[] x, int option1, int option2) {
        return expected(x, option1, option2, 0);
    }

    /** The same with one of several heads. */
    static float[] expected(float[] x, int option1, int option2, int head) {
        float[] t1 = affine(x, 4, option1 + 1, 1);
        float[] t2 = affine(t1, 3, option2 + 1, 2);
        return affine(t2, 2, head + 1, 1000);
    }

    private static float[] affine(float[] source, int size, float a, float b) {
        float[] values = new float[size];
        for (int i = 0; i < size; i++) {
            values[i] = a * source[i % source.length] + b;
        }
        return values;
    }
}
