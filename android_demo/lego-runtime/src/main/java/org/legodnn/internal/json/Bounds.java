package org.legodnn.internal.json;

/**
 * What a document may hold. legodnn/schema.py has the same and says why each is what it is: what one reader takes, the
 * other takes.
 */
public final class Bounds {
    /** Bytes of a document. */
    public static final int DOCUMENT = 4 << 20;
    /** Lists and objects in a document; brackets in strings count too. */
    public static final int CONTAINERS = 100_000;
    /** Named fields in a document; colons in strings count too. */
    static final int FIELDS = 100_000;
    /** Lists and objects, and commas. */
    static final int VALUES = 500_000;
    /** Lists and objects inside one another. */
    static final int DEPTH = 200;
    /** Characters of a name. */
    public static final int NAME = 200;
    /** Characters of other text. */
    public static final int TEXT = 10_000;
    /** Characters of a path. */
    public static final int PATH = 4096;
    /** Entries of a list of notes. */
    public static final int NOTES = 1000;
    /** Options of a segment. */
    public static final int OPTIONS = 1024;
    /** Segments of a store. */
    public static final int SEGMENTS = 4096;
    /** Tensors of a store. */
    public static final int TENSORS = 16_384;
    /** Models of a workload. */
    public static final int MODELS = 1024;
    /** Labels of a model. */
    public static final int LABELS = 100_000;
    /** Knots of a link. */
    public static final int KNOTS = 10_000;
    /** Quantiles of a tail. */
    public static final int QUANTILES = 100;
    /** Thread counts. */
    public static final int THREADS = 1024;
    /** Dimensions of a tensor. */
    public static final int RANK = 8;
    /** Elements of a tensor. */
    public static final int ELEMENTS = 1 << 29;
    /** Bytes of an option, in its file and in memory. */
    public static final long BYTES = 1L << 48;
    /** Milliseconds measured. */
    public static final double MS = 1e7;
    /** Predictions and limits. */
    public static final double SUM = 1e21;
    /** Bytes of predictions and limits. */
    public static final long MEMORY = (1L << 62) - 1;
    /** Parameters, multiply-accumulates. */
    public static final long COUNT = 1_000_000_000_000_000_000L;
    /** Losses and interactions, either way. */
    public static final double LOSS = 1e6;
    /** Metrics, either way. */
    public static final double METRIC = 1e9;
    /** Ranges, means and standard deviations of inputs. */
    public static final double SCALE = 1e9;
    /** Standard deviations of inputs, at least. */
    public static final double LEAST_STD = 1e-9;
    /** Between two knots of a link, at least. */
    public static final double LEAST_KNOT = 1e-15;
    /** What one step of a quantised tensor stands for. */
    public static final double QUANTISED_SCALE = 1e30;
    /** What switching is charged. */
    public static final double CHARGE = 1e9;
    /** What a model is worth, at least. */
    public static final double LEAST_WEIGHT = 1e-6;
    /** What a model is worth. */
    public static final double WEIGHT = 1e6;
    /** Inferences per second. */
    public static final double RATE = 1e6;
    /** How many times slower one model makes another. */
    public static final double SLOWDOWN = 1e6;

    private Bounds() {}
}
