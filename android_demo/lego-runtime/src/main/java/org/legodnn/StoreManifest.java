package org.legodnn;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

import org.legodnn.internal.json.Bounds;
import org.legodnn.internal.json.Fields;
import org.legodnn.internal.json.Json;
import org.legodnn.internal.json.JsonException;
import org.legodnn.internal.json.JsonObject;

/** The content of a store's manifest.json; docs/store.md has the format. */
public final class StoreManifest {
    static final String VERSION = "legodnn.store/1";
    private static final Pattern HASH = Pattern.compile("[0-9a-f]{64}");

    final String name;
    final String task;
    final List<String> labels;
    final List<InputSpec> inputs;
    final List<String> outputs;
    final List<Segment> segments;
    final Map<String, TensorSpec> specs;
    final String metric;
    final String data;
    final double originalAccuracy;
    final Link link;
    final double accuracyError;
    final JsonObject built;

    /**
     * Read a manifest's text.
     *
     * @throws JsonException it is no manifest, or of another version
     */
    static StoreManifest parse(String text) {
        return new StoreManifest(new Fields(Documents.parse(text, VERSION), ""));
    }

    private StoreManifest(Fields document) {
        document.any("schema");
        Fields model = document.object("model");
        name = model.name("name");
        task = model.name("task");
        labels = model.has("labels") ? model.strings("labels", Bounds.LABELS) : Collections.<String>emptyList();
        if (model.has("reading")) {
            model.any("reading"); // how outputs become objects, which is left to the application here
        }
        model.end();
        inputs = inputs(document);
        outputs = document.names("outputs", 1, Bounds.TENSORS);
        List<TensorSpec> tensors = tensors(document);
        segments = segments(document);
        Fields accuracy = document.object("accuracy");
        metric = accuracy.name("metric");
        data = accuracy.text("data");
        originalAccuracy = accuracy.number("original", -Bounds.METRIC, Bounds.METRIC);
        link = link(accuracy.object("link"));
        double ofRandom = accuracy.number("error", 0, Bounds.METRIC);
        accuracy.integer("samples", 0, Bounds.COUNT);
        double ofPlans = accuracy.has("plan_error") ? accuracy.number("plan_error", 0, Bounds.METRIC) : 0;
        boolean measured = accuracy.has("plan_samples") && accuracy.integer("plan_samples", 0, Bounds.COUNT) > 0;
        accuracyError = measured ? ofPlans : ofRandom;
        accuracy.end();
        built = built(document.object("built"));
        document.end();
        checkGraph(document, tensors);
        Map<String, TensorSpec> byName = new LinkedHashMap<>();
        for (TensorSpec spec : inputs) {
            byName.put(spec.name, spec);
        }
        for (TensorSpec spec : tensors) {
            byName.put(spec.name, spec);
        }
        specs = Collections.unmodifiableMap(byName);
    }

    private static List<InputSpec> inputs(Fields document) {
        List<InputSpec> found = new ArrayList<>();
        for (Fields fields : document.objects("inputs", 1, Bounds.TENSORS)) {
            String name = fields.name("name");
            int[] shape = shape(fields);
            floats(fields, name);
            boolean picture = !fields.has("layout") || fields.word("layout", "HWC", "plain").equals("HWC");
            if (fields.has("resize")) {
                fields.word("resize", "bilinear-antialias");
            }
            String fit = fields.has("fit") ? fields.word("fit", "stretch", "crop", "letterbox") : "stretch";
            int fill = fields.has("fill") ? (int) fields.integer("fill", 0, 255) : 0;
            double[] range = fields.has("range")
                    ? fields.numbers("range", 2, 2, -Bounds.SCALE, Bounds.SCALE) : new double[] {0, 1};
            double[] mean = fields.has("mean")
                    ? fields.numbers("mean", 0, Bounds.ELEMENTS, -Bounds.SCALE, Bounds.SCALE) : new double[0];
            double[] std = fields.has("std")
                    ? fields.numbers("std", 0, Bounds.ELEMENTS, Bounds.LEAST_STD, Bounds.SCALE) : new double[0];
            fields.end();
            if (!(range[0] < range[1])) {
                throw fields.error("range of " + name + " must be two numbers that increase");
            }
            int channels = shape.length == 0 ? 0 : shape[shape.length - 1];
            if (mean.length > 1 && mean.length != channels || std.length > 1 && std.length != channels) {
                throw fields.error("mean and std of " + name + " must have one value, or one for each channel");
            }
            found.add(new InputSpec(name, shape, picture ? fit : "none", fill, range[0], range[1], mean, std));
        }
        return Collections.unmodifiableList(found);
    }

    /**
     * Read what a tensor's elements are, and refuse what this library does not run: whole files of integers, packed
     * elsewhere.
     */
    private static void floats(Fields fields, String name) {
        String type = fields.has("dtype")
                ? fields.word("dtype", "float32", "uint8", "int8", "int32", "int64") : "float32";
        double scale = fields.has("scale") ? fields.number("scale", 0, Bounds.QUANTISED_SCALE) : 0;
        long zero = fields.has("zero_point") ? fields.integer("zero_point", -128, 255) : 0;
        if (!type.equals("float32")) {
            throw fields.error("the tensor '" + name + "' is of " + type + ", and this library runs models that take"
                    + " and give float32 alone: pack a file with float32 inputs and outputs");
        }
        if (scale != 0 || zero != 0) {
            throw fields.error(name + ": float32 has no scale and no zero point");
        }
    }

    private static int[] shape(Fields fields) {
        int[] shape = fields.counts("shape", 1, Bounds.RANK);
        long elements = 1;
        for (int dim : shape) {
            elements *= dim;
            if (elements > Bounds.ELEMENTS) {
                throw fields.error("shape must be of at most " + Bounds.ELEMENTS + " elements in all");
            }
        }
        return shape;
    }

    private static List<TensorSpec> tensors(Fields document) {
        List<TensorSpec> found = new ArrayList<>();
        for (Fields fields : document.objects("tensors", 0, Bounds.TENSORS)) {
            TensorSpec spec = new TensorSpec(fields.name("name"), shape(fields));
            floats(fields, spec.name);
            fields.end();
            found.add(spec);
        }
        return found;
    }

    private static List<Segment> segments(Fields document) {
        List<Segment> found = new ArrayList<>();
        for (Fields fields : document.objects("segments", 1, Bounds.SEGMENTS)) {
            String name = fields.name("name");
            boolean block = fields.word("kind", "block", "fixed").equals("block");
            List<String> reads = fields.names("inputs", 1, Bounds.TENSORS);
            List<String> writes = fields.names("outputs", 1, Bounds.TENSORS);
            List<Option> options = new ArrayList<>();
            Set<String> names = new HashSet<>();
            for (Fields option : fields.objects("options", 1, Bounds.OPTIONS)) {
                options.add(option(option));
                names.add(options.get(options.size() - 1).name);
            }
            List<List<Double>> interaction = fields.has("interaction")
                    ? fields.rows("interaction", Bounds.OPTIONS, Bounds.LOSS)
                    : Collections.<List<Double>>emptyList();
            fields.end();
            if (names.size() < options.size()) {
                throw fields.error("segment " + name + " has two options of the same name");
            }
            if (!block && options.size() > 1) {
                throw fields.error("fixed segment " + name + " has more than one option");
            }
            if (options.get(0).sparsity != 0) {
                throw fields.error("segment " + name + " lacks its original, which comes first and has sparsity 0");
            }
            found.add(
                    new Segment(name, block, reads, writes, Collections.unmodifiableList(options), interaction));
        }
        return Collections.unmodifiableList(found);
    }

    private static Option option(Fields fields) {
        String name = fields.name("name");
        double sparsity = fields.number("sparsity", 0, 1);
        String precision = fields.has("precision") ? fields.word("precision", "float32", "float16", "int8") : "float32";
        String file = fields.name("file");
        Option option = new Option(name, sparsity, precision, file, fields.string("sha256", HASH),
                fields.integer("bytes", 1, Bounds.BYTES), fields.integer("params", 0, Bounds.COUNT),
                fields.integer("macs", 0, Bounds.COUNT),
                fields.has("loss") ? fields.number("loss", -Bounds.LOSS, Bounds.LOSS) : 0,
                fields.has("dominated") && fields.flag("dominated"));
        fields.end();
        if (sparsity >= 1) {
            throw fields.error("sparsity must be less than 1");
        }
        boolean leadsOut = file.startsWith("/") || Arrays.asList(file.split("/")).contains("..");
        if (leadsOut || file.indexOf('\\') >= 0 || file.indexOf(':') >= 0 || file.indexOf('\0') >= 0) {
            throw fields.error("file must be a relative path inside the store, got " + file);
        }
        return option;
    }

    private static Link link(Fields fields) {
        double[] x = fields.numbers("x", 2, Bounds.KNOTS, -Bounds.LOSS, Bounds.LOSS);
        double[] y = fields.numbers("y", 2, Bounds.KNOTS, -Bounds.METRIC, Bounds.METRIC);
        fields.end();
        String problem = Link.problem(x, y);
        if (problem != null) {
            throw fields.error(problem);
        }
        return new Link(x, y);
    }

    private static JsonObject built(Fields fields) {
        fields.text("created");
        Fields versions = fields.object("versions");
        for (Object version : versions.raw().all()) {
            if (!(version instanceof String) || ((String) version).length() > Bounds.TEXT) {
                throw fields.error("versions must be strings of at most " + Bounds.TEXT + " characters");
            }
        }
        fields.integer("seed", -Bounds.COUNT, Bounds.COUNT);
        fields.object("recipe");
        if (fields.has("left_out")) {
            for (Object reason : fields.object("left_out").raw().all()) {
                if (!(reason instanceof String) || ((String) reason).length() > Bounds.TEXT) {
                    throw fields.error("left_out must hold strings of at most " + Bounds.TEXT + " characters");
                }
            }
        }
        if (fields.has("channels")) {
            Fields options = fields.object("channels");
            for (String option : options.raw().keys()) {
                Fields layers = options.object(option);
                for (String layer : layers.raw().keys()) {
                    layers.integer(layer, 1, Integer.MAX_VALUE);
                }
            }
        }
        fields.end();
        return fields.raw();
    }

    private void checkGraph(Fields document, List<TensorSpec> tensors) {
        Set<String> names = new HashSet<>();
        Set<String> ready = new HashSet<>();
        for (InputSpec input : inputs) {
            ready.add(input.name);
        }
        if (ready.size() < inputs.size() || new HashSet<>(outputs).size() < outputs.size()) {
            throw document.error("two inputs or two outputs have the same name");
        }
        Set<String> written = new HashSet<>();
        for (Segment segment : segments) {
            if (!names.add(segment.name)) {
                throw document.error("two segments are called '" + segment.name + "'");
            }
            for (String tensor : segment.inputs) {
                if (!ready.contains(tensor)) {
                    throw document.error(
                            "segment " + segment.name + " reads '" + tensor + "', which no earlier segment writes");
                }
            }
            for (String tensor : segment.outputs) {
                if (ready.contains(tensor)) {
                    throw document.error("segment " + segment.name + " writes '" + tensor + "' again");
                }
            }
            ready.addAll(segment.outputs);
            written.addAll(segment.outputs);
        }
        for (String output : outputs) {
            if (!ready.contains(output)) {
                throw document.error("no segment writes the output '" + output + "'");
            }
        }
        int before = 0;
        for (Segment segment : segments) {
            int options = segment.options.size();
            if (!BlockRows.isInteraction(segment.interaction, segment.block ? before : 0, options)) {
                throw document.error("the interaction of segment " + segment.name + " must have a row for each option"
                        + " of the block before it and a column for each option");
            }
            before = segment.block ? options : before;
        }
        Set<String> described = new HashSet<>();
        for (TensorSpec tensor : tensors) {
            described.add(tensor.name);
        }
        if (described.size() < tensors.size() || !described.equals(written)) {
            throw document.error("`tensors` must describe exactly the tensors that segments write");
        }
    }

    /** The segments that have options to choose from, in topological order. */
    public List<Segment> blocks() {
        List<Segment> blocks = new ArrayList<>();
        for (Segment segment : segments) {
            if (segment.block) {
                blocks.add(segment);
            }
        }
        return blocks;
    }

    /** The segment of a name; StoreException if there is none. */
    public Segment segment(String wanted) {
        for (Segment segment : segments) {
            if (segment.name.equals(wanted)) {
                return segment;
            }
        }
        throw new StoreException("the store of " + name + " has no segment '" + wanted + "'");
    }

    /** The model's name. */
    public String name() {
        return name;
    }

    /** What the model is for, such as "classification". */
    public String task() {
        return task;
    }

    /** Names of its classes; may be empty. */
    public List<String> labels() {
        return labels;
    }

    /** The model's inputs. */
    public List<InputSpec> inputs() {
        return inputs;
    }

    /** Names of the tensors that are its outputs. */
    public List<String> outputs() {
        return outputs;
    }

    /** In topological order. */
    public List<Segment> segments() {
        return segments;
    }

    /** Every input and interface tensor by name, inputs first. */
    public Map<String, TensorSpec> specs() {
        return specs;
    }

    /** What accuracy is measured in, such as "top1". */
    public String metric() {
        return metric;
    }

    /** What it was measured on. */
    public String data() {
        return data;
    }

    /** The undivided model's accuracy. */
    public double originalAccuracy() {
        return originalAccuracy;
    }

    /** Summed losses and interactions -> accuracy. */
    public Link link() {
        return link;
    }

    /**
     * Nine in ten predictions for compositions that plans are likely to choose are within this (cross-validation);
     * where none were measured, the mean absolute error for random ones.
     */
    public double accuracyError() {
        return accuracyError;
    }

    /** How the store was made: versions, seed, the whole recipe; as JSON. */
    public String built() {
        return Json.write(built);
    }
}
