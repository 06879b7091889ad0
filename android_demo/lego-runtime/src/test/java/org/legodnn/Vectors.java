package org.legodnn;

import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Stream;

import org.legodnn.internal.json.Json;
import org.legodnn.internal.json.JsonNumber;
import org.legodnn.internal.json.JsonObject;

/** Reading the vectors that Python and Java share (tests/vectors), and making of them what they describe. */
public final class Vectors {
    private static final double TOLERANCE = 1e-9;

    private Vectors() {}

    /** The folder: the property legodnn.vectors, else tests/vectors of the repository that the tests run in. */
    static File folder() {
        String named = System.getProperty("legodnn.vectors");
        if (named != null) {
            return new File(named);
        }
        for (File at = new File("").getAbsoluteFile(); at != null; at = at.getParentFile()) {
            File found = new File(at, "tests/vectors");
            if (new File(found, "plans.json").isFile()) {
                return found;
            }
        }
        throw new IllegalStateException("no tests/vectors above " + new File("").getAbsolutePath());
    }

    public static JsonObject read(String name) {
        try {
            byte[] content = Files.readAllBytes(new File(folder(), name + ".json").toPath());
            return (JsonObject) Json.parse(new String(content, StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    @SuppressWarnings("unchecked")
    public static <T> List<T> list(JsonObject object, String key) {
        Object found = object.get(key);
        return found == null ? new ArrayList<T>() : (List<T>) found;
    }

    public static JsonObject object(JsonObject object, String key) {
        return (JsonObject) object.get(key);
    }

    public static String string(JsonObject object, String key) {
        return (String) object.get(key);
    }

    /** A number; those that JSON does not have are written as strings. */
    public static double number(Object value) {
        return value instanceof JsonNumber ? ((JsonNumber) value).doubleValue() : Double.parseDouble((String) value);
    }

    // --- answers ---

    /** What is asked of one case: its answer as JSON, or an error. */
    public interface Question {
        Object answer(JsonObject one) throws Exception;
    }

    /** Every case of a file; all that differ are told at once. */
    public static void check(String file, int atLeast, Question question) throws Exception {
        JsonObject vectors = read(file);
        List<JsonObject> cases = list(vectors, "cases");
        assertTrue(file + " has " + cases.size() + " cases", cases.size() >= atLeast);
        List<String> problems = new ArrayList<>();
        for (JsonObject one : cases) {
            Object answer;
            try {
                answer = question.answer(one);
            } catch (LegoException e) {
                answer = error(e);
            }
            Object wanted = one.has("answers") ? one.get("answers") : one.get("answer");
            if (one.has("answers") && !(answer instanceof List)) { // not even a scheduler could be made
                answer = Collections.nCopies(((List<?>) wanted).size(), answer);
            }
            String difference = difference(wanted, answer, "");
            if (difference != null) {
                problems.add(one.get("name") + ": " + difference);
            }
        }
        if (!problems.isEmpty()) {
            List<String> first = problems.subList(0, Math.min(20, problems.size()));
            fail(problems.size() + " of " + cases.size() + " differ:\n" + String.join("\n", first));
        }
    }

    /** Python's name of an error. */
    static JsonObject error(LegoException e) {
        return new JsonObject().put("error", e.getClass().getSimpleName().replace("Exception", "Error"));
    }

    /** Where two JSON values differ, by more than the last bits of a number; null if they do not. */
    private static String difference(Object wanted, Object found, String where) {
        if (wanted instanceof JsonNumber && found instanceof Number) {
            double a = ((JsonNumber) wanted).doubleValue();
            double b = ((Number) found).doubleValue();
            boolean near = a == b || Math.abs(a - b) <= TOLERANCE * Math.max(Math.abs(a), Math.abs(b));
            return near ? null : where + " is " + b + " instead of " + a;
        }
        if (wanted instanceof JsonObject && found instanceof JsonObject) {
            JsonObject a = (JsonObject) wanted;
            JsonObject b = (JsonObject) found;
            if (!a.keys().equals(b.keys())) {
                return where + " is " + brief(found) + " instead of " + brief(wanted);
            }
            for (String key : a.keys()) {
                String difference = difference(a.get(key), b.get(key), where + "." + key);
                if (difference != null) {
                    return difference;
                }
            }
            return null;
        }
        if (wanted instanceof List && found instanceof List && ((List<?>) wanted).size() == ((List<?>) found).size()) {
            for (int i = 0; i < ((List<?>) wanted).size(); i++) {
                String difference = difference(((List<?>) wanted).get(i), ((List<?>) found).get(i), where + "." + i);
                if (difference != null) {
                    return difference;
                }
            }
            return null;
        }
        boolean same = wanted == null ? found == null : wanted.equals(found);
        return same ? null : where + " is " + brief(found) + " instead of " + brief(wanted);
    }

    private static String brief(Object value) {
        String text = String.valueOf(value).replaceAll("\\s+", " ");
        return text.length() > 300 ? text.substring(0, 300) + "..." : text;
    }

    // --- tables ---

    public static ModelTable table(JsonObject data) {
        Link link = Link.IDENTITY;
        if (data.get("link") != null) {
            List<List<Object>> knots = list(data, "link");
            link = new Link(doubles(knots.get(0)), doubles(knots.get(1)));
        }
        double error = data.has("accuracy_error") ? number(data.get("accuracy_error")) : 0;
        ModelTable table = new ModelTable(
                string(data, "name"), segments(list(data, "blocks")), segments(list(data, "fixed")), link, error);
        table = data.has("weight") ? table.withWeight(number(data.get("weight"))) : table;
        table = data.has("rate_hz") ? table.withRateHz(number(data.get("rate_hz"))) : table;
        table = data.has("latency_ms") ? table.withLatencyMs(number(data.get("latency_ms"))) : table;
        table = data.has("quantile") ? table.withQuantile(number(data.get("quantile"))) : table;
        table = data.has("slowdown") ? table.withSlowdown(number(data.get("slowdown"))) : table;
        table = data.get("overhead_ms") == null ? table : table.withOverheadMs(byThreads(object(data, "overhead_ms")));
        table = data.has("tails") ? table.withTails(tails(object(data, "tails"))) : table;
        table = data.has("min_accuracy") ? table.withMinAccuracy(number(data.get("min_accuracy"))) : table;
        table = data.has("critical") ? table.withCritical((Boolean) data.get("critical")) : table;
        return data.has("threads") ? table.withThreads((int) number(data.get("threads"))) : table;
    }

    private static Map<Integer, Double> byThreads(JsonObject data) {
        Map<Integer, Double> found = new TreeMap<>();
        for (String threads : data.keys()) {
            found.put(Integer.parseInt(threads), number(data.get(threads)));
        }
        return found;
    }

    private static Tails tails(JsonObject data) {
        if (data == null) {
            return Tails.UNKNOWN;
        }
        SortedMap<Integer, SortedMap<Double, Double>> tails = new TreeMap<>();
        for (String threads : data.keys()) {
            SortedMap<Double, Double> tail = new TreeMap<>();
            JsonObject entries = object(data, threads);
            for (String quantile : entries.keys()) {
                tail.put(Double.parseDouble(quantile), number(entries.get(quantile)));
            }
            tails.put(Integer.parseInt(threads), tail);
        }
        return Tails.of(tails);
    }

    static double[] doubles(List<?> values) {
        double[] found = new double[values.size()];
        for (int i = 0; i < found.length; i++) {
            found[i] = number(values.get(i));
        }
        return found;
    }

    static int[] ints(JsonObject object, String key) {
        List<Object> values = list(object, key);
        int[] found = new int[values.size()];
        for (int i = 0; i < found.length; i++) {
            found[i] = (int) number(values.get(i));
        }
        return found;
    }

    private static List<BlockRows> segments(List<List<Object>> segments) {
        List<BlockRows> found = new ArrayList<>();
        for (List<Object> segment : segments) {
            List<OptionRow> rows = new ArrayList<>();
            for (Object row : (List<?>) segment.get(1)) {
                List<?> o = (List<?>) row;
                Map<Integer, Double> latency = byThreads((JsonObject) o.get(2));
                rows.add(new OptionRow((String) o.get(0), whole(o.get(1)), latency, number(o.get(3)), whole(o.get(4)),
                        number(o.get(5))));
            }
            List<?> interaction = segment.size() > 2 ? (List<?>) segment.get(2) : Collections.emptyList();
            found.add(new BlockRows((String) segment.get(0), rows, interaction(interaction)));
        }
        return found;
    }

    static List<List<Double>> interaction(List<?> rows) {
        List<List<Double>> found = new ArrayList<>();
        for (Object row : rows) {
            List<Double> numbers = new ArrayList<>();
            for (double value : doubles((List<?>) row)) {
                numbers.add(value);
            }
            found.add(numbers);
        }
        return found;
    }

    /** A count of bytes; what no long can be is negative, which is refused as well. */
    private static long whole(Object value) {
        return value instanceof JsonNumber ? ((JsonNumber) value).longValue() : -1;
    }

    static SwitchCharge charge(JsonObject data) {
        return data == null ? SwitchCharge.NONE : new SwitchCharge(
                data.has("per_mb") ? number(data.get("per_mb")) : 0,
                data.has("per_ms") ? number(data.get("per_ms")) : 0);
    }

    static Scheduler scheduler(JsonObject workload) {
        List<ModelTable> tables = new ArrayList<>();
        for (JsonObject table : Vectors.<JsonObject>list(workload, "models")) {
            tables.add(table(table));
        }
        return new Scheduler(tables, charge(object(workload, "charge")));
    }

    /** The plan that answers a step; throws what the scheduler does. */
    static Plan planned(Scheduler scheduler, JsonObject step, Plan last) {
        Object running = step.get("running");
        Plan plan = "last".equals(running) ? last : running == null ? null : Plan.parse(running.toString());
        return scheduler.plan(Budget.parse(step.get("budget").toString()), plan, factors(step, "slowdown"),
                Double.POSITIVE_INFINITY, factors(step, "tail"));
    }

    public static Map<String, Double> factors(JsonObject step, String key) {
        Map<String, Double> factors = new HashMap<>();
        if (step.has(key)) {
            for (String name : object(step, key).keys()) {
                factors.put(name, number(object(step, key).get(name)));
            }
        }
        return factors;
    }

    // --- pictures ---

    /** The pixels of a picture of tests/vectors/pictures.json, as picture_answer makes them. */
    static int[] pixels(JsonObject one, int count) {
        int channels = one.has("source") ? (int) number(one.get("source")) : ints(one, "shape")[2];
        int[] pixels = new int[count * channels];
        long seed = (long) number(one.get("seed"));
        for (int i = 0; i < pixels.length; i++) {
            pixels[i] = (int) ((7L * i * i + i * seed + 31L * i % 17 * 11) % 256);
        }
        return pixels;
    }

    /** The same packed into one number each. */
    static int[] argb(int[] pixels, int channels) {
        int[] argb = new int[pixels.length / channels];
        for (int i = 0; i < argb.length; i++) {
            int at = i * channels;
            argb[i] = (channels == 4 ? pixels[at + 3] : 255) << 24 | pixels[at] << 16 | pixels[at + 1] << 8
                    | pixels[at + 2];
        }
        return argb;
    }

    // --- stores ---

    /** A text after edits; see tests/vectors/vectors.py. */
    static byte[] edited(String text, List<List<Object>> edits) {
        // Python counts code points.
        int[] points = text.codePoints().toArray();
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        int at = 0;
        for (List<Object> edit : edits) {
            int place = (int) number(edit.get(0));
            write(out, new String(points, at, place - at));
            if (edit.get(1) instanceof String) {
                String hex = (String) edit.get(1);
                for (int i = 0; i < hex.length(); i += 2) {
                    out.write(Integer.parseInt(hex.substring(i, i + 2), 16));
                }
                at = place + 1;
            } else {
                write(out, (String) edit.get(2));
                at = place + (int) number(edit.get(1));
            }
        }
        write(out, new String(points, at, points.length - at));
        return out.toByteArray();
    }

    private static void write(ByteArrayOutputStream out, String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        out.write(bytes, 0, bytes.length);
    }

    static byte[] fileContent(String name) {
        return ("content of " + name + "\n").getBytes(StandardCharsets.UTF_8);
    }

    /** A store's folder, as tests/vectors/vectors.py writes it. */
    static void writeStore(File folder, byte[] manifest, List<String> files, JsonObject changes) throws IOException {
        write(new File(folder, "manifest.json"), manifest);
        Map<String, Object> all = new LinkedHashMap<>();
        for (String file : files) {
            all.put(file, fileContent(file));
        }
        if (changes != null) {
            for (String file : changes.keys()) {
                all.put(file, changes.get(file));
            }
        }
        for (Map.Entry<String, Object> file : all.entrySet()) {
            File path = new File(folder, file.getKey());
            Object content = file.getValue();
            if (content instanceof List) {
                path.getParentFile().mkdirs();
                Files.createSymbolicLink(path.toPath(), new File((String) ((List<?>) content).get(0)).toPath());
            } else if (content != null) {
                write(path, content instanceof String ? ((String) content).getBytes(StandardCharsets.UTF_8)
                        : (byte[]) content);
            }
        }
    }

    static void write(File file, byte[] content) throws IOException {
        file.getParentFile().mkdirs();
        try (FileOutputStream out = new FileOutputStream(file)) {
            out.write(content);
        }
    }

    static void remove(File folder) throws IOException {
        if (folder.exists()) {
            try (Stream<Path> paths = Files.walk(folder.toPath())) {
                paths.sorted(Comparator.<Path>reverseOrder()).forEach(path -> path.toFile().delete());
            }
        }
    }
}
